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

static bool is_among(const eg_segment *segment, eg_segment *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == segment)
            return true;
    return false;
}

static void fill_without(eg_segment_list *made, const eg_segment_list *list,
                         eg_segment *const *old, size_t old_count, eg_segment *fresh)
{
    size_t n = 0, count = atomic_load(&list->count);
    for (size_t i = 0; i < count; i++) {
        if (list->segments[i] == old[0] && fresh != NULL)
            made->segments[n++] = fresh;
        if (!is_among(list->segments[i], old, old_count))
            made->segments[n++] = list->segments[i];
    }
    atomic_init(&made->count, n);
}

/* Under append_lock. */
static engram_status replace(eg_store *store, eg_segment *const *old, size_t old_count,
                             eg_segment *fresh, engram_error *error)
{
    eg_segment_list *list = atomic_load(&store->list);
    size_t capacity = list->capacity + 1;
    eg_segment_list *made = eg_alloc(sizeof *made + capacity * sizeof made->segments[0]);
    if (made == NULL || !eg_grow((void **)&store->retired, &store->retired_capacity,
                                 store->retired_count + old_count, sizeof *store->retired)) {
        eg_free(made);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the list of segments");
    }
    made->older = list;
    made->capacity = capacity;
    fill_without(made, list, old, old_count, fresh);
    for (size_t i = 0; i < old_count; i++)
        store->retired[store->retired_count++] = old[i];
    store->told_from = 0;
    atomic_store_explicit(&store->list, made, memory_order_release);
    return ENGRAM_OK;
}

engram_status eg_store_list_replace(eg_store *store, eg_segment *const *old, size_t count,
                                    eg_segment *fresh, engram_error *error)
{
    pthread_mutex_lock(&store->append_lock);
    engram_status status = replace(store, old, count, fresh, error);
    pthread_mutex_unlock(&store->append_lock);
    return status;
}

bool eg_segment_is_at_rest(eg_segment *segment)
{
    pthread_mutex_lock(&segment->lock);
    bool is_sealed = segment->header.stage == EG_SEGMENT_SEALED;
    pthread_mutex_unlock(&segment->lock);
    return is_sealed && segment->file != NULL;
}

bool eg_segment_is_in_rows(eg_segment *segment)
{
    pthread_mutex_lock(&segment->lock);
    bool is = eg_segment_section(&segment->header, EG_SECTION_VECTORS)->codec == EG_CODEC_PLAIN;
    pthread_mutex_unlock(&segment->lock);
    return is;
}

bool eg_store_is_retired(eg_store *store, uint32_t number)
{
    bool is = false;
    pthread_mutex_lock(&store->append_lock);
    for (size_t i = 0; i < store->retired_count && !is; i++)
        is = store->retired[i]->id == number;
    pthread_mutex_unlock(&store->append_lock);
    return is;
}

void eg_store_list_free(eg_store *store)
{
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < segments.count; i++)
        eg_segment_free(segments.at[i]);
    for (size_t i = 0; i < store->retired_count; i++)
        eg_segment_free(store->retired[i]);
    eg_free(store->retired);
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
