/* Slotted pages. See page.h for the layout. */
#include "tree/page.h"

#include <assert.h>

#include "base/memory.h"

enum { CAPACITY_MIN = 512 };

int eg_key_compare(eg_view a, eg_view b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static uint32_t head_of(eg_view key, size_t skip)
{
    if (key.size >= skip + 4) {
        uint32_t head;
        memcpy(&head, key.data + skip, 4);
        return __builtin_bswap32(head);
    }
    uint32_t head = 0;
    for (size_t i = skip; i < skip + 4; i++)
        head = head << 8 | (i < key.size ? key.data[i] : 0);
    return head;
}

/* The high bits of a slot's `cell`. Only equal or not counts, and mostly so. */
static uint32_t mark_of(eg_view key)
{
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    uint64_t hash = key.size, word = 0;
    size_t i = 0;
    for (; i + 8 <= key.size; i += 8) {
        memcpy(&word, key.data + i, 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 29;
    }
    for (word = 0; i < key.size; i++)
        word = word << 8 | key.data[i];
    return (uint32_t)((hash ^ word) * factor >> (32 + EG_BACK_BITS)) << EG_BACK_BITS;
}

static const uint32_t back_mask = (1u << EG_BACK_BITS) - 1;

static size_t common_prefix(eg_view a, eg_view b)
{
    size_t common = a.size < b.size ? a.size : b.size, i = 0;
    while (i < common && a.data[i] == b.data[i])
        i++;
    return i;
}

static size_t capacity_for(size_t need)
{
    return need <= CAPACITY_MIN ? CAPACITY_MIN : (need + 1023) & ~(size_t)1023;
}

/* Pages that will be added to get a share more, up to the size at which nodes split; beyond it (one
 * large cell, or a node about to be split) they are made to measure. */
static size_t roomy(size_t need, size_t more)
{
    if (need > EG_PAGE_SIZE)
        return need;
    return need + more < EG_PAGE_SIZE ? need + more : EG_PAGE_SIZE;
}

bool eg_page_init(eg_page *page, size_t need, unsigned first)
{
    size_t capacity = capacity_for(need);
    *page = (eg_page){.bytes = eg_alloc(capacity), .capacity = (uint32_t)capacity};
    page->first = (uint8_t)first;
    return page->bytes != NULL;
}

void eg_page_place(eg_page *page, uint8_t *bytes, size_t capacity, unsigned first)
{
    *page = (eg_page){.bytes = bytes, .capacity = (uint32_t)capacity, .placed = true};
    page->first = (uint8_t)first;
}

void eg_page_fini(eg_page *page)
{
    if (!page->placed)
        eg_free(page->bytes);
    page->bytes = NULL;
}

static void rehead(eg_page *page, size_t skip)
{
    eg_slot *slots = eg_page_slots(page);
    page->skip = (uint16_t)skip;
    for (size_t i = page->first; i < page->count; i++)
        slots[i].head = head_of(eg_page_key(page, i), skip);
}

void eg_page_tune(eg_page *page)
{
    size_t skip = 0;
    if (page->count > (size_t)page->first + 1)
        skip = common_prefix(eg_page_key(page, page->first), eg_page_key(page, page->count - 1));
    rehead(page, skip);
}

/* Room for size bytes at the back; the slot is the caller's to set. */
static uint8_t *push(eg_page *page, size_t size)
{
    page->heap += (uint32_t)size;
    assert(page->heap <= back_mask);
    page->live += (uint32_t)size;
    return page->bytes + page->capacity - page->heap;
}

static void push_cell(eg_page *page, const eg_page *from, size_t index)
{
    size_t size = eg_page_cell_size(from, index);
    memcpy(push(page, size), eg_page_cell(from, index), size);
    uint32_t mark = eg_page_slots(from)[index].cell & ~back_mask;
    eg_page_slots(page)[page->count++] = (eg_slot){0, mark | page->heap};
}

void eg_page_copy(const eg_page *from, eg_page *to)
{
    if (from->heap > from->live) {
        for (size_t i = 0; i < from->count; i++)
            push_cell(to, from, i);
        eg_page_tune(to);
        return;
    }
    memcpy(to->bytes, from->bytes, (size_t)from->count * EG_SLOT_SIZE);
    memcpy(to->bytes + to->capacity - from->heap, from->bytes + from->capacity - from->heap,
           from->heap);
    to->heap = from->heap;
    to->live = from->live;
    to->count = from->count;
    to->skip = from->skip;
}

size_t eg_page_clone_capacity(const eg_page *page)
{
    size_t need = eg_page_need(page);
    return capacity_for(roomy(need, need / 8));
}

static bool make_room(eg_page *page, size_t size)
{
    if (page->heap + (size_t)page->count * EG_SLOT_SIZE + size <= page->capacity)
        return true;
    size_t need = eg_page_need(page) + size;
    eg_page larger;
    if (!eg_page_init(&larger, roomy(need, need / 2), page->first))
        return false;
    eg_page_copy(page, &larger);
    eg_page_tune(&larger);
    eg_page_fini(page);
    *page = larger;
    return true;
}

/* The first slot from low on whose head is not less. Without branches: what they would guess wrong
 * costs more than the loads. */
static size_t first_head(const eg_page *page, size_t low, uint32_t head)
{
    const eg_slot *slots = eg_page_slots(page);
    size_t left = page->count - low;
    while (left > 1) {
        size_t half = left / 2;
        low += slots[low + half - 1].head < head ? half : 0;
        left -= half;
    }
    return low + (left == 1 && slots[low].head < head);
}

/* Heads tell only where key has the prefix that all of the page share: < 0 and > 0 where key is
 * before or behind all. Looks at the cell that the caller will look at next. */
static int compare_prefix(const eg_page *page, size_t index, eg_view key)
{
    bool before = (page->first > 0 && index > page->first) || index == page->count;
    eg_view other = eg_page_key(page, before ? index - 1 : index);
    size_t common = key.size < page->skip ? key.size : page->skip;
    int order = common ? memcmp(key.data, other.data, common) : 0;
    return order ? order : -(common < page->skip);
}

size_t eg_page_search(const eg_page *page, eg_view key, bool *found)
{
    *found = false;
    if (page->first >= page->count)
        return page->first;
    uint32_t head = head_of(key, page->skip);
    const eg_slot *slots = eg_page_slots(page);
    size_t low = first_head(page, page->first, head), high = low;
    if (low < page->count && slots[low].head == head)
        high = head == UINT32_MAX ? page->count : first_head(page, low, head + 1);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = eg_key_compare(eg_page_key(page, middle), key);
        if (!order) {
            *found = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    int order = page->skip ? compare_prefix(page, low, key) : 0;
    return order ? (order > 0 ? page->count : page->first) : low;
}

bool eg_page_find(const eg_page *page, eg_view key, size_t *index)
{
    uint32_t head = head_of(key, page->skip), mark = mark_of(key);
    const eg_slot *slots = eg_page_slots(page);
    for (size_t i = first_head(page, 0, head); i < page->count && slots[i].head == head; i++) {
        if ((slots[i].cell & ~back_mask) != mark || eg_key_compare(eg_page_key(page, i), key) != 0)
            continue;
        *index = i;
        return true;
    }
    return false;
}

/* The shared prefix must be shared by the new key too. */
static void admit(eg_page *page, eg_view key)
{
    if (page->count <= page->first) {
        page->skip = 0;
        return;
    }
    size_t common = common_prefix(key, eg_page_key(page, page->first));
    if (common < page->skip)
        rehead(page, common);
}

static void write_cell(uint8_t *cell, eg_view key, eg_view value)
{
    eg_put_u16(cell, (uint16_t)key.size);
    eg_put_u32(cell + 2, (uint32_t)value.size);
    if (key.size)
        memcpy(cell + EG_CELL_HEADER, key.data, key.size);
    if (value.size)
        memcpy(cell + EG_CELL_HEADER + key.size, value.data, value.size);
}

bool eg_page_insert(eg_page *page, size_t index, eg_view key, eg_view value)
{
    assert(index <= page->count);
    size_t size = EG_CELL_HEADER + key.size + value.size;
    if (!make_room(page, size + EG_SLOT_SIZE))
        return false;
    if (index >= page->first && page->skip)
        admit(page, key);
    write_cell(push(page, size), key, value);
    uint32_t mark = page->first ? 0 : mark_of(key);
    eg_slot *slots = eg_page_slots(page);
    memmove(slots + index + 1, slots + index, (page->count - index) * sizeof *slots);
    slots[index] = (eg_slot){head_of(key, page->skip), mark | page->heap};
    page->count++;
    return true;
}

bool eg_page_replace(eg_page *page, size_t index, eg_view value)
{
    eg_view old = eg_page_value(page, index);
    if (old.size == value.size) {
        if (value.size)
            memcpy((uint8_t *)old.data, value.data, value.size);
        return true;
    }
    eg_view key = eg_page_key(page, index);
    size_t size = EG_CELL_HEADER + key.size + value.size;
    if (!make_room(page, size))
        return false;
    key = eg_page_key(page, index); /* the page may have moved */
    page->live -= (uint32_t)eg_page_cell_size(page, index);
    write_cell(push(page, size), key, value);
    eg_slot *slot = &eg_page_slots(page)[index];
    slot->cell = (slot->cell & ~back_mask) | page->heap;
    return true;
}

void eg_page_remove(eg_page *page, size_t index)
{
    assert(index < page->count);
    page->live -= (uint32_t)eg_page_cell_size(page, index);
    eg_slot *slots = eg_page_slots(page);
    memmove(slots + index, slots + index + 1, (page->count - index - 1) * sizeof *slots);
    page->count--;
    if (page->count == 0)
        page->heap = 0;
}

bool eg_page_append(eg_page *page, const eg_page *from, size_t first)
{
    size_t size = 0;
    for (size_t i = first; i < from->count; i++)
        size += eg_page_cell_size(from, i) + EG_SLOT_SIZE;
    if (!make_room(page, size))
        return false;
    for (size_t i = first; i < from->count; i++)
        push_cell(page, from, i);
    eg_page_tune(page);
    return true;
}

void eg_page_truncate(eg_page *page, size_t count)
{
    for (size_t i = count; i < page->count; i++)
        page->live -= (uint32_t)eg_page_cell_size(page, i);
    page->count = (uint32_t)count;
    if (count == 0)
        page->heap = 0;
}
