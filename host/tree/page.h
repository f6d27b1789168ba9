/* A slotted page: the sorted cells of one node, in memory.
 *
 * Slots stand at the front and grow up; cells (key size u16, value size u32, key, value) stand at
 * the back and grow down. A slot names its cell by the distance from the page's end, so a page
 * moves into a larger one with two copies. Removed and replaced cells stay behind as garbage until
 * the page is rebuilt.
 *
 * A slot also holds four bytes of its key, the head, taken behind the prefix that all keys of the
 * page share: most steps of a search stay within the slots. Where heads do not tell keys apart,
 * looking for one key goes by the mark, some bits of a hash of the key: it finds its cell without
 * touching others.
 *
 * Pages know nothing of nodes. In a page of an internal node the first cell's key does not take
 * part in searches (`first` is 1): it stands for everything below the second. */
#ifndef EG_TREE_PAGE_H
#define EG_TREE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    EG_PAGE_SIZE =
        8 << 10, /* nodes are split when they need more; small, as every edit copies them */
    EG_CELL_HEADER = 6,
    EG_SLOT_SIZE = 8,
    EG_BACK_BITS = 19 /* a page about to be split has two of the largest cells at most */
};

typedef struct eg_slot {
    uint32_t head; /* big-endian number of the key's bytes [skip, skip + 4), zero-padded */
    uint32_t cell; /* mark << EG_BACK_BITS | distance of the cell from the end of the page */
} eg_slot;

typedef struct eg_page {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t heap; /* bytes at the back in use, garbage included */
    uint32_t live; /* bytes of cells that slots name */
    uint32_t count;
    uint16_t skip; /* bytes that all searched keys share; may be less than they do */
    uint8_t first; /* where searches begin: 0 or 1 */
    bool placed;   /* bytes are part of a block that is not the page's to free */
} eg_page;

static inline eg_slot *eg_page_slots(const eg_page *page)
{
    return (eg_slot *)(void *)page->bytes;
}
static inline uint8_t *eg_page_cell(const eg_page *page, size_t index)
{
    return page->bytes + page->capacity -
           (eg_page_slots(page)[index].cell & ((1u << EG_BACK_BITS) - 1));
}
static inline eg_view eg_page_key(const eg_page *page, size_t index)
{
    const uint8_t *cell = eg_page_cell(page, index);
    return (eg_view){cell + EG_CELL_HEADER, eg_get_u16(cell)};
}
static inline eg_view eg_page_value(const eg_page *page, size_t index)
{
    const uint8_t *cell = eg_page_cell(page, index);
    return (eg_view){cell + EG_CELL_HEADER + eg_get_u16(cell), eg_get_u32(cell + 2)};
}
static inline size_t eg_page_cell_size(const eg_page *page, size_t index)
{
    const uint8_t *cell = eg_page_cell(page, index);
    return (size_t)EG_CELL_HEADER + eg_get_u16(cell) + eg_get_u32(cell + 2);
}
/* Bytes that the page would take without garbage: what splitting and joining go by. */
static inline size_t eg_page_need(const eg_page *page)
{
    return page->live + (size_t)page->count * EG_SLOT_SIZE;
}

/* Unsigned bytes; a prefix comes first. */
int eg_key_compare(eg_view a, eg_view b);

/* An empty page with room for need bytes. False: no memory. */
bool eg_page_init(eg_page *page, size_t need, unsigned first);
/* An empty page in memory of the caller's, 8-aligned. When it grows it moves to memory of its own.
 */
void eg_page_place(eg_page *page, uint8_t *bytes, size_t capacity, unsigned first);
void eg_page_fini(eg_page *page);
/* The capacity of a copy with some room to grow. */
size_t eg_page_clone_capacity(const eg_page *page);
/* Fills an empty page of at least eg_page_need(from) bytes. */
void eg_page_copy(const eg_page *from, eg_page *to);

/* The first index from `first` on whose key is >= key. */
size_t eg_page_search(const eg_page *page, eg_view key, bool *found);
/* The index of key, in a page whose `first` is 0. */
bool eg_page_find(const eg_page *page, eg_view key, size_t *index);

/* The page grows as needed. False: no memory, nothing changed. */
bool eg_page_insert(eg_page *page, size_t index, eg_view key, eg_view value);
bool eg_page_replace(eg_page *page, size_t index, eg_view value);
void eg_page_remove(eg_page *page, size_t index);
/* Appends the cells of from, from index first on, behind those of page. */
bool eg_page_append(eg_page *page, const eg_page *from, size_t first);
void eg_page_truncate(eg_page *page, size_t count);
/* Chooses the heads anew; after a page was filled by inserts at its end. */
void eg_page_tune(eg_page *page);

#endif
