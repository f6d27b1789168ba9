/* A new node file, with nothing in it but the nodes of versions that are kept.
 *
 * Nodes are only ever appended, so those of versions that were let go of stay. When a compaction finds that they take
 * too much, the writer that closes, when nobody uses the trees any more, copies what is kept into a file with the next
 * number, and then switches: 1. the nodes, synced, and the file's name; 2. a checkpoint file that is as the last one,
 * but for the places of trees; 3. MANIFEST.json. The old file goes with the sweep, as soon as no reader of an older
 * generation is there. A crash before 3 leaves a file that nothing names. */
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct renewing {
    eg_engram *engram;
    eg_nodes *to;
    eg_mover *mover;
    eg_edit *edit;   /* of the new catalog */
    eg_root *catalog;
    eg_checkpoint state;
} renewing;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory writing the tree anew");
}

typedef engram_status entry_visit(void *context, eg_view key, eg_view value, eg_node_ref tree,
                                  engram_error *error);

/* Every entry of the catalog. */
static engram_status for_entries(eg_root *catalog, entry_visit *visit, void *context,
                                 engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(catalog, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"V", 1}, error);
    bool at_end = status == ENGRAM_NOT_FOUND;
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor), value = eg_cursor_value(cursor);
        if (value.size < EG_CATALOG_FIXED) {
            status = eg_fail(error, ENGRAM_DAMAGED, "a catalog entry cannot be read");
            break;
        }
        eg_node_ref tree = {eg_get_u64(value.data + 8), eg_get_u32(value.data + 16)};
        status = visit(context, key, value, tree, error);
        if (status == ENGRAM_OK) {
            status = eg_cursor_next(cursor, error);
            at_end = status == ENGRAM_NOT_FOUND;
        }
    }
    eg_cursor_close(&cursor);
    return at_end ? ENGRAM_OK : status;
}

/* ---- how much is kept ---- */

static engram_status count_entry(void *context, eg_view key, eg_view value, eg_node_ref tree,
                                 engram_error *error)
{
    (void)key, (void)value;
    return eg_mover_move(context, &tree, error);
}

static engram_status count(eg_mover *mover, eg_root *catalog, const eg_checkpoint *state,
                           engram_error *error)
{
    eg_node_ref tree = state->tree, list = state->catalog;
    EG_TRY(eg_mover_move(mover, &tree, error));
    EG_TRY(eg_mover_move(mover, &list, error));
    return for_entries(catalog, count_entry, mover, error);
}

engram_status eg_engram_measure_nodes(eg_engram *e, uint64_t *size, uint64_t *kept,
                                      engram_error *error)
{
    eg_mover *mover;
    EG_TRY(eg_mover_create(e->nodes, NULL, &mover, error));
    pthread_mutex_lock(&e->checkpoint_lock); /* the catalog is that of the checkpoint */
    pthread_mutex_lock(&e->history_lock);
    eg_root *catalog = eg_root_retain(e->catalog);
    pthread_mutex_unlock(&e->history_lock);
    engram_status status = count(mover, catalog, &e->manifest.state, error);
    *size = eg_nodes_offset_of(e->manifest.state.nodes_end);
    pthread_mutex_unlock(&e->checkpoint_lock);
    *kept = eg_mover_size(mover);
    eg_root_release(catalog);
    eg_mover_free(mover);
    return status;
}

/* ---- writing ---- */

static engram_status move_entry(void *context, eg_view key, eg_view value, eg_node_ref tree,
                                engram_error *error)
{
    renewing *r = context;
    EG_TRY(eg_mover_move(r->mover, &tree, error));
    uint8_t *moved = eg_memdup(value.data, value.size);
    if (moved == NULL)
        return no_memory(error);
    eg_put_u64(moved + 8, tree.address);
    eg_put_u32(moved + 16, tree.size);
    engram_status status = eg_edit_put(r->edit, key, (eg_view){moved, value.size}, error);
    eg_free(moved);
    return status;
}

static engram_status write_catalog(renewing *r, engram_error *error)
{
    eg_root *empty = NULL;
    EG_TRY(eg_root_open(r->to, (eg_node_ref){0}, &empty, error));
    engram_status status = eg_edit_begin(empty, &r->edit, error);
    eg_root_release(empty);
    EG_TRY(status);
    EG_TRY(for_entries(r->engram->catalog, move_entry, r, error));
    EG_TRY(eg_edit_finish(&r->edit, &r->catalog, error));
    return eg_root_flush(r->catalog, &r->state.catalog, error);
}

static engram_status write_file(renewing *r, const char *dir, uint32_t number, engram_error *error)
{
    eg_engram *e = r->engram;
    eg_nodes_options options = {.end = EG_NODES_FILE(number), .cache_size = e->options.cache_size};
    EG_TRY(eg_nodes_open(e->io, dir, &options, &r->to, error));
    EG_TRY(eg_mover_create(e->nodes, r->to, &r->mover, error));
    EG_TRY(eg_mover_move(r->mover, &r->state.tree, error));
    EG_TRY(write_catalog(r, error));
    EG_TRY(eg_nodes_sync(r->to, error));
    r->state.nodes_end = eg_nodes_end(r->to);
    return ENGRAM_OK;
}

static engram_status switch_over(renewing *r, engram_error *error)
{
    eg_engram *e = r->engram;
    eg_manifest next = e->manifest;
    next.checkpoint++;
    next.clean = false;
    next.state = r->state;
    engram_status status =
        eg_checkpoint_write(e->io, e->dir, next.checkpoint, &r->state, e->bundle, &next, error);
    if (status == ENGRAM_OK)
        status = eg_manifest_write(e->io, e->dir, &next, error);
    if (status != ENGRAM_OK) { /* nobody knows which one counts */
        eg_engram_fail(e, status);
        return status;
    }
    eg_manifest_follow(&e->manifest, &next);
    e->has_old_nodes = true;
    eg_engram_sweep(e);
    return ENGRAM_OK;
}

static void fini(renewing *r)
{
    eg_edit_abort(&r->edit);
    eg_root_release(r->catalog);
    eg_mover_free(r->mover);
    eg_nodes_close(&r->to);
}

static engram_status renew(renewing *r, uint32_t number, engram_error *error)
{
    char *dir = eg_path_join(r->engram->dir, "tree");
    if (dir == NULL)
        return no_memory(error);
    engram_error inner = {0};
    engram_status status = write_file(r, dir, number, &inner);
    if (status != ENGRAM_OK) { /* the old one is as it was */
        eg_log(EG_LOG_WARNING, "%s: the tree was not written anew: %s", r->engram->dir,
               inner.message);
        eg_edit_abort(&r->edit);
        eg_nodes_sweep(r->engram->io, dir, number - 1, NULL);
        eg_free(dir);
        return ENGRAM_OK;
    }
    eg_free(dir);
    return switch_over(r, error);
}

engram_status eg_engram_renew_nodes(eg_engram *e, engram_error *error)
{
    renewing r = {.engram = e, .state = e->manifest.state};
    uint32_t number = eg_nodes_file_of(e->manifest.state.nodes_end) + 1;
    if (!e->wants_new_nodes || number > EG_NODES_FILE_MAX)
        return ENGRAM_OK;
    pthread_mutex_lock(&e->checkpoint_lock);
    engram_status status = renew(&r, number, error);
    pthread_mutex_unlock(&e->checkpoint_lock);
    fini(&r);
    return status;
}
