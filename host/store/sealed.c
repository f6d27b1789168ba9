/* Opening and reading segments.
 *
 * Nothing that the file says is used before it has been checked. Only vectors are mapped, behind
 * base/map_guard.h: a page that cannot be read gives zeros instead of ending the process, and
 * vectors are refused from then on. Whoever scans vectors that were lent asks for them again
 * afterwards, and drops the answer when that fails. */
#include <inttypes.h>
#include <string.h>

#include "base/map_guard.h"
#include "base/memory.h"
#include "store/segment.h"

enum { READ_STEP = 1 << 20 }; /* a section whose CRC is checked comes in pieces of this size */

static engram_status fail_at(const eg_segment *segment, uint64_t offset, const char *what,
                             engram_error *error)
{
    return eg_fail(error, ENGRAM_DAMAGED, "%s at %" PRIu64 ": %s", eg_segment_name(segment), offset,
                   what);
}

/* A copy: the writer's thread replaces the header when it seals. */
static eg_section section_of(eg_segment *segment, uint32_t tag)
{
    pthread_mutex_lock(&segment->lock);
    eg_section section = *eg_segment_section(&segment->header, tag);
    pthread_mutex_unlock(&segment->lock);
    return section;
}

engram_status eg_segment_fail_record(eg_segment *segment, uint32_t index, const char *what,
                                     engram_error *error)
{
    uint64_t offset = section_of(segment, EG_SECTION_RECORDS).offset;
    return fail_at(segment, offset + (uint64_t)index * EG_SEGMENT_RECORD_SIZE, what, error);
}

/* ---- records ---- */

/* What checking one record after the other has to remember. */
typedef struct record_check {
    uint64_t id;          /* of the last good one, or one less than the first possible */
    uint64_t last_id;     /* the highest possible */
    uint64_t payload_end; /* of the one before, if that was good */
    uint64_t payload_size;
    bool follows; /* the one before was good */
} record_check;

/* Conditions 6 to 8. A bad record keeps its place in the order of ids, for the search. */
static bool check_record(record_check *check, eg_chunk_record *record)
{
    bool good = eg_record_is_valid(record, check->payload_size) && record->id > check->id &&
                record->id <= check->last_id &&
                (!check->follows || record->payload_offset == check->payload_end);
    check->follows = good;
    if (good) {
        check->id = record->id;
        check->payload_end = (uint64_t)record->payload_offset + record->stored_size;
    } else {
        record->kind = EG_RECORD_BAD;
        record->id = check->id;
    }
    return good;
}

static engram_status read_block(eg_segment *segment, uint32_t block, uint32_t count,
                                uint64_t offset, engram_error *error)
{
    size_t size = count * sizeof(eg_chunk_record);
    if (segment->blocks[block] == NULL)
        segment->blocks[block] = eg_alloc(size);
    if (segment->blocks[block] == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the records of %s",
                       eg_segment_name(segment));
    return segment->io->read(segment->io, segment->file,
                             offset + (uint64_t)block * EG_SEGMENT_BLOCK * sizeof(eg_chunk_record),
                             segment->blocks[block], size, error);
}

/* Where ids are contiguous, a record's place tells its id, whatever it says itself. */
static void check_block(eg_segment *segment, record_check *check, uint32_t first, uint32_t count)
{
    eg_chunk_record *records = segment->blocks[first / EG_SEGMENT_BLOCK];
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = segment->first_id + first + i;
        if (segment->ids_contiguous)
            check->id = id - 1, check->last_id = id;
        if (!check_record(check, &records[i]))
            segment->bad_count++;
        if (segment->ids_contiguous)
            records[i].id = id;
    }
}

/* Reads and checks the visible records from offset. */
static engram_status read_records(eg_segment *segment, uint64_t offset, record_check check,
                                  engram_error *error)
{
    uint32_t count = segment->count;
    segment->bad_count = 0;
    for (uint32_t first = 0; first < count; first += EG_SEGMENT_BLOCK) {
        uint32_t left = count - first;
        uint32_t take = left < EG_SEGMENT_BLOCK ? left : EG_SEGMENT_BLOCK;
        EG_TRY(read_block(segment, first / EG_SEGMENT_BLOCK, take, offset, error));
        check_block(segment, &check, first, take);
    }
    return ENGRAM_OK;
}

/* Under lock, of a sealed segment. */
static engram_status load(eg_segment *segment, engram_error *error)
{
    if (atomic_load(&segment->loaded))
        return ENGRAM_OK;
    const eg_segment_header *header = &segment->header;
    record_check check = {.id = header->first_id - 1,
                          .last_id = header->last_id,
                          .follows = true,
                          .payload_size = eg_segment_section(header, EG_SECTION_PAYLOAD)->size};
    EG_TRY(read_records(segment, eg_segment_section(header, EG_SECTION_RECORDS)->offset, check,
                        error));
    atomic_store(&segment->loaded, true);
    return ENGRAM_OK;
}

engram_status eg_segment_load(eg_segment *segment, engram_error *error)
{
    if (atomic_load_explicit(&segment->loaded, memory_order_acquire))
        return ENGRAM_OK;
    pthread_mutex_lock(&segment->lock);
    engram_status status = load(segment, error);
    pthread_mutex_unlock(&segment->lock);
    return status;
}

/* The first index whose id is not lower. */
static uint32_t search(const eg_segment *segment, uint32_t count, uint64_t id)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (eg_segment_record(segment, middle)->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

engram_status eg_segment_find(eg_segment *segment, uint64_t id, uint32_t *index,
                              engram_error *error)
{
    EG_TRY(eg_segment_load(segment, error));
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    uint64_t guess = id - segment->first_id;
    if (!segment->ids_contiguous)
        guess = search(segment, count, id);
    if (id < segment->first_id || guess >= count ||
        eg_segment_record(segment, (uint32_t)guess)->id != id) {
        if (segment->bad_count > 0 && !segment->ids_contiguous)
            return eg_fail(error, ENGRAM_DAMAGED,
                           "%s has damaged records, among which may be that of chunk %" PRIu64,
                           eg_segment_name(segment), id);
        return eg_fail(error, ENGRAM_NOT_FOUND, "there is no chunk %" PRIu64, id);
    }
    if (eg_segment_record(segment, (uint32_t)guess)->kind == EG_RECORD_BAD)
        return eg_segment_fail_record(segment, (uint32_t)guess, "the record fails its check",
                                      error);
    *index = (uint32_t)guess;
    return ENGRAM_OK;
}

/* From what is not in the file yet, if it is that. */
static bool read_tail(eg_segment *segment, const eg_chunk_record *record, uint8_t *bytes)
{
    if (record->payload_offset < atomic_load(&segment->in_file))
        return false;
    pthread_mutex_lock(&segment->tail_lock);
    uint64_t in_file = atomic_load(&segment->in_file), size = record->stored_size;
    bool there = record->payload_offset >= in_file;
    uint64_t at = there ? record->payload_offset - in_file : 0;
    const eg_buffer *from = &segment->writing;
    if (there && at >= from->size) {
        at -= from->size;
        from = &segment->tail;
    }
    there = there && at + size <= from->size;
    if (there)
        memcpy(bytes, from->data + at, size);
    pthread_mutex_unlock(&segment->tail_lock);
    return there;
}

engram_status eg_segment_read_payload(eg_segment *segment, const eg_chunk_record *record,
                                      uint8_t *bytes, engram_error *error)
{
    if (record->stored_size == 0)
        return ENGRAM_OK;
    if (segment->memory != NULL) {
        memcpy(bytes, segment->memory + record->payload_offset, record->stored_size);
        return ENGRAM_OK;
    }
    if (segment->is_written_here && read_tail(segment, record, bytes))
        return ENGRAM_OK;
    return segment->io->read(segment->io, segment->file,
                             segment->payload_start + record->payload_offset, bytes,
                             record->stored_size, error);
}

engram_status eg_segment_check_section(eg_segment *segment, const eg_section *section,
                                       engram_error *error)
{
    size_t step = section->size < READ_STEP ? (size_t)section->size : READ_STEP;
    uint8_t *bytes = eg_alloc(step);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to check %s", eg_segment_name(segment));
    uint32_t crc = 0;
    engram_status status = ENGRAM_OK;
    for (uint64_t done = 0; done < section->size && status == ENGRAM_OK;) {
        size_t size = section->size - done < step ? (size_t)(section->size - done) : step;
        status = segment->io->read(segment->io, segment->file, section->offset + done, bytes, size,
                                   error);
        if (status == ENGRAM_OK)
            crc = eg_crc32(crc, bytes, size);
        done += size;
    }
    eg_free(bytes);
    EG_TRY(status);
    return crc == section->crc
               ? ENGRAM_OK
               : fail_at(segment, section->offset, "the section's bytes fail its CRC", error);
}

engram_status eg_segment_read_section(eg_segment *segment, const eg_section *section,
                                      uint8_t **bytes, engram_error *error)
{
    *bytes = NULL;
    uint8_t *read = eg_alloc((size_t)section->size);
    if (read == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a section of %s",
                       eg_segment_name(segment));
    engram_status status = segment->io->read(segment->io, segment->file, section->offset, read,
                                             (size_t)section->size, error);
    if (status == ENGRAM_OK && eg_crc32(0, read, (size_t)section->size) != section->crc)
        status = fail_at(segment, section->offset, "the section's bytes fail its CRC", error);
    if (status != ENGRAM_OK) {
        eg_free(read);
        return status;
    }
    *bytes = read;
    return ENGRAM_OK;
}

/* ---- vectors ---- */

/* Under lock. */
static engram_status check_mapped_size(eg_segment *segment, const eg_section *section,
                                       engram_error *error)
{
    uint64_t size;
    EG_TRY(segment->io->size(segment->io, segment->file, &size, error));
    if (size < section->offset + section->size)
        return eg_fail(error, ENGRAM_IO,
                       "%s was cut short: it ends at %" PRIu64 ", needed %" PRIu64,
                       eg_segment_name(segment), size, section->offset + section->size);
    return ENGRAM_OK;
}

static engram_status check_not_lost(const eg_segment *segment, engram_error *error)
{
    if (!eg_map_guard_lost(segment->mapped))
        return ENGRAM_OK;
    return eg_fail(
        error, ENGRAM_IO,
        "%s: its vectors can no longer be read: the file was cut short, or the disk failed",
        eg_segment_name(segment));
}

/* Under lock. What succeeded is kept, so that a failure can be tried again. */
static engram_status map_vectors(eg_segment *segment, engram_error *error)
{
    const eg_section *section = eg_segment_section(&segment->header, EG_SECTION_VECTORS);
    if (segment->mapped == NULL) {
        EG_TRY(check_mapped_size(segment, section, error));
        EG_TRY(segment->io->map(segment->io, segment->file, section->offset, (size_t)section->size,
                                &segment->mapped, error));
    }
    if (!segment->vectors_checked) {
        uint32_t crc = eg_crc32(0, segment->mapped, (size_t)section->size);
        EG_TRY(check_not_lost(segment, error));
        if (crc != section->crc)
            return fail_at(segment, section->offset, "the vectors fail their CRC", error);
        segment->vectors_checked = true;
    }
    return check_not_lost(segment, error);
}

/* Under lock. */
static engram_status list_ids(eg_segment *segment, engram_error *error)
{
    if (segment->mapped_ids != NULL)
        return ENGRAM_OK;
    uint32_t count = segment->count;
    EG_TRY(load(segment, error));
    if (segment->bad_count > 0 && !segment->ids_contiguous)
        return eg_fail(error, ENGRAM_DAMAGED, "%s has damaged records", eg_segment_name(segment));
    uint64_t *ids = eg_alloc(count * sizeof *ids);
    if (ids == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the ids of %s",
                       eg_segment_name(segment));
    for (uint32_t i = 0; i < count; i++)
        ids[i] = eg_segment_record(segment, i)->id;
    segment->mapped_ids = ids;
    return ENGRAM_OK;
}

/* The first count vectors, where they are. Under lock. */
static eg_vectors vectors_of(const eg_segment *segment, uint32_t count)
{
    if (segment->columns != NULL)
        return eg_rows(segment->columns->vectors, count);
    const eg_section *section = eg_segment_section(&segment->header, EG_SECTION_VECTORS);
    return (eg_vectors){segment->mapped, section->count, 0, count,
                        section->codec == EG_CODEC_PLANES ? EG_LAYOUT_PLANES : EG_LAYOUT_ROWS};
}

static engram_status lend_vectors(eg_segment *segment, eg_vector_span *span, engram_error *error)
{
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    if (segment->columns != NULL) {
        segment->columns->lent = true;
        *span = (eg_vector_span){vectors_of(segment, count), segment->columns->ids};
        return ENGRAM_OK;
    }
    EG_TRY(map_vectors(segment, error));
    EG_TRY(check_mapped_size(segment, eg_segment_section(&segment->header, EG_SECTION_VECTORS),
                             error));
    EG_TRY(list_ids(segment, error));
    *span = (eg_vector_span){vectors_of(segment, count), segment->mapped_ids};
    return ENGRAM_OK;
}

engram_status eg_segment_get_vectors(eg_segment *segment, eg_vector_span *span, engram_error *error)
{
    pthread_mutex_lock(&segment->lock);
    engram_status status = lend_vectors(segment, span, error);
    pthread_mutex_unlock(&segment->lock);
    return status;
}

engram_status eg_segment_get_vector(eg_segment *segment, uint32_t index, uint8_t *vector,
                                    engram_error *error)
{
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&segment->lock);
    if (segment->columns == NULL)
        status = map_vectors(segment, error);
    if (status == ENGRAM_OK) {
        const eg_vectors vectors = vectors_of(segment, index + 1);
        eg_vectors_get(&vectors, index, vector);
        if (segment->columns == NULL)
            status = check_not_lost(segment, error);
    }
    pthread_mutex_unlock(&segment->lock);
    return status;
}

/* ---- open ---- */

/* The list of blocks, once the header has shown that so many records can be. */
static engram_status need_blocks(eg_segment *segment, engram_error *error)
{
    if (segment->blocks != NULL)
        return ENGRAM_OK;
    size_t count = (segment->count + (size_t)EG_SEGMENT_BLOCK - 1) / EG_SEGMENT_BLOCK;
    segment->blocks = eg_alloc_zero(count, sizeof *segment->blocks);
    if (segment->blocks == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    segment->block_count = count;
    return ENGRAM_OK;
}

static engram_status take_sealed(eg_segment *segment, const eg_segment_state *state,
                                 engram_error *error)
{
    const eg_segment_header *header = &segment->header;
    uint64_t payload_size = eg_segment_section(header, EG_SECTION_PAYLOAD)->size;
    if (state->chunk_count > header->chunk_count || state->payload_size > payload_size ||
        (state->chunk_count == header->chunk_count && state->payload_size != payload_size))
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s holds %" PRIu32 " chunks in %" PRIu64 " bytes, %" PRIu64 " in %" PRIu64
                       " were committed",
                       eg_segment_name(segment), header->chunk_count, payload_size,
                       state->chunk_count, state->payload_size);
    segment->ids_contiguous = header->last_id - header->first_id == header->chunk_count - 1;
    EG_TRY(need_blocks(segment, error));
    /* The header tells the last id of all its chunks, of which not all may be committed. */
    return state->chunk_count < header->chunk_count && !segment->ids_contiguous
               ? load(segment, error)
               : ENGRAM_OK;
}

/* The committed vectors of an active file, each checked by its record. */
static engram_status read_columns(eg_segment *segment, uint64_t offset, engram_error *error)
{
    uint32_t count = segment->count;
    if (segment->columns == NULL)
        segment->columns = eg_columns_create(count);
    eg_columns *columns = segment->columns;
    if (columns == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the vectors of %s",
                       eg_segment_name(segment));
    EG_TRY(segment->io->read(segment->io, segment->file, offset, columns->vectors,
                             (size_t)count * EG_SEGMENT_VECTOR_SIZE, error));
    for (uint32_t i = 0; i < count; i++) {
        size_t at = (size_t)i * EG_SEGMENT_VECTOR_SIZE;
        const eg_chunk_record *record = eg_segment_record(segment, i);
        columns->ids[i] = record->id;
        if (eg_vector_check(columns->vectors + at) != record->vector_check)
            return fail_at(segment, offset + at, "the vector fails its check", error);
    }
    return ENGRAM_OK;
}

static uint64_t payload_end(const eg_segment *segment)
{
    const eg_chunk_record *last = eg_segment_record(segment, segment->count - 1);
    return (uint64_t)last->payload_offset + last->stored_size;
}

static bool are_contiguous(const eg_segment *segment)
{
    uint32_t count = segment->count;
    return eg_segment_record(segment, count - 1)->id - segment->first_id == count - 1;
}

static engram_status take_active(eg_segment *segment, const eg_segment_state *state,
                                 engram_error *error)
{
    const eg_segment_header *header = &segment->header;
    const eg_section *records = eg_segment_section(header, EG_SECTION_RECORDS);
    const eg_section *vectors = eg_segment_section(header, EG_SECTION_VECTORS);
    if (state->chunk_count > records->size / EG_SEGMENT_RECORD_SIZE ||
        state->chunk_count > vectors->size / EG_SEGMENT_VECTOR_SIZE ||
        state->payload_size > eg_segment_section(header, EG_SECTION_PAYLOAD)->size)
        return eg_fail(error, ENGRAM_DAMAGED, "%s has no room for what was committed",
                       eg_segment_name(segment));
    EG_TRY(need_blocks(segment, error));
    record_check check = {
        .last_id = UINT64_MAX, .follows = true, .payload_size = state->payload_size};
    segment->ids_contiguous = false;
    EG_TRY(read_records(segment, records->offset, check, error));
    for (uint32_t i = 0; i < segment->count && segment->bad_count > 0; i++)
        if (eg_segment_record(segment, i)->kind == EG_RECORD_BAD)
            return fail_at(segment, records->offset + (uint64_t)i * EG_SEGMENT_RECORD_SIZE,
                           "the record fails its check", error);
    if (payload_end(segment) != state->payload_size)
        return fail_at(segment, records->offset, "the records do not add up to what was committed",
                       error);
    EG_TRY(read_columns(segment, vectors->offset, error));
    segment->first_id = eg_segment_record(segment, 0)->id;
    segment->ids_contiguous = are_contiguous(segment);
    atomic_store(&segment->loaded, true);
    return ENGRAM_OK;
}

static engram_status read_header(eg_segment *segment, engram_error *error)
{
    eg_segment_header header;
    EG_TRY(eg_segment_header_read(segment->io, segment->file, segment->id, &header, error));
    segment->header = header;
    segment->first_id = header.first_id;
    segment->level = header.level;
    segment->payload_start = eg_segment_section(&header, EG_SECTION_PAYLOAD)->offset;
    return ENGRAM_OK;
}

/* Takes what the file is now. When an active one looks damaged, its writer may just have sealed
 * it and cut off what was being read: then it is taken as sealed. */
static engram_status take_file(eg_segment *segment, const eg_segment_state *state,
                               engram_error *error)
{
    engram_error reason = {0};
    EG_TRY(read_header(segment, error));
    if (segment->header.stage == EG_SEGMENT_SEALED)
        return take_sealed(segment, state, error);
    engram_status status = take_active(segment, state, &reason);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    if (status != ENGRAM_DAMAGED || read_header(segment, NULL) != ENGRAM_OK ||
        segment->header.stage != EG_SEGMENT_SEALED)
        return eg_fail(error, status, "%s", reason.message);
    eg_columns_free(segment->columns);
    segment->columns = NULL;
    return take_sealed(segment, state, error);
}

static engram_status open_file(eg_segment *segment, const char *dir, engram_error *error)
{
    char *path = eg_segment_path(dir, segment->id);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    engram_error reason = {0};
    engram_status status =
        segment->io->open(segment->io, path, EG_OPEN_READ, &segment->file, &reason);
    if (status == ENGRAM_NOT_FOUND)
        status = eg_fail(error, ENGRAM_DAMAGED, "%s is missing", path);
    else if (status != ENGRAM_OK)
        eg_fail(error, status, "%s", reason.message);
    eg_free(path);
    return status;
}

engram_status eg_segment_open(eg_io *io, const char *dir, const eg_segment_state *state,
                              eg_segment **segment, engram_error *error)
{
    engram_status status;
    *segment = NULL;
    if (state->id == 0 || state->id > EG_SEGMENT_ID_MAX || state->chunk_count == 0 ||
        state->chunk_count > UINT32_MAX / 2)
        return eg_fail(error, ENGRAM_INVALID, "segment %" PRIu64 " with %" PRIu64 " chunks",
                       state->id, state->chunk_count);
    eg_segment *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a segment");
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->sync_lock, NULL);
    pthread_mutex_init(&made->tail_lock, NULL);
    pthread_mutex_init(&made->tail_write_lock, NULL);
    made->io = io;
    made->id = (uint32_t)state->id;
    made->count = (uint32_t)state->chunk_count;
    made->synced = made->count;
    made->told = made->count;
    made->payload_size = state->payload_size;
    EG_TRY_DONE(open_file(made, dir, error));
    EG_TRY_DONE(take_file(made, state, error));
    *segment = made;
    made = NULL;
done:
    eg_segment_free(made);
    return status;
}

bool eg_segment_is_exact(const eg_segment *segment)
{
    return segment->header.stage == EG_SEGMENT_SEALED &&
           segment->header.chunk_count == segment->count;
}
