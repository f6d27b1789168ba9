/* Salvage: a walk that steps over damaged nodes.
 *
 * A node that was read has passed its own check, so what a damaged one held is known by the bounds under
 * which its parent refers to it. A node that does not keep to its bounds counts as damaged: its entries
 * are not where any search would find them. Nodes are never overwritten, so that a leaf which an earlier version had
 * in the place of a damaged one may still be in the file. */
#include "tree/salvage.h"

#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "tree/nodes.h"

typedef struct walk {
    eg_nodes *nodes;
    const eg_tree_salvage *salvage;
    uint64_t stored; /* bytes of nodes read from disk so far */
} walk;

typedef struct bounds {
    eg_view low, high; /* keys are >= low and < high; high.data NULL: no limit */
} bounds;

static engram_status walk_link(walk *w, eg_link link, int level, bounds b, engram_error *error);

static engram_status report_gap(walk *w, eg_link link, bounds b, const char *why,
                                engram_error *error)
{
    eg_node_ref ref = {link.address, link.node != NULL ? 0 : link.size};
    return w->salvage->gap(w->salvage->context, b.low, b.high, ref, why, error);
}

static bool keeps_bounds(const eg_node *node, bounds b)
{
    eg_view first = eg_page_key(&node->page, 0);
    eg_view last = eg_page_key(&node->page, node->page.count - 1);
    int order = eg_key_compare(first, b.low);
    return (node->level > 0 ? order == 0 : order >= 0) &&
           (b.high.data == NULL || eg_key_compare(last, b.high) < 0);
}

static engram_status walk_entries(walk *w, const eg_node *node, engram_error *error)
{
    for (size_t i = 0; i < node->page.count; i++)
        EG_TRY(w->salvage->entry(w->salvage->context, eg_page_key(&node->page, i),
                                 eg_page_value(&node->page, i), error));
    return ENGRAM_OK;
}

/* Levels fall from node to child, so this recursion is at most EG_LEVELS_MAX deep. */
static engram_status walk_children(walk *w, const eg_node *node, bounds b, engram_error *error)
{
    for (size_t i = 0; i < node->page.count; i++) {
        bounds inner = {eg_page_key(&node->page, i), b.high};
        if (i + 1 < node->page.count)
            inner.high = eg_page_key(&node->page, i + 1);
        EG_TRY(walk_link(w, eg_node_link(node, i), node->level - 1, inner, error));
    }
    return ENGRAM_OK;
}

static engram_status walk_node(walk *w, const eg_node *node, eg_link link, bounds b,
                               engram_error *error)
{
    if (node->page.count == 0 || !keeps_bounds(node, b))
        return report_gap(w, link, b, "its keys are not those that its parent says", error);
    return node->level > 0 ? walk_children(w, node, b, error) : walk_entries(w, node, error);
}

/* A tree is not larger than its file: this ends what refers to the same nodes again and again. */
static bool count_stored(walk *w, uint32_t size)
{
    w->stored += size;
    return w->stored <= atomic_load(&w->nodes->ledger.end);
}

static engram_status walk_link(walk *w, eg_link link, int level, bounds b, engram_error *error)
{
    eg_node *node = NULL;
    engram_error why = {0};
    if (link.node != NULL)
        return walk_node(w, link.node, link, b, error);
    if (!count_stored(w, link.size))
        return report_gap(w, link, b, "nodes are referred to more than once", error);
    engram_status status =
        eg_nodes_read(w->nodes, (eg_node_ref){link.address, link.size}, level, &node, &why);
    if (status == ENGRAM_DAMAGED)
        return report_gap(w, link, b, why.message, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", why.message);
    status = walk_node(w, node, link, b, error);
    eg_node_release(node);
    return status;
}

engram_status eg_root_salvage(eg_root *root, const eg_tree_salvage *salvage, engram_error *error)
{
    walk w = {root->nodes, salvage, 0};
    if (eg_link_empty(root->top))
        return ENGRAM_OK;
    return walk_link(&w, root->top, EG_LEVEL_ANY, (bounds){{(const uint8_t *)"", 0}, {0}}, error);
}

/* ---- leaves that nothing may refer to ---- */

typedef struct leaf_list {
    eg_nodes *nodes;
    eg_node_ref *refs; /* what may be leaves, by rising address */
    size_t count, capacity;
    uint64_t end;
} leaf_list;

/* Where a node may begin in bytes, from at on; size: nowhere. */
static size_t next_magic(const uint8_t *bytes, size_t size, size_t at)
{
    const uint8_t *hit = size - at < 4 ? NULL : memmem(bytes + at, size - at, "NODE", 4);
    return hit != NULL ? (size_t)(hit - bytes) : size;
}

/* bytes: the header of a node at that address, if it is one. */
static engram_status take_leaf(leaf_list *l, const uint8_t *bytes, uint64_t address,
                               engram_error *error)
{
    enum { SIZE_AT = 4, ADDRESS_AT = 16, LEVEL_AT = 31 };
    eg_node_ref ref = {address, eg_get_u32(bytes + SIZE_AT)};
    if (bytes[LEVEL_AT] != 0 || eg_get_u64(bytes + ADDRESS_AT) != address || !eg_node_ref_ok(ref) ||
        ref.size > l->end - address)
        return ENGRAM_OK;
    if (!eg_grow((void **)&l->refs, &l->capacity, l->count + 1, sizeof *l->refs))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for nodes");
    l->refs[l->count++] = ref;
    return ENGRAM_OK;
}

/* Pieces overlap by what a header needs. */
static engram_status find_leaves(leaf_list *l, uint8_t *bytes, size_t capacity, engram_error *error)
{
    eg_io *io = l->nodes->io;
    eg_file *file = atomic_load(&l->nodes->file);
    uint64_t first = EG_NODES_FILE(l->nodes->number);
    for (uint64_t from = EG_NODES_HEADER_SIZE; file != NULL && first + from < l->end;) {
        size_t got;
        EG_TRY(io->read_some(io, file, from, bytes, capacity, &got, error));
        for (size_t at = next_magic(bytes, got, 0); at + EG_NODE_HEADER_SIZE <= got;
             at = next_magic(bytes, got, at + 4))
            EG_TRY(take_leaf(l, bytes + at, first + from + at, error));
        if (got < capacity)
            break;
        from += capacity - EG_NODE_HEADER_SIZE + 1;
    }
    return ENGRAM_OK;
}

static engram_status visit_leaf(leaf_list *l, eg_node_ref ref, const eg_tree_salvage *salvage,
                                engram_error *error)
{
    walk w = {l->nodes, salvage, 0};
    eg_node *node = NULL;
    engram_error why = {0};
    engram_status status = eg_nodes_read(l->nodes, ref, 0, &node, &why);
    if (status == ENGRAM_DAMAGED)
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", why.message);
    status = walk_entries(&w, node, error);
    eg_node_release(node);
    return status;
}

engram_status eg_nodes_salvage_leaves(eg_nodes *nodes, const eg_tree_salvage *salvage,
                                      engram_error *error)
{
    enum { PIECE = 1 << 20 };
    leaf_list l = {.nodes = nodes, .end = atomic_load(&nodes->ledger.end)};
    uint8_t *bytes = eg_alloc(PIECE);
    engram_status status = bytes == NULL
                               ? eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for nodes")
                               : find_leaves(&l, bytes, PIECE, error);
    eg_free(bytes);
    for (size_t i = l.count; i > 0 && status == ENGRAM_OK; i--)
        status = visit_leaf(&l, l.refs[i - 1], salvage, error);
    eg_free(l.refs);
    return status;
}
