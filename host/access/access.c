/* The functions of access.h, as calls through the table. */
#include "access/ops.h"

void eg_access_close(eg_access **access)
{
    if (*access != NULL)
        (*access)->ops->close(*access);
    *access = NULL;
}

eg_engram *eg_access_engram(const eg_access *access)
{
    return access->engram;
}

engram_status eg_access_info(eg_access *access, const char *at, json_t *document,
                             engram_error *error)
{
    return access->ops->info(access, at, document, error);
}

engram_status eg_access_ask(eg_access *access, const eg_access_query *query, json_t *document,
                            engram_error *error)
{
    return access->ops->ask(access, query, document, error);
}

engram_status eg_access_pin(eg_access *access, const char *at, eg_access_view **view,
                            engram_error *error)
{
    return access->ops->pin(access, at, view, error);
}

void eg_access_unpin(eg_access_view **view)
{
    if (*view != NULL)
        (*view)->access->ops->unpin(*view);
    *view = NULL;
}

uint64_t eg_access_version(const eg_access_view *view)
{
    return view->version;
}

engram_status eg_access_stat(eg_access_view *view, const char *path, struct engram_stat *stat,
                             eg_stored_name *target, engram_error *error)
{
    return view->access->ops->stat(view, path, stat, target, error);
}

engram_status eg_access_list(eg_access_view *view, const char *prefix, const engram_filter *filter,
                             eg_access_visit *visit, void *context, engram_error *error)
{
    return view->access->ops->list(view, prefix, filter, visit, context, error);
}

engram_status eg_access_read(eg_access_view *view, const char *path, struct engram_stat *stat,
                             eg_access_sink *sink, void *context, engram_error *error)
{
    return view->access->ops->read(view, path, stat, sink, context, error);
}

engram_status eg_access_begin(eg_access *access, const engram_transaction_options *options,
                              eg_access_edit **edit, engram_error *error)
{
    return access->ops->begin(access, options, edit, error);
}

engram_status eg_access_end(eg_access_edit **edit, engram_status status, uint64_t *version,
                            engram_error *error)
{
    const eg_access_ops *ops = (*edit)->access->ops;
    if (status == ENGRAM_OK)
        status = ops->commit(*edit, version, error);
    ops->drop(*edit);
    *edit = NULL;
    return status;
}

engram_status eg_access_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat,
                                  engram_error *error)
{
    return edit->access->ops->edit_stat(edit, path, stat, error);
}

engram_status eg_access_put(eg_access_edit *edit, const char *path,
                            const eg_access_content *content, const engram_expected *expected,
                            engram_error *error)
{
    return edit->access->ops->put(edit, path, content, expected, error);
}

engram_status eg_access_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents,
                              engram_error *error)
{
    return edit->access->ops->mkdir(edit, path, mode, parents, error);
}

engram_status eg_access_rename(eg_access_edit *edit, const char *from, const char *to,
                               const engram_expected *expected, engram_error *error)
{
    return edit->access->ops->rename(edit, from, to, expected, error);
}

engram_status eg_access_remove(eg_access_edit *edit, const char *path,
                               const engram_expected *expected, engram_error *error)
{
    return edit->access->ops->remove(edit, path, expected, error);
}

engram_status eg_access_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed,
                                   engram_error *error)
{
    return edit->access->ops->remove_all(edit, path, removed, error);
}

engram_status eg_access_rollback(eg_access_edit *edit, eg_access_view *to, const char *path,
                                 uint64_t *changed, engram_error *error)
{
    return edit->access->ops->rollback(edit, to, path, changed, error);
}

engram_status eg_access_log(eg_access *access, const char *path, engram_log_visit *visit,
                            void *context, engram_error *error)
{
    return access->ops->log(access, path, visit, context, error);
}

engram_status eg_access_diff(eg_access_view *from, eg_access_view *to, const char *prefix,
                             engram_change_visit *visit, void *context, engram_error *error)
{
    return from->access->ops->diff(from, to, prefix, visit, context, error);
}

engram_status eg_access_versions(eg_access *access, engram_retained_visit *visit, void *context,
                                 engram_error *error)
{
    return access->ops->versions(access, visit, context, error);
}

engram_status eg_access_snapshots(eg_access *access, engram_snapshot_visit *visit, void *context,
                                  engram_error *error)
{
    return access->ops->snapshots(access, visit, context, error);
}

engram_status eg_access_snapshot_create(eg_access *access, const char *name, const char *at,
                                        uint64_t *version, engram_error *error)
{
    return access->ops->snapshot_create(access, name, at, version, error);
}

engram_status eg_access_snapshot_delete(eg_access *access, const char *name, engram_error *error)
{
    return access->ops->snapshot_delete(access, name, error);
}
