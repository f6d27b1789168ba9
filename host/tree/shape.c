/* The shape of a tree under change: splitting, joining, and the height.
 *
 * An insert first makes its node as large as it needs; then, from the leaf up, nodes that need more
 * than a page are split until none does, or only single large cells are left. A remove joins a node
 * that is less than a quarter full with a neighbour when both leave some room in one page. Internal
 * nodes keep two children at least; the top of a tree, if internal, too. */
#include <assert.h>

#include "tree/nodes.h"

enum {
    JOIN_BELOW = EG_PAGE_SIZE / 4,
    JOINED_MAX = EG_PAGE_SIZE - EG_PAGE_SIZE / 8, /* so that the next insert does not split again */
    RUN_LEAST = 4
};

static bool too_large(const eg_node *node)
{
    return eg_page_need(&node->page) > EG_PAGE_SIZE && node->page.count > (node->level ? 3 : 1);
}

static size_t clamp(size_t value, size_t low, size_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Bytes that the cells before index need. */
static size_t need_before(const eg_page *page, size_t index)
{
    size_t need = 0;
    for (size_t i = 0; i < index; i++)
        need += eg_page_cell_size(page, i) + EG_SLOT_SIZE;
    return need;
}

/* Where the halves differ least. */
static size_t middle(const eg_page *page)
{
    size_t half = eg_page_need(page) / 2, need = 0, i = 0;
    while (i < page->count) {
        size_t cell = eg_page_cell_size(page, i) + EG_SLOT_SIZE;
        if (need + cell > half)
            return need + cell - half < half - need ? i + 1 : i;
        need += cell;
        i++;
    }
    return i;
}

/* Keys often come in order. Where an insert went behind all others, or is one of a rising run, what
 * is before it stays together, full; in a falling run what is behind. Otherwise halves. */
static size_t split_index(const eg_node *node, size_t inserted)
{
    const eg_page *page = &node->page;
    if (inserted == page->count - 1)
        return inserted;
    if (node->run >= RUN_LEAST)
        return need_before(page, inserted + 1) <= EG_PAGE_SIZE ? inserted + 1 : inserted;
    if (node->run <= -RUN_LEAST) {
        size_t before = need_before(page, inserted);
        bool fits = eg_page_need(page) - before <= EG_PAGE_SIZE;
        return inserted > 0 && fits ? inserted : inserted + 1;
    }
    return middle(page);
}

/* The shortest key above all of left and not above any of right. */
static eg_view separator(const eg_node *left, const eg_node *right)
{
    eg_view high = eg_page_key(&right->page, 0);
    if (right->level > 0)
        return high;
    eg_view low = eg_page_key(&left->page, left->page.count - 1);
    size_t i = 0;
    while (i < low.size && i < high.size && low.data[i] == high.data[i])
        i++;
    return (eg_view){high.data, i < high.size ? i + 1 : high.size};
}

/* A new top above the present one, so that it has a parent. */
static engram_status raise(eg_edit *edit, eg_path *path, engram_error *error)
{
    if (path->height >= EG_LEVELS_MAX)
        return eg_fail(error, ENGRAM_UNSUPPORTED, "the tree has no room for another level");
    eg_node *top = eg_edit_create_node(edit, (unsigned)path->height);
    if (!top)
        return eg_edit_no_memory(error);
    if (!eg_node_insert_link(top, 0, (eg_view){NULL, 0}, edit->top)) {
        eg_node_release(top);
        return eg_edit_no_memory(error);
    }
    edit->top = (eg_link){0, 0, top};
    path->steps[path->height++] = (eg_step){top, 0};
    return ENGRAM_OK;
}

/* Hands child over to parent; on failure it is released. */
static engram_status insert_link(eg_edit *edit, eg_node *parent, size_t index, eg_view key,
                                 eg_node *child, engram_error *error)
{
    int64_t before = (int64_t)eg_node_memory(parent);
    if (!eg_node_insert_link(parent, index, key, (eg_link){0, 0, child})) {
        eg_node_release(child);
        return eg_edit_no_memory(error);
    }
    edit->made += (int64_t)eg_node_memory(parent) - before;
    return ENGRAM_OK;
}

/* Moves the cells from index `at` on to a new right neighbour. */
static engram_status split(eg_edit *edit, eg_path *path, size_t level, size_t at, eg_node **right,
                           engram_error *error)
{
    if (level + 1 == path->height)
        EG_TRY(raise(edit, path, error));
    eg_node *left = path->steps[level].node;
    *right = eg_edit_create_node(edit, (unsigned)level);
    if (!*right)
        return eg_edit_no_memory(error);
    int64_t before = (int64_t)eg_node_memory(*right);
    if (!eg_page_append(&(*right)->page, &left->page, at)) { /* links move with their cells */
        eg_node_release(*right);
        return eg_edit_no_memory(error);
    }
    eg_page_truncate(&left->page, at);
    eg_node_recount(*right);
    edit->made += (int64_t)eg_node_memory(*right) - before;
    left->run = 0;
    eg_step *up = &path->steps[level + 1];
    return insert_link(edit, up->node, up->index + 1, separator(left, *right), *right, error);
}

/* Splits the node at level until all its parts are small enough; the first time at `at`. */
static engram_status split_all(eg_edit *edit, eg_path *path, size_t level, size_t at,
                               engram_error *error)
{
    size_t least = level ? 2 : 1;
    do {
        eg_node *left = path->steps[level].node, *right;
        at = clamp(at, least, left->page.count - least);
        EG_TRY(split(edit, path, level, at, &right, error));
        if (!too_large(left)) {
            path->steps[level].node = right;
            path->steps[level + 1].index++;
        }
        at = middle(&path->steps[level].node->page);
    } while (too_large(path->steps[level].node));
    return ENGRAM_OK;
}

static engram_status grow_from(eg_edit *edit, eg_path *path, size_t level, engram_error *error)
{
    for (; level < path->height; level++) {
        eg_node *node = path->steps[level].node;
        if (!too_large(node))
            break;
        size_t inserted = level ? node->last : path->steps[0].index;
        size_t at = split_index(node, clamp(inserted, 0, node->page.count - 1));
        EG_TRY(split_all(edit, path, level, at, error));
    }
    return ENGRAM_OK;
}

engram_status eg_shape_grow(eg_edit *edit, eg_path *path, engram_error *error)
{
    return grow_from(edit, path, 0, error);
}

static void forget(eg_edit *edit, const eg_node *node)
{
    if (atomic_load_explicit(&node->stored_address, memory_order_relaxed) == 0)
        edit->made -= (int64_t)eg_node_memory(node);
}

/* Takes the empty leaf out of its parent. The first cell of a parent keeps its key. */
static void drop_empty(eg_edit *edit, eg_step *up)
{
    eg_node *parent = up->node;
    eg_link gone = eg_node_link(parent, up->index);
    if (up->index == 0) {
        eg_node_set_link(parent, 0, eg_node_link(parent, 1));
        eg_page_remove(&parent->page, 1);
    } else {
        eg_page_remove(&parent->page, up->index);
    }
    forget(edit, gone.node);
    eg_node_release(gone.node);
}

/* Appends the child behind index to the one at index. *joined is that one, the edit's own; NULL if
 * the two together need more than need_max. */
static engram_status join(eg_edit *edit, eg_node *parent, size_t index, size_t need_max,
                          eg_node **joined, engram_error *error)
{
    *joined = NULL;
    eg_loan left, right;
    eg_link gone = eg_node_link(parent, index + 1);
    int level = parent->level - 1;
    EG_TRY(eg_nodes_borrow(edit->nodes, eg_node_link(parent, index), level, &left, error));
    size_t left_need = eg_page_need(&left.node->page);
    eg_node_release(left.held);
    EG_TRY(eg_nodes_borrow(edit->nodes, gone, level, &right, error));
    engram_status status = ENGRAM_OK;
    if (left_need + eg_page_need(&right.node->page) > need_max)
        goto done;
    eg_node *node;
    EG_TRY_DONE(eg_edit_own(edit, parent, index, &node, error));
    int64_t before = (int64_t)eg_node_memory(node);
    if (!eg_node_append(node, right.node, 0)) {
        status = eg_edit_no_memory(error);
        goto done;
    }
    edit->made += (int64_t)eg_node_memory(node) - before;
    forget(edit, right.node);
    node->run = 0;
    eg_page_remove(&parent->page, index + 1);
    eg_node_release(gone.node);
    *joined = node;
done:
    eg_node_release(right.held);
    return status;
}

/* With the left neighbour, or the right one; *joined NULL: neither fits. up->index follows. */
static engram_status join_either(eg_edit *edit, eg_step *up, size_t need_max, eg_node **joined,
                                 engram_error *error)
{
    *joined = NULL;
    if (up->index > 0) {
        EG_TRY(join(edit, up->node, up->index - 1, need_max, joined, error));
        up->index -= *joined != NULL;
    }
    if (!*joined && up->index + 1 < up->node->page.count)
        return join(edit, up->node, up->index, need_max, joined, error);
    return ENGRAM_OK;
}

/* An internal node with one child and only full neighbours: takes children from one of them. */
static engram_status refill(eg_edit *edit, eg_path *path, size_t level, engram_error *error)
{
    eg_node *joined;
    EG_TRY(join_either(edit, &path->steps[level + 1], SIZE_MAX, &joined, error));
    assert(joined);
    path->steps[level].node = joined;
    EG_TRY(split_all(edit, path, level, middle(&joined->page), error));
    return grow_from(edit, path, level + 1, error); /* the new separator may be longer */
}

static engram_status shrink_at(eg_edit *edit, eg_path *path, size_t level, bool *changed,
                               engram_error *error)
{
    eg_node *node = path->steps[level].node, *joined;
    eg_step *up = &path->steps[level + 1];
    *changed = false;
    if (node->page.count == 0) {
        drop_empty(edit, up);
        *changed = true;
        return ENGRAM_OK;
    }
    if (eg_page_need(&node->page) >= JOIN_BELOW && (level == 0 || node->page.count > 1))
        return ENGRAM_OK;
    EG_TRY(join_either(edit, up, JOINED_MAX, &joined, error));
    *changed = joined != NULL;
    if (!joined && level > 0 && node->page.count < 2)
        return refill(edit, path, level, error);
    return ENGRAM_OK;
}

/* A top with one child gives way to it; an empty leaf to the empty tree. */
static void lower(eg_edit *edit)
{
    while (edit->top.node && edit->top.node->page.count <= 1) {
        eg_node *top = edit->top.node;
        if (top->level == 0 && top->page.count == 1)
            break;
        forget(edit, top);
        edit->top = top->level ? eg_node_link(top, 0) : (eg_link){0};
        top->page.count = 0; /* the link has moved */
        eg_node_release(top);
    }
}

engram_status eg_shape_shrink(eg_edit *edit, eg_path *path, engram_error *error)
{
    bool changed = true;
    for (size_t level = 0; changed && level + 1 < path->height; level++)
        EG_TRY(shrink_at(edit, path, level, &changed, error));
    lower(edit);
    return ENGRAM_OK;
}
