/* What is durable: syncs, and the failure that ends them.
 *
 * Segments become durable in the order of their ids: whoever syncs one has seen that those before
 * it are. So synced_id is one number, and an extent that is told never stands beyond a gap. */
#include "store/internal.h"

/* ---- failure is final ---- */

engram_status eg_store_fail(eg_store *store, engram_status status, const engram_error *reason,
                            engram_error *error)
{
    pthread_mutex_lock(&store->failure_lock);
    if (!atomic_load(&store->failed)) {
        store->failure = *reason;
        store->failure.status = status;
        atomic_store(&store->failed, true);
    }
    pthread_mutex_unlock(&store->failure_lock);
    if (error != NULL && error->status == ENGRAM_OK)
        *error = *reason;
    return status;
}

engram_status eg_store_check_alive(eg_store *store, engram_error *error)
{
    if (!atomic_load(&store->failed))
        return ENGRAM_OK;
    pthread_mutex_lock(&store->failure_lock);
    engram_error reason = store->failure;
    pthread_mutex_unlock(&store->failure_lock);
    return eg_fail(error, reason.status, "%s takes nothing more until it is opened again: %.800s",
                   store->dir, reason.message);
}

engram_status eg_store_check_writable(eg_store *store, engram_error *error)
{
    if (store->options.read_only)
        return eg_fail(error, ENGRAM_INVALID, "%s was opened read-only", store->dir);
    return eg_store_check_alive(store, error);
}

/* ---- sync ---- */

static void raise_synced(eg_store *store, const eg_segment *segment, uint32_t count)
{
    uint64_t id = eg_segment_record(segment, count - 1)->id;
    uint64_t before = atomic_load(&store->synced_id);
    while (before < id && !atomic_compare_exchange_weak(&store->synced_id, &before, id))
        ;
}

/* Under the segment's sync_lock, with no failure known. */
static engram_status sync_file(eg_store *store, eg_segment *segment, uint32_t flush,
                               uint32_t durable, engram_error *error)
{
    EG_TRY(eg_segment_flush(segment, flush, error));
    EG_TRY(store->io->sync(store->io, segment->file, error));
    if (durable > atomic_load(&segment->synced)) {
        atomic_store(&segment->synced, durable);
        raise_synced(store, segment, durable);
    }
    return ENGRAM_OK;
}

static engram_status sync_or_fail(eg_store *store, eg_segment *segment, uint32_t flush,
                                  uint32_t durable, engram_error *error)
{
    engram_error reason = {0};
    EG_TRY(eg_store_check_writable(store, error));
    engram_status status = sync_file(store, segment, flush, durable, &reason);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_store_fail(store, status, &reason, error);
}

engram_status eg_store_sync_sealing(void *context, eg_segment *segment, uint32_t durable,
                                    engram_error *error)
{
    pthread_mutex_lock(&segment->sync_lock);
    engram_status status = sync_or_fail(context, segment, 0, durable, error);
    pthread_mutex_unlock(&segment->sync_lock);
    return status;
}

static bool is_synced(const eg_segment *segment)
{
    return atomic_load(&segment->synced) >=
           atomic_load_explicit(&segment->count, memory_order_acquire);
}

/* All that is published; nothing when another thread has done it while this one waited. */
static engram_status sync_segment(eg_store *store, eg_segment *segment, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&segment->sync_lock);
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    if (atomic_load(&segment->synced) < count)
        status = sync_or_fail(store, segment, count, count, error);
    pthread_mutex_unlock(&segment->sync_lock);
    return status;
}

engram_status eg_store_sync(eg_store *store, engram_error *error)
{
    if (store->options.read_only)
        return ENGRAM_OK;
    EG_TRY(eg_store_check_alive(store, error));
    if (atomic_load(&store->last_id) <= atomic_load(&store->synced_id))
        return ENGRAM_OK;
    eg_segments segments = eg_store_segments(store);
    size_t first = segments.count;
    while (first > 0 && !is_synced(segments.at[first - 1]))
        first--;
    for (size_t i = first; i < segments.count; i++)
        EG_TRY(sync_segment(store, segments.at[i], error));
    return ENGRAM_OK;
}

uint64_t eg_store_synced_id(eg_store *store)
{
    return atomic_load(&store->synced_id);
}
