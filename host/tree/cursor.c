/* Cursors: a walk in key order over a root or an edit. */
#include "base/memory.h"
#include "tree/nodes.h"

struct eg_cursor {
    eg_nodes *nodes;
    eg_root *root; /* retained; NULL: the cursor walks an edit */
    eg_edit *edit;
    size_t height;                /* 0: it stands on nothing */
    eg_step steps[EG_LEVELS_MAX]; /* from the leaf ([0]) up; nodes strong */
};

static engram_status create_cursor(eg_nodes *nodes, eg_cursor **cursor, engram_error *error)
{
    *cursor = eg_alloc_zero(1, sizeof **cursor);
    if (!*cursor)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to walk the tree");
    (*cursor)->nodes = nodes;
    return ENGRAM_OK;
}

engram_status eg_cursor_open(eg_root *root, eg_cursor **cursor, engram_error *error)
{
    EG_TRY(create_cursor(root->nodes, cursor, error));
    (*cursor)->root = eg_root_retain(root);
    return ENGRAM_OK;
}

engram_status eg_cursor_open_edit(eg_edit *edit, eg_cursor **cursor, engram_error *error)
{
    EG_TRY(create_cursor(edit->nodes, cursor, error));
    (*cursor)->edit = edit;
    return ENGRAM_OK;
}

static void leave(eg_cursor *cursor)
{
    for (size_t i = 0; i < cursor->height; i++)
        eg_node_release(cursor->steps[i].node);
    memset(cursor->steps, 0, cursor->height * sizeof *cursor->steps);
    cursor->height = 0;
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

/* From the child that the step at level stands on down to a leaf; to key, or to the least one when
 * key is NULL. */
static engram_status descend(eg_cursor *cursor, size_t level, const eg_view *key,
                             engram_error *error)
{
    for (; level > 0; level--) {
        eg_step *up = &cursor->steps[level], *down = &cursor->steps[level - 1];
        EG_TRY(eg_nodes_acquire(cursor->nodes, eg_node_link(up->node, up->index), (int)level - 1,
                                &down->node, error));
        down->index = 0;
        if (key && level > 1)
            down->index = eg_node_child_index(down->node, *key);
    }
    return ENGRAM_OK;
}

/* To the first entry of the next leaf. Keys must rise from leaf to leaf: what only claims to be a
 * tree ends here. */
static engram_status next_leaf(eg_cursor *cursor, engram_error *error)
{
    size_t level = 1;
    while (level < cursor->height &&
           cursor->steps[level].index + 1 >= cursor->steps[level].node->page.count)
        level++;
    if (level >= cursor->height)
        return ENGRAM_NOT_FOUND;
    eg_node *last = cursor->steps[0].node;
    cursor->steps[0].node = NULL;
    for (size_t i = 1; i < level; i++) {
        eg_node_release(cursor->steps[i].node);
        cursor->steps[i].node = NULL;
    }
    cursor->steps[level].index++;
    engram_status status = descend(cursor, level, NULL, error);
    if (status == ENGRAM_OK && eg_key_compare(eg_page_key(&last->page, last->page.count - 1),
                                              eg_page_key(&cursor->steps[0].node->page, 0)) >= 0)
        status = eg_fail(error, ENGRAM_DAMAGED, "%s: neighbouring leaves are not in order",
                         cursor->nodes->path);
    eg_node_release(last);
    return status;
}

static engram_status step_on(eg_cursor *cursor, engram_error *error)
{
    eg_step *leaf = &cursor->steps[0];
    if (leaf->index < leaf->node->page.count)
        return ENGRAM_OK;
    engram_status status = next_leaf(cursor, error);
    if (status != ENGRAM_OK)
        leave(cursor);
    return status;
}

static engram_status enter(eg_cursor *cursor, eg_view key, engram_error *error)
{
    eg_node *top;
    eg_link link = cursor->edit ? cursor->edit->top : cursor->root->top;
    EG_TRY(eg_nodes_acquire(cursor->nodes, link, EG_LEVEL_ANY, &top, error));
    cursor->height = (size_t)top->level + 1;
    cursor->steps[top->level] = (eg_step){top, 0};
    if (top->level > 0)
        cursor->steps[top->level].index = eg_node_child_index(top, key);
    EG_TRY(descend(cursor, top->level, &key, error));
    bool found;
    eg_step *leaf = &cursor->steps[0];
    leaf->index = eg_page_search(&leaf->node->page, key, &found);
    return ENGRAM_OK;
}

engram_status eg_cursor_seek(eg_cursor *cursor, eg_view key, engram_error *error)
{
    leave(cursor);
    if (eg_link_empty(cursor->edit ? cursor->edit->top : cursor->root->top))
        return ENGRAM_NOT_FOUND;
    engram_status status = enter(cursor, key, error);
    if (status == ENGRAM_OK)
        return step_on(cursor, error);
    leave(cursor);
    return status;
}

engram_status eg_cursor_next(eg_cursor *cursor, engram_error *error)
{
    if (cursor->height == 0)
        return ENGRAM_NOT_FOUND;
    cursor->steps[0].index++;
    return step_on(cursor, error);
}

eg_view eg_cursor_key(const eg_cursor *cursor)
{
    const eg_step *leaf = &cursor->steps[0];
    return cursor->height ? eg_page_key(&leaf->node->page, leaf->index) : (eg_view){NULL, 0};
}

eg_view eg_cursor_value(const eg_cursor *cursor)
{
    const eg_step *leaf = &cursor->steps[0];
    return cursor->height ? eg_page_value(&leaf->node->page, leaf->index) : (eg_view){NULL, 0};
}
