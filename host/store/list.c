/* The list of segments that readers walk without a lock. */
#include "base/memory.h"
#include "store/internal.h"

enum { CAPACITY_FIRST = 16 };

eg_segments eg_store_segments(eg_store *store)
{
    eg_segment_list *list = atomic_load_explicit(&store->list, memory_order_acquire);
    if (list == NULL)
        return (eg_segments){NULL, 0};
    return (eg_segments){list->segments, atomic_load_explicit(&list->count, memory_order_acquire)};
}

engram_status eg_store_list_reserve(eg_store *store, engram_error *error)
{
    eg_segment_list *list = atomic_load(&store->list);
    size_t count = list == NULL ? 0 : atomic_load(&list->count);
    if (list != NULL && count < list->capacity)
        return ENGRAM_OK;
    size_t capacity = list == NULL ? CAPACITY_FIRST : 2 * list->capacity;
    eg_segment_list *grown = eg_alloc(sizeof *grown + capacity * sizeof grown->segments[0]);
    if (grown == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the list of segments");
    grown->older = list;
    grown->capacity = capacity;
    atomic_init(&grown->count, count);
    for (size_t i = 0; i < count; i++)
        grown->segments[i] = list->segments[i];
    atomic_store_explicit(&store->list, grown, memory_order_release);
    return ENGRAM_OK;
}

void eg_store_list_add(eg_store *store, eg_segment *segment)
{
    eg_segment_list *list = atomic_load(&store->list);
    size_t count = atomic_load(&list->count);
    list->segments[count] = segment;
    atomic_store_explicit(&list->count, count + 1, memory_order_release);
}

void eg_store_list_free(eg_store *store)
{
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < segments.count; i++)
        eg_segment_free(segments.at[i]);
    eg_segment_list *list = atomic_load(&store->list);
    while (list != NULL) {
        eg_segment_list *older = list->older;
        eg_free(list);
        list = older;
    }
    atomic_store(&store->list, NULL);
}

uint64_t eg_store_last_id(const eg_segment *segment)
{
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    if (segment->ids_contiguous)
        return segment->first_id + count - 1;
    if (atomic_load_explicit(&segment->loaded, memory_order_acquire))
        return eg_segment_record(segment, count - 1)->id;
    return segment->header.last_id; /* not loaded: opened sealed, so that the header stays */
}

eg_segment *eg_store_segment_of(eg_store *store, uint64_t id)
{
    eg_segments segments = eg_store_segments(store);
    size_t low = 0, high = segments.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segments.at[middle]->first_id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : segments.at[low - 1];
}
