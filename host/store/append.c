/* Appending, and handing over what is full.
 *
 * A store that was opened read-only appends to segments in memory: its owner replays a journal. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "store/internal.h"

engram_status eg_store_check_chunk(const eg_new_chunk *chunk, size_t place, engram_error *error)
{
    bool is_delta = chunk->kind == EG_CORRECTION_DELTA;
    if (chunk->kind < EG_CORRECTION_DELTA || chunk->kind > EG_CORRECTION_VERBATIM)
        return eg_fail(error, ENGRAM_INVALID, "a chunk of kind %d", (int)chunk->kind);
    if (chunk->size > EG_CHUNK_BYTES_MAX || chunk->correction.size > chunk->size ||
        (chunk->kind == EG_CORRECTION_VERBATIM && chunk->correction.size != chunk->size))
        return eg_fail(error, ENGRAM_INVALID, "a chunk of %" PRIu32 " bytes, %zu stored",
                       chunk->size, chunk->correction.size);
    if (is_delta != ((chunk->base != 0) != (chunk->base_before != 0)) || is_delta != (chunk->depth != 0) ||
        chunk->depth > EG_CHUNK_DEPTH_MAX || chunk->base_before > place)
        return eg_fail(error, ENGRAM_INVALID, "a chunk of depth %u on base %" PRIu64, chunk->depth,
                       chunk->base);
    return ENGRAM_OK;
}

/* Which id each chunk gets. */
static engram_status assign_ids(const eg_store *store, const eg_new_chunk *chunks, size_t count,
                                uint64_t *ids, engram_error *error)
{
    uint64_t next = atomic_load(&store->next_id);
    for (size_t i = 0; i < count; i++) {
        ids[i] = chunks[i].id != 0 ? chunks[i].id : next;
        if (ids[i] < next || ids[i] == UINT64_MAX)
            return eg_fail(error, ENGRAM_INVALID,
                           "a chunk cannot have the id %" PRIu64 ", the next one is %" PRIu64,
                           ids[i], next);
        next = ids[i] + 1;
    }
    return ENGRAM_OK;
}

static engram_status start_segment(eg_store *store, engram_error *error)
{
    eg_segment_plan plan = {.payload_size = store->options.segment_size};
    eg_segment *segment;
    EG_TRY(eg_store_list_reserve(store, error));
    if (store->options.read_only)
        EG_TRY(eg_segment_create_in_memory(store->io, &plan, &segment, error));
    else
        EG_TRY(eg_sealer_next_segment(store, &segment, error));
    store->active = segment;
    store->spare_wanted = false;
    return ENGRAM_OK;
}

/* id: of this chunk, after those of the ones before it. */
static engram_status add_chunk(eg_store *store, eg_segment *segment, const eg_new_chunk *chunk,
                               const uint64_t *id, engram_error *error)
{
    eg_chunk_record record = {.id = *id,
                              .version = chunk->version,
                              .created_ns = chunk->created_ns,
                              .base = chunk->base_before != 0 ? *(id - chunk->base_before) : chunk->base,
                              .size = chunk->size,
                              .spread = chunk->spread,
                              .stored_size = (uint32_t)chunk->correction.size,
                              .kind = (uint8_t)chunk->kind,
                              .depth = chunk->depth};
    memcpy(record.fingerprint, chunk->fingerprint.bytes, sizeof record.fingerprint);
    EG_TRY(eg_segment_add(segment, &record, chunk->vector, chunk->correction.data,
                          error));
    /* Found before it is published, it is taken for a chunk that is not there. */
    if (store->dedup != NULL)
        EG_TRY(eg_dedup_add(store->dedup, eg_fingerprint_prefix(record.fingerprint), *id, error));
    return ENGRAM_OK;
}

static void publish(eg_store *store, eg_segment *segment, uint64_t last_id)
{
    bool first = atomic_load(&segment->count) == 0;
    eg_segment_publish(segment);
    if (first)
        eg_store_list_add(store, segment);
    atomic_store(&store->last_id, last_id);
    atomic_store(&store->next_id, last_id + 1); /* who sees it can sync what it stands for */
}

/* Appends as many as the active segment takes. */
static engram_status append_run(eg_store *store, const eg_new_chunk *chunks, size_t count,
                                const uint64_t *ids, size_t *taken, engram_error *error)
{
    eg_segment *segment = store->active;
    size_t room = EG_SEGMENT_CHUNKS_MAX - segment->appended;
    size_t done = 0;
    count = count < room ? count : room;
    EG_TRY(eg_segment_reserve(segment, (uint32_t)count, error));
    while (done < count && !eg_segment_is_full(segment)) {
        EG_TRY(add_chunk(store, segment, &chunks[done], &ids[done], error));
        done++;
    }
    publish(store, segment, ids[done - 1]);
    *taken = done;
    return ENGRAM_OK;
}

static engram_status end_segment(eg_store *store, engram_error *error)
{
    if (!store->options.read_only) {
        EG_TRY(eg_segment_write_tail(store->active, error));
        EG_TRY(eg_sealer_give(store, store->active, error));
    }
    store->active = NULL;
    return ENGRAM_OK;
}

/* The next file is made while this one is being filled. */
static void prepare_next(eg_store *store)
{
    if (store->spare_wanted || store->options.read_only || !eg_segment_is_half_full(store->active))
        return;
    store->spare_wanted = true;
    eg_sealer_want_spare(store);
}

static engram_status append_all(eg_store *store, const eg_new_chunk *chunks, size_t count,
                                const uint64_t *ids, engram_error *error)
{
    for (size_t done = 0, taken; done < count; done += taken) {
        if (store->active == NULL)
            EG_TRY(start_segment(store, error));
        EG_TRY(append_run(store, chunks + done, count - done, ids + done, &taken, error));
        prepare_next(store);
        if (eg_segment_is_full(store->active))
            EG_TRY(end_segment(store, error));
    }
    return ENGRAM_OK;
}

/* Under append_lock. */
static engram_status append_locked(eg_store *store, const eg_new_chunk *chunks, size_t count,
                                   uint64_t *ids, engram_error *error)
{
    engram_error reason = {0};
    EG_TRY(eg_store_check_alive(store, error));
    EG_TRY(assign_ids(store, chunks, count, ids, error));
    engram_status status = append_all(store, chunks, count, ids, &reason);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_store_fail(store, status, &reason, error);
}

engram_status eg_store_append(eg_store *store, const eg_new_chunk *chunks, size_t count,
                              uint64_t *ids, engram_error *error)
{
    for (size_t i = 0; i < count; i++)
        EG_TRY(eg_store_check_chunk(&chunks[i], i, error));
    pthread_mutex_lock(&store->append_lock);
    engram_status status = append_locked(store, chunks, count, ids, error);
    pthread_mutex_unlock(&store->append_lock);
    return status;
}

void eg_store_write_behind(eg_store *store)
{
    engram_error reason = {0};
    if (store->options.read_only || atomic_load(&store->failed))
        return;
    pthread_mutex_lock(&store->append_lock);
    eg_segment *segment = store->active;
    bool is_due = segment != NULL && eg_segment_has_long_tail(segment);
    pthread_mutex_unlock(&store->append_lock);
    engram_status status = is_due ? eg_segment_write_tail(segment, &reason) : ENGRAM_OK;
    if (status != ENGRAM_OK)
        eg_store_fail(store, status, &reason, NULL);
}

/* Under append_lock. */
static engram_status end_active(eg_store *store, engram_error *error)
{
    engram_error reason = {0};
    if (store->active == NULL)
        return ENGRAM_OK;
    engram_status status = end_segment(store, &reason);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_store_fail(store, status, &reason, error);
}

engram_status eg_store_seal(eg_store *store, engram_error *error)
{
    EG_TRY(eg_store_check_writable(store, error));
    pthread_mutex_lock(&store->append_lock);
    engram_status status = end_active(store, error);
    pthread_mutex_unlock(&store->append_lock);
    EG_TRY(status);
    EG_TRY(eg_sealer_wait(store, error));
    return eg_sealer_drop_spare(store, error);
}

uint64_t eg_store_next_id(eg_store *store)
{
    return atomic_load(&store->next_id);
}

void eg_store_raise_next_id(eg_store *store, uint64_t next_id)
{
    pthread_mutex_lock(&store->append_lock);
    if (next_id > atomic_load(&store->next_id))
        atomic_store(&store->next_id, next_id);
    pthread_mutex_unlock(&store->append_lock);
}
