/* Which chunks are held: a mark over versions, with a bit for each chunk.
 *
 * The holders in the tree, keys 'R', say which chunks a version holds (inode.h). The first version is walked; of each
 * further one only what differs from the one before is looked at, since versions share their nodes (eg_root_diff).
 *
 * What is looked at: the catalog, then every root in memory. Whoever pins a version of the catalog has it among the
 * roots before he can be sure that the catalog still has it (versions.c), so none slips through. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct marking {
    eg_id_set *held;
    uint64_t id_max; /* no chunk has a higher id: what damage says beyond is no memory to be taken */
    eg_root *before; /* the tree marked last, retained, or NULL */
} marking;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory looking for garbage");
}

static engram_status mark(marking *m, eg_view key, engram_error *error)
{
    uint64_t id = key.size == 17 ? eg_get_be64(key.data + 1) : 0;
    if (id == 0 || id > m->id_max)
        return ENGRAM_OK;
    return eg_id_set_add(m->held, id) ? ENGRAM_OK : no_memory(error);
}

static engram_status mark_change(void *context, eg_view key, const eg_view *from, const eg_view *to,
                                 engram_error *error)
{
    (void)from;
    return to != NULL && key.data[0] == 'R' ? mark(context, key, error) : ENGRAM_OK;
}

static engram_status mark_whole(marking *m, eg_root *root, engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"R", 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK && eg_cursor_key(cursor).data[0] == 'R') {
        status = mark(m, eg_cursor_key(cursor), error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

/* Catalogs are roots too: they have no totals. */
static engram_status mark_root(marking *m, eg_root *root, engram_error *error)
{
    eg_key totals = eg_key_totals();
    engram_status status = eg_root_get(root, eg_key_view(&totals), NULL, error);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    EG_TRY(status);
    EG_TRY(m->before == NULL ? mark_whole(m, root, error)
                             : eg_root_diff(m->before, root, mark_change, m, error));
    eg_root_retain(root);
    eg_root_release(m->before);
    m->before = root;
    return ENGRAM_OK;
}

static engram_status mark_entry(eg_engram *e, marking *m, eg_view value, engram_error *error)
{
    eg_root *root;
    if (value.size < EG_CATALOG_FIXED)
        return eg_fail(error, ENGRAM_DAMAGED, "a catalog entry cannot be read; run engram verify");
    eg_node_ref ref = {eg_get_u64(value.data + 8), eg_get_u32(value.data + 16)};
    EG_TRY(eg_root_open(e->nodes, ref, &root, error));
    engram_status status = mark_root(m, root, error);
    eg_root_release(root);
    return status;
}

static engram_status mark_catalog(eg_engram *e, marking *m, eg_root *catalog, engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(catalog, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"V", 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        status = mark_entry(e, m, eg_cursor_value(cursor), error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

engram_status eg_engram_reach(eg_engram *e, eg_id_set *held, engram_error *error)
{
    marking m = {.held = held, .id_max = eg_store_next_id(e->store)};
    eg_root **roots = NULL, *catalog;
    size_t count = 0;
    pthread_mutex_lock(&e->history_lock);
    catalog = eg_root_retain(e->catalog);
    engram_status status = eg_nodes_list_roots(e->nodes, &roots, &count, error);
    pthread_mutex_unlock(&e->history_lock);
    for (size_t i = 0; i < count && status == ENGRAM_OK; i++)
        status = mark_root(&m, roots[i], error);
    if (status == ENGRAM_OK)
        status = mark_catalog(e, &m, catalog, error);
    for (size_t i = 0; i < count; i++)
        eg_root_release(roots[i]);
    eg_free(roots);
    eg_root_release(catalog);
    eg_root_release(m.before);
    return status;
}

/* ---- as if the rules had been applied ---- */

typedef struct listing {
    eg_retention_entry *list;
    size_t count, capacity;
} listing;

static engram_status list_version(void *context, const engram_retained *r, engram_error *error)
{
    listing *l = context;
    if (!eg_grow((void **)&l->list, &l->capacity, l->count + 1, sizeof *l->list))
        return no_memory(error);
    l->list[l->count++] = (eg_retention_entry){.number = r->version,
                                               .time_ns = r->time_ns,
                                               .keep = *r->snapshot != 0,
                                               .labelled = *r->label != 0};
    return ENGRAM_OK;
}

static engram_status mark_number(eg_engram *e, marking *m, uint64_t number, engram_error *error)
{
    eg_version version;
    engram_error inner = {0};
    engram_status status = eg_engram_pin_number(e, number, &version, &inner);
    if (status == ENGRAM_NOT_FOUND) /* let go of since it was listed */
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    status = mark_root(m, version.root, error);
    eg_version_release(&version);
    return status;
}

static engram_status mark_kept(eg_engram *e, marking *m, const listing *l, engram_error *error)
{
    engram_retention rules;
    bool *drop = eg_alloc_zero(l->count + 1, sizeof *drop);
    if (drop == NULL)
        return no_memory(error);
    engram_get_retention(e, &rules);
    eg_retention_apply(&rules, eg_clock_wall_ns(), l->list, l->count, drop);
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < l->count && status == ENGRAM_OK; i++)
        if (!drop[i])
            status = mark_number(e, m, l->list[i].number, error);
    eg_free(drop);
    return status;
}

engram_status eg_engram_reach_retained(eg_engram *e, eg_id_set *held, engram_error *error)
{
    marking m = {.held = held, .id_max = eg_store_next_id(e->store)};
    listing l = {0};
    engram_status status = engram_versions(e, list_version, &l, error);
    if (status == ENGRAM_OK)
        status = mark_kept(e, &m, &l, error);
    eg_free(l.list);
    eg_root_release(m.before);
    return status;
}
