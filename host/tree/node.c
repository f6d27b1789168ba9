/* Nodes: references, clones, links. */
#include "tree/node.h"

#include "base/memory.h"

enum { RUN_MAX = 100 };

eg_node *eg_node_create(unsigned level, uint64_t epoch, size_t need)
{
    eg_node *node = eg_alloc_zero(1, sizeof *node);
    if (!node)
        return NULL;
    if (!eg_page_init(&node->page, need, level > 0)) {
        eg_free(node);
        return NULL;
    }
    atomic_init(&node->references, 1);
    node->level = (uint8_t)level;
    node->epoch = epoch;
    return node;
}

static void retain_children(const eg_node *node, size_t first)
{
    if (node->level == 0 || node->epoch == 0)
        return;
    for (size_t i = first; i < node->page.count; i++) {
        eg_link link = eg_node_link(node, i);
        if (link.node)
            eg_node_retain(link.node);
    }
}

eg_node *eg_node_clone(const eg_node *from, uint64_t epoch)
{
    eg_node *node = eg_alloc_zero(1, sizeof *node);
    if (!node)
        return NULL;
    if (!eg_page_clone(&from->page, &node->page)) {
        eg_free(node);
        return NULL;
    }
    atomic_init(&node->references, 1);
    node->level = from->level;
    node->epoch = epoch;
    node->run = from->run;
    node->last = from->last;
    retain_children(from, 0);
    return node;
}

eg_node *eg_node_retain(eg_node *node)
{
    atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
    return node;
}

/* Levels fall from node to child, so this recursion is at most EG_LEVELS_MAX deep. */
static void destroy(eg_node *node)
{
    if (node->level > 0 && node->epoch != 0)
        for (size_t i = 0; i < node->page.count; i++)
            eg_node_release(eg_node_link(node, i).node);
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
    return sizeof *node + node->page.capacity;
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
    if (!eg_page_append(&node->page, &from->page, first))
        return false;
    retain_children(from, first);
    return true;
}
