/* What the store's owner keeps of its segments. Segments in memory have no states. */
#include <stdlib.h>

#include "base/memory.h"
#include "store/internal.h"

/* Of a segment written here the last record tells how far its corrections go: the count and the
 * sum of one moment. Of one that was opened the sum never changes. */
static eg_segment_state state_of(const eg_segment *segment, uint32_t count)
{
    uint64_t payload_size = atomic_load(&segment->payload_size);
    if (segment->is_written_here) {
        const eg_chunk_record *last = eg_segment_record(segment, count - 1);
        payload_size = (uint64_t)last->payload_offset + last->stored_size;
    }
    return (eg_segment_state){.id = segment->id,
                              .chunk_count = count,
                              .payload_size = payload_size,
                              .level = segment->level};
}

static int compare_states(const void *a, const void *b)
{
    const eg_segment_state *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static engram_status get_states(eg_store *store, bool synced, eg_segment_state **states,
                                size_t *count, engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    size_t n = 0;
    *count = 0;
    *states = eg_alloc((segments.count + store->damage_count) * sizeof **states);
    if (*states == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the states of segments");
    for (size_t i = 0; i < store->damage_count; i++)
        if (store->damages[i].is_lost)
            (*states)[n++] = store->damages[i].state;
    for (size_t i = segments.count; i-- > 0;) { /* see eg_store_take_synced */
        const eg_segment *segment = segments.at[i];
        uint32_t chunks = synced ? atomic_load(&segment->synced)
                                 : atomic_load_explicit(&segment->count, memory_order_acquire);
        if (chunks > 0 && segment->memory == NULL)
            (*states)[n++] = state_of(segment, chunks);
    }
    qsort(*states, n, sizeof **states, compare_states);
    *count = n;
    return ENGRAM_OK;
}

engram_status eg_store_get_states(eg_store *store, eg_segment_state **states, size_t *count,
                                  engram_error *error)
{
    return get_states(store, false, states, count, error);
}

engram_status eg_store_get_synced_states(eg_store *store, eg_segment_state **states, size_t *count,
                                         engram_error *error)
{
    return get_states(store, true, states, count, error);
}

engram_status eg_store_get_levels(eg_store *store, eg_segment_state **states, size_t *count,
                                  engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    *count = 0;
    *states = eg_alloc((segments.count + 1) * sizeof **states);
    if (*states == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the states of segments");
    for (size_t i = 0; i < segments.count; i++)
        if (eg_segment_is_at_rest(segments.at[i]))
            (*states)[(*count)++] = state_of(segments.at[i], segments.at[i]->count);
    return ENGRAM_OK;
}

/* Segments behind the first that is not told whole grow no more, so that the search for what has
 * grown begins there. */
static void skip_told(eg_store *store, eg_segments segments)
{
    while (store->told_from + 1 < segments.count) {
        const eg_segment *segment = segments.at[store->told_from];
        if (segment->told < atomic_load_explicit(&segment->count, memory_order_acquire))
            return;
        store->told_from++;
    }
}

engram_status eg_store_take_synced(eg_store *store, eg_segment_state **states, size_t *count,
                                   engram_error *error)
{
    uint64_t synced_id = atomic_load(&store->synced_id);
    *states = NULL;
    *count = 0;
    if (synced_id == store->told_id)
        return ENGRAM_OK;
    eg_segments segments = eg_store_segments(store);
    size_t n = 0;
    *states = eg_alloc((segments.count - store->told_from) * sizeof **states);
    if (*states == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the states of segments");
    /* From the last on: where it has durable chunks, those before are durable as a whole by now. */
    for (size_t i = segments.count; i-- > store->told_from;) {
        eg_segment *segment = segments.at[i];
        uint32_t synced = atomic_load(&segment->synced);
        if (synced <= segment->told)
            continue;
        segment->told = synced;
        (*states)[n++] = state_of(segment, synced);
    }
    store->told_id = synced_id;
    skip_told(store, segments);
    qsort(*states, n, sizeof **states, compare_states);
    *count = n;
    if (n == 0) {
        eg_free(*states);
        *states = NULL;
    }
    return ENGRAM_OK;
}

uint64_t eg_store_told_id(const eg_store *store)
{
    return store->told_id;
}
