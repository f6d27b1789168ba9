/* Two levels: leaves of 256 pages (1 MiB), each counted by references, as the pages are. Who holds
 * the only reference may change in place: nobody can gain a second one meanwhile, since copies are
 * made from the sparse that holds it. */
#include "crash/sparse.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "crash/util.h"

enum { PAGE = 4096, LEAF_PAGES = 256, LEAF = PAGE * LEAF_PAGES };

typedef struct page {
    atomic_uint holders;
    bool hashed;
    uint64_t hash; /* 0: zeros only */
    uint8_t bytes[PAGE];
} page;

typedef struct sparse_leaf {
    atomic_uint holders;
    bool hashed;
    uint64_t hash; /* 0: zeros only */
    page *pages[LEAF_PAGES];
} leaf;

static const uint8_t zeros[PAGE];

static void page_release(page *p)
{
    if (p != NULL && atomic_fetch_sub(&p->holders, 1) == 1)
        free(p);
}

static void leaf_release(leaf *l)
{
    if (l == NULL || atomic_fetch_sub(&l->holders, 1) != 1)
        return;
    for (size_t i = 0; i < LEAF_PAGES; i++)
        page_release(l->pages[i]);
    free(l);
}

sparse sparse_copy(const sparse *from)
{
    sparse s = *from;
    if (s.leaf_count == 0)
        return s;
    s.leaves = crash_alloc(s.leaf_count * sizeof *s.leaves);
    memcpy(s.leaves, from->leaves, s.leaf_count * sizeof *s.leaves);
    for (size_t i = 0; i < s.leaf_count; i++)
        if (s.leaves[i] != NULL)
            atomic_fetch_add(&s.leaves[i]->holders, 1);
    return s;
}

void sparse_fini(sparse *s)
{
    for (size_t i = 0; i < s->leaf_count; i++)
        leaf_release(s->leaves[i]);
    free(s->leaves);
    *s = (sparse){0};
}

void sparse_read(const sparse *s, uint64_t offset, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    while (size > 0) {
        size_t at = offset % PAGE, take = PAGE - at < size ? PAGE - at : size;
        size_t index = offset / LEAF;
        leaf *l = index < s->leaf_count ? s->leaves[index] : NULL;
        page *p = l != NULL ? l->pages[offset / PAGE % LEAF_PAGES] : NULL;
        memcpy(to, p != NULL ? p->bytes + at : zeros, take);
        to += take;
        offset += take;
        size -= take;
    }
}

/* The leaf at index, held by s alone. */
static leaf *own_leaf(sparse *s, size_t index)
{
    if (index >= s->leaf_count) {
        size_t count = s->leaf_count, capacity = count;
        s->leaves = crash_grow(s->leaves, &capacity, index + 1, sizeof *s->leaves);
        memset(s->leaves + count, 0, (capacity - count) * sizeof *s->leaves);
        s->leaf_count = capacity;
    }
    leaf *old = s->leaves[index];
    if (old == NULL || atomic_load(&old->holders) > 1) {
        leaf *fresh = crash_alloc(sizeof *fresh);
        if (old != NULL)
            memcpy(fresh->pages, old->pages, sizeof fresh->pages);
        else
            memset(fresh->pages, 0, sizeof fresh->pages);
        for (size_t i = 0; i < LEAF_PAGES; i++)
            if (fresh->pages[i] != NULL)
                atomic_fetch_add(&fresh->pages[i]->holders, 1);
        atomic_init(&fresh->holders, 1);
        leaf_release(old);
        s->leaves[index] = fresh;
    }
    s->leaves[index]->hashed = false;
    return s->leaves[index];
}

static page *own_page(leaf *l, size_t index)
{
    page *old = l->pages[index];
    if (old == NULL || atomic_load(&old->holders) > 1) {
        page *fresh = crash_alloc(sizeof *fresh);
        memcpy(fresh->bytes, old != NULL ? old->bytes : zeros, PAGE);
        atomic_init(&fresh->holders, 1);
        page_release(old);
        l->pages[index] = fresh;
    }
    l->pages[index]->hashed = false;
    return l->pages[index];
}

void sparse_write(sparse *s, uint64_t offset, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    if (size > 0 && offset + size > s->size)
        s->size = offset + size;
    while (size > 0) {
        size_t at = offset % PAGE, take = PAGE - at < size ? PAGE - at : size;
        page *p = own_page(own_leaf(s, offset / LEAF), offset / PAGE % LEAF_PAGES);
        memcpy(p->bytes + at, from, take);
        from += take;
        offset += take;
        size -= take;
    }
}

/* Everything from offset on becomes holes, but for the rest of its page, which becomes zeros. */
static void drop_from(sparse *s, uint64_t offset)
{
    size_t first = offset / LEAF;
    for (size_t i = first + (offset % LEAF != 0); i < s->leaf_count; i++) {
        leaf_release(s->leaves[i]);
        s->leaves[i] = NULL;
    }
    if (first >= s->leaf_count || s->leaves[first] == NULL || offset % LEAF == 0)
        return;
    leaf *l = own_leaf(s, first);
    size_t index = offset / PAGE % LEAF_PAGES;
    for (size_t i = index + (offset % PAGE != 0); i < LEAF_PAGES; i++) {
        page_release(l->pages[i]);
        l->pages[i] = NULL;
    }
    if (offset % PAGE != 0 && l->pages[index] != NULL)
        memset(own_page(l, index)->bytes + offset % PAGE, 0, PAGE - offset % PAGE);
}

void sparse_resize(sparse *s, uint64_t size)
{
    if (size < s->size)
        drop_from(s, size);
    s->size = size;
}

static uint64_t page_hash(page *p)
{
    if (!p->hashed) {
        bool empty = memcmp(p->bytes, zeros, PAGE) == 0;
        p->hash = empty ? 0 : XXH3_64bits(p->bytes, PAGE);
        p->hashed = true;
    }
    return p->hash;
}

static uint64_t leaf_hash(leaf *l)
{
    uint64_t hashes[LEAF_PAGES], any = 0;
    if (l->hashed)
        return l->hash;
    for (size_t i = 0; i < LEAF_PAGES; i++) {
        hashes[i] = l->pages[i] != NULL ? page_hash(l->pages[i]) : 0;
        any |= hashes[i];
    }
    l->hash = any == 0 ? 0 : XXH3_64bits(hashes, sizeof hashes);
    l->hashed = true;
    return l->hash;
}

uint64_t sparse_hash(sparse *s)
{
    uint64_t hash = XXH3_64bits(&s->size, sizeof s->size);
    for (size_t i = 0; i < s->leaf_count; i++) {
        uint64_t of_leaf = s->leaves[i] != NULL ? leaf_hash(s->leaves[i]) : 0;
        if (of_leaf != 0)
            hash += XXH3_64bits_withSeed(&of_leaf, sizeof of_leaf, i + 1);
    }
    return hash;
}

uint64_t sparse_bytes_held(const sparse *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->leaf_count; i++)
        for (size_t j = 0; s->leaves[i] != NULL && j < LEAF_PAGES; j++)
            count += s->leaves[i]->pages[j] != NULL;
    return count * PAGE;
}
