/* Salvage: a walk that steps over damaged nodes.
 *
 * A node that was read has passed its own check, so what a damaged one held is known by the bounds under
 * which its parent refers to it. A node that does not keep to its bounds counts as damaged: its entries
 * are not where any search would find them. */
#include "tree/salvage.h"

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
