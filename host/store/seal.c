/* Sealing: the dense layout, from a segment that was active or from a merge. segment.c states the order of syncs. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/segment.h"

typedef struct fingerprint_pair {
    uint64_t prefix;
    uint32_t index;
} fingerprint_pair;

static int compare_pairs(const void *a, const void *b)
{
    const fingerprint_pair *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The fingerprint index as it is on disk, in fresh memory, or NULL. */
static uint8_t *make_fingerprints(const eg_segment *segment)
{
    uint32_t count = segment->appended;
    fingerprint_pair *pairs = eg_alloc(count * sizeof *pairs);
    if (pairs == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        pairs[i] = (fingerprint_pair){
            eg_fingerprint_prefix(eg_segment_record(segment, i)->fingerprint), i};
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    /* Packed in place: an item's place on disk never lies beyond its place in memory. */
    uint8_t *bytes = (uint8_t *)pairs;
    for (uint32_t i = 0; i < count; i++) {
        fingerprint_pair pair = pairs[i];
        eg_put_u64(bytes + (size_t)i * EG_SEGMENT_PAIR_SIZE, pair.prefix);
        eg_put_u32(bytes + (size_t)i * EG_SEGMENT_PAIR_SIZE + 8, pair.index);
    }
    return bytes;
}

static void lay_out_sealed(const eg_segment *segment, eg_segment_header *sealed)
{
    uint32_t count = segment->appended;
    uint64_t records_size = (uint64_t)count * EG_SEGMENT_RECORD_SIZE;
    uint64_t pairs_size = (uint64_t)count * EG_SEGMENT_PAIR_SIZE;
    uint64_t records = eg_segment_align(segment->payload_start + segment->payload_written, 8);
    *sealed = segment->header;
    sealed->generation++;
    sealed->stage = EG_SEGMENT_SEALED;
    sealed->first_id = segment->first_id;
    sealed->last_id = eg_segment_record(segment, count - 1)->id;
    sealed->chunk_count = count;
    sealed->section_count = 4;
    sealed->sections[0] = (eg_section){EG_SECTION_PAYLOAD,       0,     segment->payload_start,
                                       segment->payload_written, count, segment->payload_crc};
    sealed->sections[1] = (eg_section){EG_SECTION_RECORDS, 0, records, records_size, count, 0};
    sealed->sections[2] =
        (eg_section){EG_SECTION_FINGERPRINTS, 0, records + records_size, pairs_size, count, 0};
    sealed->sections[3] = (eg_section){EG_SECTION_VECTORS,
                                       EG_CODEC_PLANES,
                                       eg_segment_align(records + records_size + pairs_size, EG_SEGMENT_PAGE),
                                       (uint64_t)count * EG_SEGMENT_VECTOR_SIZE,
                                       count,
                                       0};
}

static engram_status write_section(eg_segment *segment, eg_section *section, const uint8_t *bytes,
                                   engram_error *error)
{
    section->crc = eg_crc32(0, bytes, (size_t)section->size);
    return segment->io->write(segment->io, segment->file, section->offset, bytes,
                              (size_t)section->size, error);
}

/* ---- vectors ---- */

/* A group of planes, and its vectors in rows. */
typedef struct group {
    uint8_t planes[EG_GROUP_ROWS * ENGRAM_BLOCKS];
    uint8_t rows[EG_GROUP_ROWS * ENGRAM_BLOCKS];
} group;

static engram_status write_group(eg_segment *segment, eg_section *section, group *g, uint32_t first,
                                 uint32_t count, engram_error *error)
{
    const size_t size = (size_t)count * ENGRAM_BLOCKS;
    for (uint32_t i = 0; i < count; i++)
        eg_planes_put(g->planes, count, i, g->rows + (size_t)i * ENGRAM_BLOCKS);
    section->crc = eg_crc32(section->crc, g->planes, size);
    return segment->io->write(segment->io, segment->file,
                              section->offset + (uint64_t)first * ENGRAM_BLOCKS, g->planes, size,
                              error);
}

static engram_status write_vectors(eg_segment *segment, eg_section *section,
                                   eg_segment_vectors *vectors, void *context, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    group *g = eg_alloc(sizeof *g);
    if (g == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to write a segment");
    for (uint32_t first = 0; first < section->count && status == ENGRAM_OK;
         first += EG_GROUP_ROWS) {
        uint32_t left = section->count - first, count = left < EG_GROUP_ROWS ? left : EG_GROUP_ROWS;
        status = vectors(context, first, count, g->rows, error);
        if (status == ENGRAM_OK)
            status = write_group(segment, section, g, first, count, error);
    }
    eg_free(g);
    return status;
}

/* ---- from a segment that was active ---- */

static engram_status take_columns(void *context, uint32_t first, uint32_t count, uint8_t *vectors,
                                  engram_error *error)
{
    const eg_columns *columns = context;
    (void)error;
    memcpy(vectors, columns->vectors + (size_t)first * ENGRAM_BLOCKS,
           (size_t)count * ENGRAM_BLOCKS);
    return ENGRAM_OK;
}

/* Step c: the sealed sections beside the active ones; their CRCs into the header. */
static engram_status write_sealed(eg_segment *segment, eg_segment_header *sealed,
                                  engram_error *error)
{
    uint8_t *pairs = make_fingerprints(segment);
    if (pairs == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to seal a segment");
    engram_status status = write_section(segment, &sealed->sections[2], pairs, error);
    eg_free(pairs);
    EG_TRY(status);
    EG_TRY(eg_segment_write_records(segment, 0, segment->appended, sealed->sections[1].offset,
                         &sealed->sections[1].crc, error));
    return write_vectors(segment, &sealed->sections[3], take_columns, segment->columns, error);
}

/* Readers find the vectors in the file from now on, unless the memory is lent anyway. */
static void switch_to_sealed(eg_segment *segment, const eg_segment_header *sealed)
{
    eg_columns *unused = NULL;
    pthread_mutex_lock(&segment->lock);
    segment->header = *sealed;
    if (!segment->columns->lent) {
        unused = segment->columns;
        segment->columns = NULL;
    }
    pthread_mutex_unlock(&segment->lock);
    eg_columns_free(unused);
}

engram_status eg_segment_seal(eg_segment *segment, eg_segment_syncer *sync, void *context,
                              engram_error *error)
{
    assert(segment->appended > 0 && segment->appended == segment->count);
    eg_segment_header sealed;
    lay_out_sealed(segment, &sealed);
    EG_TRY(eg_segment_write_tail(segment, error));
    EG_TRY(write_sealed(segment, &sealed, error));
    EG_TRY(sync(context, segment, 0, error));
    EG_TRY(eg_segment_write_slot(segment, &sealed, EG_SEGMENT_SLOT_STEP, error));
    EG_TRY(sync(context, segment, segment->appended, error));
    EG_TRY(segment->io->truncate(segment->io, segment->file, eg_segment_end(&sealed), error));
    EG_TRY(sync(context, segment, segment->appended, error));
    switch_to_sealed(segment, &sealed);
    return ENGRAM_OK;
}

/* ---- dense from the start ---- */

static engram_status write_dense(eg_segment *segment, eg_segment_header *sealed,
                                 eg_segment_vectors *vectors, void *context, engram_error *error)
{
    uint8_t *pairs = make_fingerprints(segment);
    if (pairs == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to write a segment");
    engram_status status = write_section(segment, &sealed->sections[2], pairs, error);
    eg_free(pairs);
    EG_TRY(status);
    EG_TRY(eg_segment_write_records(segment, 0, segment->appended, sealed->sections[1].offset,
                                    &sealed->sections[1].crc, error));
    return write_vectors(segment, &sealed->sections[3], vectors, context, error);
}

engram_status eg_segment_finish_dense(eg_segment *segment, const char *dir,
                                      eg_segment_vectors *vectors, void *context,
                                      engram_error *error)
{
    assert(segment->appended > 0);
    eg_segment_header sealed;
    lay_out_sealed(segment, &sealed);
    EG_TRY(eg_segment_write_tail(segment, error));
    EG_TRY(write_dense(segment, &sealed, vectors, context, error));
    EG_TRY(eg_segment_write_slot(segment, &sealed, 0, error));
    EG_TRY(segment->io->sync(segment->io, segment->file, error));
    EG_TRY(segment->io->sync_dir(segment->io, dir, error));
    segment->header = sealed;
    eg_segment_publish(segment);
    segment->synced = segment->told = segment->count;
    return ENGRAM_OK;
}
