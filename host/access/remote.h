/* What the files about a server's engram share. */
#ifndef EG_ACCESS_REMOTE_H
#define EG_ACCESS_REMOTE_H

#include "access/http.h"
#include "access/ops.h"
#include "access/target.h"

typedef struct eg_remote {
    eg_access base;
    eg_http *http;
} eg_remote;

/* A version by its number. One that nobody named is let go by the server when commits are many; a view of the newest then
 * moves on to what is the newest now (remote.c). */
typedef struct eg_remote_view {
    eg_access_view base;
    bool is_newest;
} eg_remote_view;

static inline eg_http *eg_remote_http(eg_access *access)
{
    return ((eg_remote *)access)->http;
}

/* "/v1/files/PATH?stat", at a version when at is not NULL. */
void eg_remote_stat_target(eg_buffer *target, const char *path, const char *at);
/* The document of a path as it is now. */
engram_status eg_remote_stat_newest(eg_access *access, const char *path, struct engram_stat *stat, engram_error *error);
/* The document at a target that add writes for the view's version, which may move on. */
typedef void eg_remote_target(eg_buffer *target, const void *context, uint64_t version);
engram_status eg_remote_get(eg_access_view *view, eg_remote_target *add, const void *context, json_t **reply, engram_error *error);
/* The whole of a target, which is emptied. */
engram_status eg_remote_get_target(eg_access *access, eg_buffer *target, json_t **reply, engram_error *error);

/* ---- remote_query.c ---- */

engram_status eg_remote_query(eg_access *access, const eg_access_query *query, json_t *document, engram_error *error);

/* ---- remote_list.c ---- */

engram_status eg_remote_list(eg_access_view *view, const char *prefix, const engram_filter *filter, eg_access_visit *visit, void *context, engram_error *error);

/* ---- remote_history.c ---- */

engram_status eg_remote_log(eg_access *access, const char *path, engram_log_visit *visit, void *context, engram_error *error);
engram_status eg_remote_diff(eg_access_view *from, eg_access_view *to, const char *prefix, engram_change_visit *visit, void *context, engram_error *error);
engram_status eg_remote_versions(eg_access *access, engram_retained_visit *visit, void *context, engram_error *error);
engram_status eg_remote_snapshots(eg_access *access, engram_snapshot_visit *visit, void *context, engram_error *error);
engram_status eg_remote_snapshot_create(eg_access *access, const char *name, const char *at, uint64_t *version, engram_error *error);
engram_status eg_remote_snapshot_delete(eg_access *access, const char *name, engram_error *error);
/* Commits it. */
engram_status eg_remote_ask_rollback(eg_access_view *to, const char *path, uint64_t *version, uint64_t *changed, engram_error *error);

/* ---- remote_edit.c ---- */

engram_status eg_remote_begin(eg_access *access, const engram_transaction_options *options, eg_access_edit **edit, engram_error *error);
engram_status eg_remote_commit(eg_access_edit *edit, uint64_t *version, engram_error *error);
void eg_remote_drop(eg_access_edit *edit);
engram_status eg_remote_edit_stat(eg_access_edit *edit, const char *path, struct engram_stat *stat, engram_error *error);
engram_status eg_remote_put(eg_access_edit *edit, const char *path, const eg_access_content *content, const engram_expected *expected, engram_error *error);
engram_status eg_remote_mkdir(eg_access_edit *edit, const char *path, uint32_t mode, bool parents, engram_error *error);
engram_status eg_remote_rename(eg_access_edit *edit, const char *from, const char *to, const engram_expected *expected, engram_error *error);
engram_status eg_remote_remove(eg_access_edit *edit, const char *path, const engram_expected *expected, engram_error *error);
engram_status eg_remote_remove_all(eg_access_edit *edit, const char *path, uint64_t *removed, engram_error *error);
engram_status eg_remote_rollback(eg_access_edit *edit, eg_access_view *to, const char *path, uint64_t *changed, engram_error *error);

#endif
