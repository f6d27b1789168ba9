/* Verification: reads a whole version again and reports what is wrong with it, going on where it
 * can. */
#include <inttypes.h>
#include <stdio.h>

#include "tree/nodes.h"

/* The keys that a node may hold: >= low and < high; high.data NULL: no limit. */
typedef struct eg_bounds {
    eg_view low, high;
} eg_bounds;

typedef struct eg_walk {
    eg_nodes *nodes;
    eg_tree_check *check;
    uint64_t stored; /* bytes of nodes read from disk so far */
} eg_walk;

static void report(eg_walk *walk, const char *place, const char *what)
{
    char message[1200];
    snprintf(message, sizeof message, "%s: %s", place, what);
    if (walk->check->problem)
        walk->check->problem(walk->check->context, message);
}

static void name_node(const eg_walk *walk, eg_link link, char *place, size_t size)
{
    if (link.node)
        snprintf(place, size, "node in memory, level %u", link.node->level);
    else
        snprintf(place, size, "%s: node at offset %" PRIu64, walk->nodes->path,
                 eg_nodes_offset_of(link.address));
}

static void check_order(eg_walk *walk, const eg_page *page, const char *place)
{
    for (size_t i = 1; i < page->count; i++)
        if (eg_key_compare(eg_page_key(page, i - 1), eg_page_key(page, i)) >= 0) {
            report(walk, place, "keys are not in order");
            return;
        }
}

/* Searches must find every key where it stands. */
static void check_search(eg_walk *walk, const eg_page *page, const char *place)
{
    for (size_t i = page->first; i < page->count; i++) {
        bool found;
        if (eg_page_search(page, eg_page_key(page, i), &found) != i || !found) {
            report(walk, place, "a key is not found where it stands");
            return;
        }
    }
}

static void check_bounds(eg_walk *walk, const eg_node *node, eg_bounds bounds, const char *place)
{
    eg_view first = eg_page_key(&node->page, 0);
    eg_view last = eg_page_key(&node->page, node->page.count - 1);
    int order = eg_key_compare(first, bounds.low);
    if (order < 0 || (node->level > 0 && order != 0))
        report(walk, place, "the first key is not what its parent says");
    if (bounds.high.data && eg_key_compare(last, bounds.high) >= 0)
        report(walk, place, "the last key belongs to a neighbour");
}

/* Whether the node can be walked further. */
static bool check_node(eg_walk *walk, const eg_node *node, eg_bounds bounds, const char *place)
{
    if (node->page.count < (node->level ? 2u : 1u)) {
        report(walk, place, "too few entries");
        return false;
    }
    /* On disk the size is the business of whoever wrote it. */
    if (node->epoch != 0 && node->page.count > (node->level ? 3u : 1u) &&
        eg_page_need(&node->page) > EG_PAGE_SIZE)
        report(walk, place, "larger than a node should be");
    check_order(walk, &node->page, place);
    check_search(walk, &node->page, place);
    check_bounds(walk, node, bounds, place);
    return true;
}

static engram_status walk_link(eg_walk *walk, eg_link link, int level, eg_bounds bounds,
                               engram_error *error);

/* Levels fall from node to child, so this recursion is at most EG_LEVELS_MAX deep. */
static engram_status walk_children(eg_walk *walk, const eg_node *node, eg_bounds bounds,
                                   engram_error *error)
{
    for (size_t i = 0; i < node->page.count; i++) {
        eg_bounds inner = {eg_page_key(&node->page, i), bounds.high};
        if (i + 1 < node->page.count)
            inner.high = eg_page_key(&node->page, i + 1);
        EG_TRY(walk_link(walk, eg_node_link(node, i), node->level - 1, inner, error));
    }
    return ENGRAM_OK;
}

static engram_status walk_node(eg_walk *walk, const eg_node *node, eg_link link, int level,
                               eg_bounds bounds, engram_error *error)
{
    char place[1100];
    name_node(walk, link, place, sizeof place);
    walk->check->nodes++;
    walk->check->bytes += link.node ? eg_page_need(&node->page) : link.size;
    if (level != EG_LEVEL_ANY && node->level != level)
        report(walk, place, "the level is wrong");
    else if (!check_node(walk, node, bounds, place))
        return ENGRAM_OK;
    else if (node->level > 0)
        return walk_children(walk, node, bounds, error);
    else
        walk->check->entries += node->page.count;
    return ENGRAM_OK;
}

/* A node stands in a tree once, so a tree is not larger than its file: this ends what refers to the
 * same nodes again and again. */
static bool count_stored(eg_walk *walk, uint32_t size)
{
    walk->stored += size;
    return walk->stored <= atomic_load(&walk->nodes->ledger.end);
}

static engram_status walk_link(eg_walk *walk, eg_link link, int level, eg_bounds bounds,
                               engram_error *error)
{
    if (link.node)
        return walk_node(walk, link.node, link, level, bounds, error);
    if (!count_stored(walk, link.size))
        return eg_fail(error, ENGRAM_DAMAGED, "%s: nodes are referred to more than once",
                       walk->nodes->path);
    engram_error problem = {0};
    eg_node *node;
    engram_status status =
        eg_nodes_read(walk->nodes, (eg_node_ref){link.address, link.size}, level, &node, &problem);
    if (status == ENGRAM_DAMAGED) {
        if (walk->check->problem)
            walk->check->problem(walk->check->context, problem.message);
        return ENGRAM_OK;
    }
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", problem.message);
    status = walk_node(walk, node, link, level, bounds, error);
    eg_node_release(node);
    return status;
}

engram_status eg_root_verify(eg_root *root, eg_tree_check *check, engram_error *error)
{
    eg_walk walk = {root->nodes, check, 0};
    check->entries = check->nodes = check->bytes = 0;
    if (eg_link_empty(root->top))
        return ENGRAM_OK;
    return walk_link(&walk, root->top, EG_LEVEL_ANY, (eg_bounds){0}, error);
}
