/* Recovery of a writer: what the files hold beyond the committed counts is left behind.
 *
 * A segment that is not sealed at exactly the committed count is never repaired in place. Its
 * committed chunks are copied into a new file with a new number, sealed and synced; the old file
 * stays as it was until the caller has made the new states durable and sweeps. A crash in between
 * leaves a file that no state names. */
#include <inttypes.h>

#include "base/memory.h"
#include "store/internal.h"

static engram_status note_name(void *context, const char *name)
{
    uint32_t *highest = context;
    uint32_t id;
    if (eg_segment_parse_name(name, &id) && id > *highest)
        *highest = id;
    return ENGRAM_OK;
}

engram_status eg_store_number_segments(eg_store *store, engram_error *error)
{
    uint32_t highest = 0;
    EG_TRY(store->io->list(store->io, store->dir, note_name, &highest, error));
    if (highest >= atomic_load(&store->next_segment))
        atomic_store(&store->next_segment, highest + 1);
    return ENGRAM_OK;
}

engram_status eg_store_take_number(eg_store *store, uint32_t *number, engram_error *error)
{
    *number = atomic_load(&store->next_segment);
    do {
        if (*number > EG_SEGMENT_ID_MAX)
            return eg_fail(error, ENGRAM_NO_SPACE, "%s has no number left for a segment",
                           store->dir);
    } while (!atomic_compare_exchange_weak(&store->next_segment, number, *number + 1));
    return ENGRAM_OK;
}

static engram_status copy_chunk(eg_segment *old, eg_segment *fresh, const eg_vector_span *vectors,
                                uint32_t index, eg_buffer *bytes, engram_error *error)
{
    eg_chunk_record record = *eg_segment_record(old, index);
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
    eg_buffer_clear(bytes);
    if (eg_buffer_extend(bytes, record.stored_size) == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to recover a segment");
    EG_TRY(eg_segment_read_payload(old, &record, bytes->data, error));
    EG_TRY(eg_segment_reserve(fresh, 1, error));
    eg_vectors_get(&vectors->vectors, index, vector);
    return eg_segment_add(fresh, &record, vector, bytes->data, error);
}

static engram_status copy_chunks(eg_store *store, eg_segment *old, eg_segment *fresh,
                                 engram_error *error)
{
    engram_status status = ENGRAM_OK;
    eg_vector_span vectors;
    eg_buffer bytes = {0};
    EG_TRY(eg_segment_get_vectors(old, &vectors, error));
    for (uint32_t i = 0; i < vectors.vectors.count && status == ENGRAM_OK; i++)
        status = copy_chunk(old, fresh, &vectors, i, &bytes, error);
    eg_buffer_fini(&bytes);
    EG_TRY(status);
    eg_segment_publish(fresh);
    EG_TRY(eg_segment_seal(fresh, eg_store_sync_sealing, store, error));
    fresh->told = fresh->count;
    return ENGRAM_OK;
}

/* All records are good and add up to what was committed. */
static engram_status check_old(eg_segment *old, engram_error *error)
{
    EG_TRY(eg_segment_load(old, error));
    uint32_t count = old->count;
    for (uint32_t i = 0; i < count && old->bad_count > 0; i++)
        if (eg_segment_record(old, i)->kind == EG_RECORD_BAD)
            return eg_segment_fail_record(old, i, "the record fails its check", error);
    const eg_chunk_record *last = eg_segment_record(old, count - 1);
    uint64_t end = (uint64_t)last->payload_offset + last->stored_size;
    if (end != old->payload_size)
        return eg_segment_fail_record(old, count - 1, "the corrections do not end where committed",
                                      error);
    if (count > EG_SEGMENT_CHUNKS_MAX)
        return eg_segment_fail_record(old, count - 1, "more chunks than a writer appends", error);
    return ENGRAM_OK;
}

engram_status eg_store_recover_segment(eg_store *store, eg_segment *old, eg_segment **fresh,
                                       engram_error *error)
{
    *fresh = NULL;
    EG_TRY(check_old(old, error));
    eg_segment_plan plan = {.level = old->level, .payload_size = old->payload_size};
    eg_segment *copy;
    EG_TRY(eg_store_take_number(store, &plan.id, error));
    EG_TRY(eg_segment_create(store->io, store->dir, &plan, &copy, error));
    engram_status status = copy_chunks(store, old, copy, error);
    if (status != ENGRAM_OK) {
        eg_segment_free(copy);
        return status;
    }
    *fresh = copy;
    return ENGRAM_OK;
}

engram_status eg_store_trim_segment(eg_store *store, eg_segment *segment, engram_error *error)
{
    eg_io *io = store->io;
    uint64_t size, end = eg_segment_end(&segment->header);
    EG_TRY(io->size(io, segment->file, &size, error));
    if (size <= end)
        return ENGRAM_OK;
    eg_file *file = NULL;
    EG_TRY(io->open(io, eg_segment_name(segment), EG_OPEN_WRITE, &file, error));
    /* The sealed header may be there without being durable: only then what it replaces may go. */
    engram_status status = io->sync(io, file, error);
    if (status == ENGRAM_OK)
        status = io->truncate(io, file, end, error);
    if (status == ENGRAM_OK)
        status = io->sync(io, file, error);
    io->close(io, &file);
    return status;
}
