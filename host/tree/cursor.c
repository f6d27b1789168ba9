/* Cursors: a walk in key order over a root or an edit.
 *
 * A cursor holds the leaf it stands on, no more. It gets to the next one from the top: down to its
 * leaf again, to see at which key the next begins, and then there. Most walks are short, and then
 * this costs less than holding the way down, whose references many threads would have to count. */
#include "base/memory.h"
#include "tree/nodes.h"

/* Not cleared: opening one is part of every short walk. */
struct eg_cursor {
    eg_nodes *nodes;
    eg_root *root; /* retained; NULL: the cursor walks an edit */
    eg_edit *edit;
    eg_loan leaf; /* no node: it stands on nothing */
    size_t index;
};

static engram_status create_cursor(eg_nodes *nodes, eg_root *root, eg_edit *edit,
                                   eg_cursor **cursor, engram_error *error)
{
    eg_cursor *made = eg_alloc(sizeof *made);
    *cursor = made;
    if (!made)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to walk the tree");
    made->nodes = nodes;
    made->root = root ? eg_root_retain(root) : NULL;
    made->edit = edit;
    made->leaf = (eg_loan){0};
    return ENGRAM_OK;
}

engram_status eg_cursor_open(eg_root *root, eg_cursor **cursor, engram_error *error)
{
    return create_cursor(root->nodes, root, NULL, cursor, error);
}

engram_status eg_cursor_open_edit(eg_edit *edit, eg_cursor **cursor, engram_error *error)
{
    return create_cursor(edit->nodes, NULL, edit, cursor, error);
}

static void leave(eg_cursor *cursor)
{
    eg_node_release(cursor->leaf.held);
    cursor->leaf = (eg_loan){0};
}

void eg_cursor_close(eg_cursor **cursor)
{
    if (!*cursor)
        return;
    leave(*cursor);
    eg_root_release((*cursor)->root);
    eg_free(*cursor);
    *cursor = NULL;
}

static eg_link top_of(const eg_cursor *cursor)
{
    return cursor->edit ? cursor->edit->top : cursor->root->top;
}

/* To the leaf that key belongs to; it becomes the caller's. bound may be NULL. */
static engram_status find_leaf(const eg_cursor *cursor, eg_view key, eg_bound *bound, eg_loan *leaf,
                               engram_error *error)
{
    eg_visitor *visit = eg_cache_visit(cursor->nodes->cache);
    engram_status status =
        eg_tree_descend(cursor->nodes, top_of(cursor), key, &visit, leaf, bound, error);
    /* What an edit made is held by the root or the edit; what is clean was lent by the visit. */
    if (status == ENGRAM_OK && !leaf->held && leaf->node->epoch == 0)
        leaf->held = eg_node_retain(leaf->node);
    eg_visit_end(visit);
    if (status != ENGRAM_OK)
        *leaf = (eg_loan){0};
    return status;
}

/* Keys must rise from leaf to leaf: what only claims to be a tree ends here. */
static engram_status check_order(const eg_cursor *cursor, eg_view last, const eg_node *next,
                                 engram_error *error)
{
    if (eg_key_compare(last, eg_page_key(&next->page, 0)) < 0)
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_DAMAGED, "%s: neighbouring leaves are not in order",
                   cursor->nodes->path);
}

/* To the first entry of the next leaf. */
static engram_status next_leaf(eg_cursor *cursor, engram_error *error)
{
    eg_bound bound;
    eg_loan same, next;
    const eg_page *page = &cursor->leaf.node->page;
    eg_view last = eg_page_key(page, page->count - 1);
    EG_TRY(find_leaf(cursor, last, &bound, &same, error));
    eg_node_release(same.held);
    if (!bound.known)
        return ENGRAM_NOT_FOUND;
    EG_TRY(find_leaf(cursor, (eg_view){bound.bytes, bound.size}, NULL, &next, error));
    engram_status status = check_order(cursor, last, next.node, error);
    eg_node_release(cursor->leaf.held);
    cursor->leaf = next;
    cursor->index = 0;
    return status;
}

static engram_status step_on(eg_cursor *cursor, engram_error *error)
{
    if (cursor->index < cursor->leaf.node->page.count)
        return ENGRAM_OK;
    engram_status status = next_leaf(cursor, error);
    if (status != ENGRAM_OK)
        leave(cursor);
    return status;
}

engram_status eg_cursor_seek(eg_cursor *cursor, eg_view key, engram_error *error)
{
    leave(cursor);
    if (eg_link_empty(top_of(cursor)))
        return ENGRAM_NOT_FOUND;
    EG_TRY(find_leaf(cursor, key, NULL, &cursor->leaf, error));
    bool found;
    cursor->index = eg_page_search(&cursor->leaf.node->page, key, &found);
    return step_on(cursor, error);
}

engram_status eg_cursor_next(eg_cursor *cursor, engram_error *error)
{
    if (!cursor->leaf.node)
        return ENGRAM_NOT_FOUND;
    cursor->index++;
    return step_on(cursor, error);
}

eg_view eg_cursor_key(const eg_cursor *cursor)
{
    const eg_node *leaf = cursor->leaf.node;
    return leaf ? eg_page_key(&leaf->page, cursor->index) : (eg_view){NULL, 0};
}

eg_view eg_cursor_value(const eg_cursor *cursor)
{
    const eg_node *leaf = cursor->leaf.node;
    return leaf ? eg_page_value(&leaf->page, cursor->index) : (eg_view){NULL, 0};
}
