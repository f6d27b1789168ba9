/* Pages are found by binary search; what comes in order is found at the end at once. */
#include "store/id_set.h"

#include <string.h>

#include "base/memory.h"

/* Where the page of a number is, or would be. */
static size_t place_of(const eg_id_set *set, uint64_t number)
{
    size_t low = 0, high = set->page_count;
    if (high > 0 && set->pages[high - 1]->number <= number)
        low = set->pages[high - 1]->number == number ? high - 1 : high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->pages[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static eg_id_page *page_of(const eg_id_set *set, uint64_t id)
{
    size_t place = place_of(set, id / EG_ID_PAGE_BITS);
    bool is_there = place < set->page_count && set->pages[place]->number == id / EG_ID_PAGE_BITS;
    return is_there ? set->pages[place] : NULL;
}

static eg_id_page *need_page(eg_id_set *set, uint64_t id)
{
    uint64_t number = id / EG_ID_PAGE_BITS;
    size_t place = place_of(set, number);
    if (place < set->page_count && set->pages[place]->number == number)
        return set->pages[place];
    if (!eg_grow((void **)&set->pages, &set->capacity, set->page_count + 1, sizeof *set->pages))
        return NULL;
    eg_id_page *page = eg_alloc_zero(1, sizeof *page);
    if (page == NULL)
        return NULL;
    page->number = number;
    memmove(set->pages + place + 1, set->pages + place,
            (set->page_count - place) * sizeof *set->pages);
    set->pages[place] = page;
    set->page_count++;
    return page;
}

static uint64_t bit_of(uint64_t id)
{
    return UINT64_C(1) << (id % 64);
}

static size_t word_of(uint64_t id)
{
    return (size_t)(id % EG_ID_PAGE_BITS / 64);
}

bool eg_id_set_add(eg_id_set *set, uint64_t id)
{
    eg_id_page *page = need_page(set, id);
    if (page == NULL)
        return false;
    set->count += (page->bits[word_of(id)] & bit_of(id)) == 0;
    page->bits[word_of(id)] |= bit_of(id);
    return true;
}

void eg_id_set_remove(eg_id_set *set, uint64_t id)
{
    eg_id_page *page = page_of(set, id);
    if (page == NULL)
        return;
    set->count -= (page->bits[word_of(id)] & bit_of(id)) != 0;
    page->bits[word_of(id)] &= ~bit_of(id);
}

bool eg_id_set_has(const eg_id_set *set, uint64_t id)
{
    const eg_id_page *page = page_of(set, id);
    return page != NULL && (page->bits[word_of(id)] & bit_of(id)) != 0;
}

void eg_id_set_subtract(eg_id_set *set, const eg_id_set *other)
{
    for (size_t i = 0; i < other->page_count; i++) {
        const eg_id_page *theirs = other->pages[i];
        eg_id_page *ours = page_of(set, theirs->number * EG_ID_PAGE_BITS);
        for (size_t w = 0; ours != NULL && w < EG_ID_PAGE_BITS / 64; w++) {
            set->count -= (uint64_t)__builtin_popcountll(ours->bits[w] & theirs->bits[w]);
            ours->bits[w] &= ~theirs->bits[w];
        }
    }
}

void eg_id_set_fini(eg_id_set *set)
{
    for (size_t i = 0; i < set->page_count; i++)
        eg_free(set->pages[i]);
    eg_free(set->pages);
    *set = (eg_id_set){0};
}
