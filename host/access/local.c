/* An engram in a directory: the library's own functions. */
#include "access/local.h"

#include "base/memory.h"

enum { PIECE = 1 << 20 };

static void close_local(eg_access *access)
{
    eg_free(access);
}

static engram_status info(eg_access *access, const char *at, json_t *document, engram_error *error)
{
    eg_version version = {0};
    eg_info gathered = {0};
    EG_TRY(eg_engram_pin_at(access->engram, at, &version, error));
    engram_status status = eg_info_gather(access->engram, &version, &gathered, error);
    eg_version_release(&version);
    EG_TRY(status);
    eg_info_judge(access->engram, &gathered);
    eg_info_fill(document, access->engram, &gathered);
    return ENGRAM_OK;
}

static engram_status pin(eg_access *access, const char *at, eg_access_view **view,
                         engram_error *error)
{
    eg_local_view *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = engram_pin_at(access->engram, at, &made->view, error);
    if (status != ENGRAM_OK) {
        eg_free(made);
        return status;
    }
    made->base = (eg_access_view){access, engram_view_version(made->view)};
    *view = &made->base;
    return ENGRAM_OK;
}

static void unpin(eg_access_view *view)
{
    engram_unpin(&((eg_local_view *)view)->view);
    eg_free(view);
}

static engram_status stat_path(eg_access_view *view, const char *path, struct engram_stat *stat,
                               eg_stored_name *target, engram_error *error)
{
    EG_TRY(engram_stat(eg_local_view_of(view), path, stat, error));
    return target == NULL ? ENGRAM_OK
                          : eg_entry_target(eg_local_view_of(view), path, stat, target, error);
}

typedef struct walk {
    engram_view *view;
    eg_access_visit *visit;
    void *context;
} walk;

static engram_status on_entry(void *context, const char *path, const struct engram_stat *stat,
                              engram_error *error)
{
    const walk *w = context;
    eg_stored_name target;
    EG_TRY(eg_entry_target(w->view, path, stat, &target, error));
    return w->visit(w->context, path, stat, target.text, error);
}

static engram_status list(eg_access_view *view, const char *prefix, const engram_filter *filter,
                          eg_access_visit *visit, void *context, engram_error *error)
{
    walk w = {eg_local_view_of(view), visit, context};
    return engram_list(w.view, prefix, filter, on_entry, &w, error);
}

static engram_status read_pieces(engram_view *view, uint64_t inode, uint8_t *bytes,
                                 eg_access_sink *sink, void *context, engram_error *error)
{
    size_t got = PIECE;
    for (uint64_t at = 0; got == PIECE; at += got) {
        EG_TRY(engram_read_inode(view, inode, at, bytes, PIECE, &got, error));
        EG_TRY(sink(context, bytes, got, error));
    }
    return ENGRAM_OK;
}

static engram_status read_content(eg_access_view *view, const char *path, struct engram_stat *stat,
                                  eg_access_sink *sink, void *context, engram_error *error)
{
    EG_TRY(engram_stat(eg_local_view_of(view), path, stat, error));
    if (stat->kind != ENGRAM_KIND_FILE)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: not a regular file but a %s; 'engram stat' tells more", path,
                       engram_kind_name(stat->kind));
    uint8_t *bytes = eg_alloc(PIECE);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status =
        read_pieces(eg_local_view_of(view), stat->inode, bytes, sink, context, error);
    eg_free(bytes);
    return status;
}

/* ---- history ---- */

static engram_status show_log(eg_access *access, const char *path, engram_log_visit *visit,
                              void *context, engram_error *error)
{
    return engram_log(access->engram, path, visit, context, error);
}

static engram_status diff(eg_access_view *from, eg_access_view *to, const char *prefix,
                          engram_change_visit *visit, void *context, engram_error *error)
{
    return engram_diff(eg_local_view_of(from), eg_local_view_of(to), prefix, visit, context, error);
}

static engram_status versions(eg_access *access, engram_retained_visit *visit, void *context,
                              engram_error *error)
{
    return engram_versions(access->engram, visit, context, error);
}

static engram_status snapshots(eg_access *access, engram_snapshot_visit *visit, void *context,
                               engram_error *error)
{
    return engram_snapshots(access->engram, visit, context, error);
}

static engram_status snapshot_create(eg_access *access, const char *name, const char *at,
                                     uint64_t *version, engram_error *error)
{
    return at != NULL ? engram_snapshot_create_at(access->engram, name, at, version, error)
                      : engram_snapshot_create(access->engram, name, version, error);
}

static engram_status snapshot_delete(eg_access *access, const char *name, engram_error *error)
{
    return engram_snapshot_delete(access->engram, name, error);
}

static const eg_access_ops ops = {
    .close = close_local,
    .info = info,
    .ask = eg_local_query,
    .pin = pin,
    .unpin = unpin,
    .stat = stat_path,
    .list = list,
    .read = read_content,
    .begin = eg_local_begin,
    .commit = eg_local_commit,
    .drop = eg_local_drop,
    .edit_stat = eg_local_edit_stat,
    .put = eg_local_put,
    .mkdir = eg_local_mkdir,
    .rename = eg_local_rename,
    .remove = eg_local_remove,
    .remove_all = eg_local_remove_all,
    .rollback = eg_local_rollback,
    .log = show_log,
    .diff = diff,
    .versions = versions,
    .snapshots = snapshots,
    .snapshot_create = snapshot_create,
    .snapshot_delete = snapshot_delete,
};

engram_status eg_access_open_local(eg_engram *engram, eg_access **access, engram_error *error)
{
    *access = eg_alloc(sizeof **access);
    if (*access == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    **access = (eg_access){&ops, engram};
    return ENGRAM_OK;
}
