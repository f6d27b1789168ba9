/* The writing half: append, sync, seal. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "store/internal.h"

/* ---- failure is final ---- */

static engram_status fail_for_good(eg_store *store, engram_status status,
                                   const engram_error *reason)
{
    pthread_mutex_lock(&store->failure_lock);
    if (!atomic_load(&store->failed)) {
        store->failure = *reason;
        store->failure.status = status;
        atomic_store(&store->failed, true);
    }
    pthread_mutex_unlock(&store->failure_lock);
    return status;
}

static engram_status forward(engram_status status, const engram_error *reason, engram_error *error)
{
    if (error != NULL && error->status == ENGRAM_OK)
        *error = *reason;
    return status;
}

engram_status eg_store_check_writable(eg_store *store, engram_error *error)
{
    if (store->options.read_only)
        return eg_fail(error, ENGRAM_INVALID, "%s was opened read-only", store->dir);
    if (!atomic_load(&store->failed))
        return ENGRAM_OK;
    pthread_mutex_lock(&store->failure_lock);
    engram_error reason = store->failure;
    pthread_mutex_unlock(&store->failure_lock);
    return eg_fail(error, reason.status, "%s takes nothing more until it is opened again: %.800s",
                   store->dir, reason.message);
}

/* ---- sync ---- */

engram_status eg_store_sync_segment(void *context, eg_segment *segment, engram_error *error)
{
    eg_store *store = context;
    engram_error reason = {0};
    pthread_mutex_lock(&store->sync_lock);
    engram_status status = eg_store_check_writable(store, error);
    if (status == ENGRAM_OK) {
        status = store->io->sync(store->io, segment->file, &reason);
        if (status != ENGRAM_OK) {
            fail_for_good(store, status, &reason);
            forward(status, &reason, error);
        }
    }
    pthread_mutex_unlock(&store->sync_lock);
    return status;
}

/* Under sync_lock. The target is taken before the segment: chunks counted in it are in that segment
 * or in ones that sealing has synced. */
static engram_status sync_active(eg_store *store, engram_error *error)
{
    EG_TRY(eg_store_check_writable(store, error));
    uint64_t target = atomic_load(&store->appended);
    eg_segment *segment = atomic_load(&store->active);
    if (segment != NULL && store->synced < target)
        EG_TRY(store->io->sync(store->io, segment->file, error));
    store->synced = target;
    return ENGRAM_OK;
}

engram_status eg_store_sync(eg_store *store, engram_error *error)
{
    engram_error reason = {0};
    if (store->options.read_only)
        return ENGRAM_OK;
    pthread_mutex_lock(&store->sync_lock);
    engram_status status = sync_active(store, &reason);
    if (status != ENGRAM_OK)
        fail_for_good(store, status, &reason);
    pthread_mutex_unlock(&store->sync_lock);
    return status == ENGRAM_OK ? ENGRAM_OK : forward(status, &reason, error);
}

/* ---- seal ---- */

static engram_status seal_active(eg_store *store, engram_error *error)
{
    eg_segment *segment = atomic_load(&store->active);
    EG_TRY(eg_segment_seal(segment, eg_store_sync_segment, store, error));
    atomic_store(&store->active, NULL);
    return ENGRAM_OK;
}

engram_status eg_store_seal(eg_store *store, engram_error *error)
{
    EG_TRY(eg_store_check_writable(store, error));
    if (atomic_load(&store->active) == NULL)
        return ENGRAM_OK;
    engram_error reason = {0};
    engram_status status = seal_active(store, &reason);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    fail_for_good(store, status, &reason);
    return forward(status, &reason, error);
}

/* ---- append ---- */

static engram_status check_chunk(const eg_new_chunk *chunk, engram_error *error)
{
    bool is_delta = chunk->kind == EG_CORRECTION_DELTA;
    if (chunk->kind < EG_CORRECTION_DELTA || chunk->kind > EG_CORRECTION_VERBATIM)
        return eg_fail(error, ENGRAM_INVALID, "a chunk of kind %d", (int)chunk->kind);
    if (chunk->size > EG_CHUNK_BYTES_MAX || chunk->correction.size > chunk->size ||
        (chunk->kind == EG_CORRECTION_VERBATIM && chunk->correction.size != chunk->size))
        return eg_fail(error, ENGRAM_INVALID, "a chunk of %" PRIu32 " bytes, %zu stored",
                       chunk->size, chunk->correction.size);
    if (is_delta != (chunk->base != 0) || is_delta != (chunk->depth != 0) ||
        chunk->depth > EG_CHUNK_DEPTH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "a chunk of depth %u on base %" PRIu64, chunk->depth,
                       chunk->base);
    return ENGRAM_OK;
}

static engram_status start_segment(eg_store *store, engram_error *error)
{
    if (store->next_segment > EG_SEGMENT_ID_MAX)
        return eg_fail(error, ENGRAM_NO_SPACE, "%s has no number left for a segment", store->dir);
    eg_segment_plan plan = {.id = store->next_segment,
                            .first_id = store->next_id,
                            .payload_size = store->options.segment_size};
    eg_segment *segment;
    EG_TRY(eg_store_list_reserve(store, error));
    EG_TRY(eg_segment_create(store->io, store->dir, &plan, &segment, error));
    store->next_segment++;
    atomic_store(&store->active, segment);
    return ENGRAM_OK;
}

static engram_status add_chunk(eg_store *store, eg_segment *segment, const eg_new_chunk *chunk,
                               uint64_t id, engram_error *error)
{
    eg_chunk_record record = {.id = id,
                              .version = chunk->version,
                              .created_ns = chunk->created_ns,
                              .base = chunk->base,
                              .size = chunk->size,
                              .spread = chunk->spread,
                              .stored_size = (uint32_t)chunk->correction.size,
                              .kind = (uint8_t)chunk->kind,
                              .depth = chunk->depth};
    memcpy(record.fingerprint, chunk->fingerprint.bytes, sizeof record.fingerprint);
    EG_TRY(eg_segment_add(segment, &store->stage, &record, chunk->vector, chunk->correction.data,
                          error));
    /* Found before it is published, it is taken for a chunk that is not there. */
    if (store->dedup != NULL)
        EG_TRY(eg_dedup_add(store->dedup, eg_fingerprint_prefix(record.fingerprint), id, error));
    return ENGRAM_OK;
}

static void publish(eg_store *store, eg_segment *segment, size_t count)
{
    bool first = atomic_load(&segment->count) == 0;
    eg_segment_publish(segment);
    if (first)
        eg_store_list_add(store, segment);
    atomic_fetch_add(&store->next_id, count);
    atomic_fetch_add(&store->appended, 1);
}

/* Appends as many as the active segment takes. */
static engram_status append_run(eg_store *store, const eg_new_chunk *chunks, size_t count,
                                uint64_t *ids, size_t *taken, engram_error *error)
{
    eg_segment *segment = atomic_load(&store->active);
    uint64_t first = store->next_id;
    size_t room = EG_SEGMENT_CHUNKS_MAX - segment->appended;
    size_t done = 0;
    count = count < room ? count : room;
    EG_TRY(eg_segment_reserve(segment, (uint32_t)count, error));
    while (done < count && !eg_segment_is_full(segment)) {
        EG_TRY(add_chunk(store, segment, &chunks[done], first + done, error));
        ids[done] = first + done;
        done++;
    }
    EG_TRY(eg_segment_flush(segment, &store->stage, error));
    publish(store, segment, done);
    *taken = done;
    return ENGRAM_OK;
}

static engram_status append_all(eg_store *store, const eg_new_chunk *chunks, size_t count,
                                uint64_t *ids, engram_error *error)
{
    for (size_t done = 0, taken; done < count; done += taken) {
        if (atomic_load(&store->active) == NULL)
            EG_TRY(start_segment(store, error));
        EG_TRY(append_run(store, chunks + done, count - done, ids + done, &taken, error));
        if (eg_segment_is_full(atomic_load(&store->active)))
            EG_TRY(seal_active(store, error));
    }
    return ENGRAM_OK;
}

engram_status eg_store_append(eg_store *store, const eg_new_chunk *chunks, size_t count,
                              uint64_t *ids, engram_error *error)
{
    EG_TRY(eg_store_check_writable(store, error));
    for (size_t i = 0; i < count; i++)
        EG_TRY(check_chunk(&chunks[i], error));
    engram_error reason = {0};
    engram_status status = append_all(store, chunks, count, ids, &reason);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    fail_for_good(store, status, &reason);
    return forward(status, &reason, error);
}
