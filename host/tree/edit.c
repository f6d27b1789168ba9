/* Edits: the next version in the making. Nodes on the way to a change are made the edit's own, by
 * cloning, the first time; shape.c splits and joins them. */
#include "base/memory.h"
#include "tree/nodes.h"

engram_status eg_edit_no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to change the tree");
}

engram_status eg_edit_begin(eg_root *root, eg_edit **edit, engram_error *error)
{
    eg_edit *made = eg_alloc_zero(1, sizeof *made);
    if (!made)
        return eg_edit_no_memory(error);
    made->nodes = root->nodes;
    made->line = root->line;
    atomic_fetch_add_explicit(&made->line->references, 1, memory_order_relaxed);
    made->epoch = atomic_fetch_add(&root->nodes->epochs, 1) + 1;
    made->top = root->top;
    if (made->top.node)
        eg_node_retain(made->top.node);
    made->made = root->made;
    *edit = made;
    return ENGRAM_OK;
}

static void end_edit(eg_edit *edit)
{
    eg_node_release(edit->top.node);
    if (edit->line &&
        atomic_fetch_sub_explicit(&edit->line->references, 1, memory_order_acq_rel) == 1)
        eg_free(edit->line);
    eg_free(edit);
}

void eg_edit_abort(eg_edit **edit)
{
    if (*edit)
        end_edit(*edit);
    *edit = NULL;
}

engram_status eg_edit_finish(eg_edit **edit, eg_root **root, engram_error *error)
{
    eg_edit *done = *edit;
    eg_root *made = done->broken ? NULL : eg_alloc_zero(1, sizeof *made);
    *edit = NULL;
    if (!made) {
        bool broken = done->broken;
        end_edit(done);
        return broken ? eg_fail(error, ENGRAM_INVALID, "a change of this edit had failed")
                      : eg_edit_no_memory(error);
    }
    atomic_init(&made->references, 1);
    made->nodes = done->nodes;
    made->line = done->line;
    made->top = done->top;
    made->made = done->made;
    eg_root_enlist(made);
    done->line = NULL;
    done->top = (eg_link){0};
    end_edit(done);
    *root = made;
    return ENGRAM_OK;
}

engram_status eg_edit_get(eg_edit *edit, eg_view key, eg_buffer *value, engram_error *error)
{
    return eg_tree_get(edit->nodes, edit->top, key, value, error);
}

eg_node *eg_edit_create_node(eg_edit *edit, unsigned level)
{
    eg_node *node = eg_node_make(level, edit->epoch, &edit->nodes->ledger);
    if (node)
        edit->made += (int64_t)eg_node_memory(node);
    return node;
}

/* A clone of what link leads to takes its place in link. */
static engram_status own_link(eg_edit *edit, eg_link *link, int level, engram_error *error)
{
    if (link->node && link->node->epoch == edit->epoch)
        return ENGRAM_OK;
    eg_loan loan;
    EG_TRY(eg_nodes_borrow(edit->nodes, *link, level, &loan, error));
    eg_node *clone = eg_node_clone(loan.node, edit->epoch, &edit->nodes->ledger);
    if (clone) {
        edit->made += (int64_t)eg_node_memory(clone);
        if (atomic_load_explicit(&loan.node->stored_address, memory_order_relaxed) == 0)
            edit->made -= (int64_t)eg_node_memory(loan.node);
        eg_node_release(link->node);
        *link = (eg_link){0, 0, clone};
    }
    eg_node_release(loan.held);
    return clone ? ENGRAM_OK : eg_edit_no_memory(error);
}

engram_status eg_edit_own(eg_edit *edit, eg_node *parent, size_t index, eg_node **node,
                          engram_error *error)
{
    eg_link link = eg_node_link(parent, index);
    if (!link.node || link.node->epoch != edit->epoch) {
        EG_TRY(own_link(edit, &link, parent->level - 1, error));
        eg_node_set_link(parent, index, link);
    }
    *node = link.node;
    return ENGRAM_OK;
}

static engram_status own_top(eg_edit *edit, engram_error *error)
{
    if (!eg_link_empty(edit->top))
        return own_link(edit, &edit->top, EG_LEVEL_ANY, error);
    edit->top.node = eg_edit_create_node(edit, 0);
    return edit->top.node ? ENGRAM_OK : eg_edit_no_memory(error);
}

/* Owns the way down to the leaf that key belongs to. */
static engram_status own_path(eg_edit *edit, eg_view key, eg_path *path, engram_error *error)
{
    EG_TRY(own_top(edit, error));
    eg_node *node = edit->top.node;
    path->height = (size_t)node->level + 1;
    while (node->level > 0) {
        size_t index = eg_node_child_index(node, key);
        path->steps[node->level] = (eg_step){node, index};
        EG_TRY(eg_edit_own(edit, node, index, &node, error));
    }
    path->steps[0] = (eg_step){node, 0};
    return ENGRAM_OK;
}

static engram_status put(eg_edit *edit, eg_view key, eg_view value, engram_error *error)
{
    eg_path path;
    EG_TRY(own_path(edit, key, &path, error));
    eg_node *leaf = path.steps[0].node;
    int64_t before = (int64_t)eg_node_memory(leaf);
    bool found;
    size_t index = eg_page_search(&leaf->page, key, &found);
    bool done = found ? eg_page_replace(&leaf->page, index, value)
                      : eg_node_insert(leaf, index, key, value);
    if (!done)
        return eg_edit_no_memory(error);
    eg_node_recount(leaf);
    edit->made += (int64_t)eg_node_memory(leaf) - before;
    path.steps[0].index = index;
    return eg_page_need(&leaf->page) > EG_PAGE_SIZE ? eg_shape_grow(edit, &path, error) : ENGRAM_OK;
}

static engram_status check_change(const eg_edit *edit, eg_view key, engram_error *error)
{
    if (edit->broken)
        return eg_fail(error, ENGRAM_INVALID, "a change of this edit had failed");
    return eg_key_check(key, error);
}

engram_status eg_edit_put(eg_edit *edit, eg_view key, eg_view value, engram_error *error)
{
    EG_TRY(check_change(edit, key, error));
    if (value.size > EG_TREE_VALUE_MAX)
        return eg_fail(error, ENGRAM_INVALID, "a value of %zu bytes: up to %d can be stored",
                       value.size, EG_TREE_VALUE_MAX);
    engram_status status = put(edit, key, value, error);
    edit->broken = status != ENGRAM_OK;
    return status;
}

static engram_status remove_entry(eg_edit *edit, eg_view key, engram_error *error)
{
    eg_path path;
    EG_TRY(own_path(edit, key, &path, error));
    eg_node *leaf = path.steps[0].node;
    bool found;
    size_t index = eg_page_search(&leaf->page, key, &found);
    if (!found)
        return ENGRAM_NOT_FOUND;
    eg_page_remove(&leaf->page, index);
    path.steps[0].index = index;
    return eg_page_need(&leaf->page) < EG_PAGE_SIZE / 4 ? eg_shape_shrink(edit, &path, error)
                                                        : ENGRAM_OK;
}

engram_status eg_edit_remove(eg_edit *edit, eg_view key, engram_error *error)
{
    EG_TRY(check_change(edit, key, error));
    /* Looking first: removing what is not there copies nothing. */
    engram_status status = eg_tree_get(edit->nodes, edit->top, key, NULL, error);
    if (status == ENGRAM_OK)
        status = remove_entry(edit, key, error);
    edit->broken = status != ENGRAM_OK && status != ENGRAM_NOT_FOUND;
    return status;
}
