/* Nodes: references, clones, links. */
#include "tree/node.h"

#include <string.h>

#include "base/memory.h"

enum { RUN_MAX = 100 };

/* A node with room for inside bytes behind it. */
static eg_node *allocate(unsigned level, size_t inside)
{
    eg_node *node = eg_alloc(sizeof *node + inside);
    if (!node)
        return NULL;
    memset(node, 0, sizeof *node);
    atomic_init(&node->references, 1);
    node->level = (uint8_t)level;
    node->inside = (uint32_t)inside;
    eg_page_place(&node->page, (uint8_t *)(node + 1), inside, level > 0);
    return node;
}

eg_node *eg_node_create(unsigned level, size_t need)
{
    return allocate(level, (need + 7) & ~(size_t)7);
}

/* From here on the node is an edit's. */
static void enlist(eg_node *node, uint64_t epoch, eg_ledger *ledger)
{
    node->epoch = epoch;
    node->ledger = ledger;
    eg_node_recount(node);
}

eg_node *eg_node_make(unsigned level, uint64_t epoch, eg_ledger *ledger)
{
    eg_node *node = allocate(level, 0);
    if (!node || !eg_page_init(&node->page, 0, level > 0)) {
        eg_free(node);
        return NULL;
    }
    enlist(node, epoch, ledger);
    return node;
}

/* Where node is stored, as far as that can be trusted below end; else all zero. */
static eg_link stored_before(const eg_node *node, const atomic_uint_fast64_t *end)
{
    uint64_t address = atomic_load_explicit(&node->stored_address, memory_order_acquire);
    if (address == 0 ||
        address + node->stored_size > atomic_load_explicit(end, memory_order_acquire))
        return (eg_link){0};
    return (eg_link){address, node->stored_size, NULL};
}

/* The links of node from index first on were copied from another node: they get references of their
 * own, or do without. */
static void share_children(eg_node *node, size_t first)
{
    for (size_t i = first; i < node->page.count; i++) {
        eg_link link = eg_node_link(node, i);
        if (!link.node)
            continue;
        eg_link stored = stored_before(link.node, &node->ledger->durable);
        if (stored.size)
            eg_node_set_link(node, i, stored);
        else
            eg_node_retain(link.node);
    }
}

eg_node *eg_node_clone(const eg_node *from, uint64_t epoch, eg_ledger *ledger)
{
    eg_node *node = allocate(from->level, eg_page_clone_capacity(&from->page));
    if (!node)
        return NULL;
    eg_page_copy(&from->page, &node->page);
    node->run = from->run;
    node->last = from->last;
    enlist(node, epoch, ledger);
    if (from->level > 0 && from->epoch != 0)
        share_children(node, 0);
    return node;
}

eg_node *eg_node_retain(eg_node *node)
{
    atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
    return node;
}

static void strike(const eg_node *node)
{
    eg_ledger *ledger = node->ledger;
    atomic_fetch_sub_explicit(&ledger->made, node->counted, memory_order_relaxed);
    if (!stored_before(node, &ledger->end).size)
        atomic_fetch_sub_explicit(&ledger->unwritten, node->counted, memory_order_relaxed);
}

/* Levels fall from node to child, so this recursion is at most EG_LEVELS_MAX deep. */
static void destroy(eg_node *node)
{
    if (node->level > 0 && node->epoch != 0)
        for (size_t i = 0; i < node->page.count; i++)
            eg_node_release(eg_node_link(node, i).node);
    if (node->ledger)
        strike(node);
    eg_page_fini(&node->page);
    eg_free(node);
}

void eg_node_release(eg_node *node)
{
    if (node && atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) == 1)
        destroy(node);
}

size_t eg_node_memory(const eg_node *node)
{
    return sizeof *node + node->inside + (node->page.placed ? 0 : node->page.capacity);
}

void eg_node_recount(eg_node *node)
{
    uint32_t memory = (uint32_t)eg_node_memory(node);
    if (memory == node->counted)
        return;
    uint64_t more = (uint64_t)memory - node->counted; /* modulo 2^64 */
    atomic_fetch_add_explicit(&node->ledger->made, more, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->ledger->unwritten, more, memory_order_relaxed);
    node->counted = memory;
}

static void pack_link(uint8_t bytes[EG_LINK_SIZE], eg_link link)
{
    eg_put_u64(bytes, link.address);
    eg_put_u32(bytes + 8, link.size);
    memcpy(bytes + 12, &link.node, sizeof link.node);
}

eg_link eg_node_link(const eg_node *node, size_t index)
{
    const uint8_t *bytes = eg_page_value(&node->page, index).data;
    eg_link link = {eg_get_u64(bytes), eg_get_u32(bytes + 8), NULL};
    memcpy(&link.node, bytes + 12, sizeof link.node);
    return link;
}

void eg_node_set_link(eg_node *node, size_t index, eg_link link)
{
    pack_link((uint8_t *)eg_page_value(&node->page, index).data, link);
}

size_t eg_node_child_index(const eg_node *node, eg_view key)
{
    bool found;
    size_t index = eg_page_search(&node->page, key, &found);
    return found ? index : index - 1;
}

static void note_run(eg_node *node, size_t index)
{
    if (node->page.count > 0 && index == (size_t)node->last + 1)
        node->run = node->run < 0 ? 1 : node->run < RUN_MAX ? (int8_t)(node->run + 1) : RUN_MAX;
    else if (node->page.count > 0 && index == node->last)
        node->run = node->run > 0 ? -1 : node->run > -RUN_MAX ? (int8_t)(node->run - 1) : -RUN_MAX;
    else
        node->run = 0;
    node->last = (uint32_t)index;
}

bool eg_node_insert(eg_node *node, size_t index, eg_view key, eg_view value)
{
    if (!eg_page_insert(&node->page, index, key, value))
        return false;
    eg_node_recount(node);
    note_run(node, index);
    return true;
}

bool eg_node_insert_link(eg_node *node, size_t index, eg_view key, eg_link link)
{
    uint8_t bytes[EG_LINK_SIZE];
    pack_link(bytes, link);
    return eg_node_insert(node, index, key, (eg_view){bytes, sizeof bytes});
}

bool eg_node_append(eg_node *node, const eg_node *from, size_t first)
{
    size_t count = node->page.count;
    if (!eg_page_append(&node->page, &from->page, first))
        return false;
    eg_node_recount(node);
    if (from->level > 0 && from->epoch != 0)
        share_children(node, count);
    return true;
}
