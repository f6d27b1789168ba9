/* Roots: versions of a tree, and reading one key of them. */
#include "base/memory.h"
#include "tree/nodes.h"

engram_status eg_key_check(eg_view key, engram_error *error)
{
    if (key.size >= 1 && key.size <= EG_TREE_KEY_MAX)
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_INVALID, "a key of %zu bytes: 1 to %d can be stored", key.size,
                   EG_TREE_KEY_MAX);
}

void eg_root_enlist(eg_root *root)
{
    eg_nodes *nodes = root->nodes;
    pthread_mutex_lock(&nodes->roots_lock);
    root->next = nodes->roots;
    root->from = &nodes->roots;
    if (root->next)
        root->next->from = &root->next;
    nodes->roots = root;
    nodes->root_count++;
    pthread_mutex_unlock(&nodes->roots_lock);
}

static void delist(eg_root *root)
{
    eg_nodes *nodes = root->nodes;
    pthread_mutex_lock(&nodes->roots_lock);
    *root->from = root->next;
    if (root->next)
        root->next->from = root->from;
    nodes->root_count--;
    pthread_mutex_unlock(&nodes->roots_lock);
}

/* One whose last reference has gone is on its way out of the list. */
static bool try_retain(eg_root *root)
{
    unsigned count = atomic_load(&root->references);
    while (count > 0 && !atomic_compare_exchange_weak(&root->references, &count, count + 1))
        ;
    return count > 0;
}

engram_status eg_nodes_list_roots(eg_nodes *nodes, eg_root ***roots, size_t *count,
                                  engram_error *error)
{
    *count = 0;
    pthread_mutex_lock(&nodes->roots_lock);
    *roots = eg_alloc((nodes->root_count + 1) * sizeof **roots);
    for (eg_root *root = nodes->roots; *roots && root; root = root->next)
        if (try_retain(root))
            (*roots)[(*count)++] = root;
    pthread_mutex_unlock(&nodes->roots_lock);
    return *roots ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "no memory to list versions");
}

engram_status eg_root_open(eg_nodes *nodes, eg_node_ref ref, eg_root **root, engram_error *error)
{
    eg_root *made = eg_alloc_zero(1, sizeof *made);
    eg_line *line = eg_alloc_zero(1, sizeof *line);
    if (!made || !line) {
        eg_free(line);
        eg_free(made);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a version of the tree");
    }
    atomic_init(&line->references, 1);
    atomic_init(&made->references, 1);
    made->nodes = nodes;
    made->line = line;
    made->top = (eg_link){ref.size ? ref.address : 0, ref.size, NULL};
    eg_root_enlist(made);
    *root = made;
    return ENGRAM_OK;
}

eg_root *eg_root_retain(eg_root *root)
{
    atomic_fetch_add_explicit(&root->references, 1, memory_order_relaxed);
    return root;
}

void eg_root_release(eg_root *root)
{
    if (!root || atomic_fetch_sub_explicit(&root->references, 1, memory_order_acq_rel) != 1)
        return;
    delist(root);
    eg_node_release(root->top.node);
    if (atomic_fetch_sub_explicit(&root->line->references, 1, memory_order_acq_rel) == 1)
        eg_free(root->line);
    eg_free(root);
}

uint64_t eg_root_dirty_size(const eg_root *root)
{
    int64_t size = root->made - atomic_load_explicit(&root->line->flushed, memory_order_relaxed);
    return size > 0 ? (uint64_t)size : 0;
}

/* The key of the next cell, if there is one: below it, and above it, everything is nearer. */
static void note_bound(eg_bound *bound, const eg_node *node, size_t index)
{
    if (index + 1 >= node->page.count)
        return;
    eg_view key = eg_page_key(&node->page, index + 1);
    bound->known = true;
    bound->size = key.size;
    memcpy(bound->bytes, key.data, key.size);
}

engram_status eg_tree_descend(eg_nodes *nodes, eg_link top, eg_view key, eg_visitor **visit,
                              eg_loan *loan, eg_bound *bound, engram_error *error)
{
    if (bound)
        bound->known = false;
    EG_TRY(eg_nodes_visit(nodes, top, EG_LEVEL_ANY, visit, loan, error));
    while (loan->node->level > 0) {
        eg_node *parent = loan->node, *held = loan->held;
        int level = parent->level - 1;
        size_t index = eg_node_child_index(parent, key);
        eg_link link = eg_node_link(parent, index);
        if (bound)
            note_bound(bound, parent, index);
        engram_status status = eg_nodes_visit(nodes, link, level, visit, loan, error);
        eg_node_release(held);
        if (status != ENGRAM_OK)
            return status;
    }
    return ENGRAM_OK;
}

/* Within one visit all the way, as long as nothing has to be read from disk. */
static engram_status get(eg_nodes *nodes, eg_link top, eg_view key, eg_visitor **visit,
                         eg_buffer *value, engram_error *error)
{
    eg_loan loan;
    EG_TRY(eg_tree_descend(nodes, top, key, visit, &loan, NULL, error));
    size_t index;
    bool found = eg_page_find(&loan.node->page, key, &index);
    if (found && value) {
        eg_view bytes = eg_page_value(&loan.node->page, index);
        eg_write_bytes(value, bytes.data, bytes.size);
    }
    eg_node_release(loan.held);
    return found ? ENGRAM_OK : ENGRAM_NOT_FOUND;
}

engram_status eg_tree_get(eg_nodes *nodes, eg_link top, eg_view key, eg_buffer *value,
                          engram_error *error)
{
    EG_TRY(eg_key_check(key, error));
    if (value)
        eg_buffer_clear(value);
    if (eg_link_empty(top))
        return ENGRAM_NOT_FOUND;
    eg_visitor *visit = eg_cache_visit(nodes->cache);
    engram_status status = get(nodes, top, key, &visit, value, error);
    eg_visit_end(visit);
    if (status == ENGRAM_OK && value && value->failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a value");
    return status;
}

engram_status eg_root_get(eg_root *root, eg_view key, eg_buffer *value, engram_error *error)
{
    return eg_tree_get(root->nodes, root->top, key, value, error);
}
