/* An engram behind a server: versions, single paths, contents. */
#include "access/remote.h"

#include "access/document.h"
#include "base/memory.h"

enum { TRIES = 8 };

/* ---- documents ---- */

void eg_remote_stat_target(eg_buffer *target, const char *path, const char *at)
{
    eg_target_add(target, "/v1/files/");
    eg_target_add_path(target, path);
    eg_target_add_parameter(target, "stat", "1");
    if (at != NULL && *at != 0)
        eg_target_add_parameter(target, "at", at);
}

engram_status eg_remote_get_target(eg_access *access, eg_buffer *target, json_t **reply,
                                   engram_error *error)
{
    const char *text = eg_target_text(target);
    engram_status status = text != NULL
                               ? eg_http_get(eg_remote_http(access), text, reply, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    eg_buffer_fini(target);
    *target = (eg_buffer){0};
    return status;
}

static engram_status find_version(eg_access *access, const char *at, uint64_t *version,
                                  engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    eg_remote_stat_target(&target, "", at);
    EG_TRY(eg_remote_get_target(access, &target, &reply, error));
    engram_status status = eg_document_number(reply, "at_version", version, error);
    json_decref(reply);
    return status;
}

/* Whether the server has let go of the version of a view that may move on; then it has moved. */
static bool moved_on(eg_access_view *view)
{
    char at[24];
    uint64_t version;
    if (!((eg_remote_view *)view)->is_newest)
        return false;
    snprintf(at, sizeof at, "%" PRIu64, view->version);
    return find_version(view->access, at, &version, NULL) == ENGRAM_NOT_FOUND &&
           find_version(view->access, NULL, &view->version, NULL) == ENGRAM_OK;
}

engram_status eg_remote_get(eg_access_view *view, eg_remote_target *add, const void *context,
                            json_t **reply, engram_error *error)
{
    engram_error inner = {0};
    for (int i = 0;; i++) {
        eg_buffer target = {0};
        inner = (engram_error){0};
        add(&target, context, view->version);
        engram_status status = eg_remote_get_target(view->access, &target, reply, &inner);
        if (status == ENGRAM_NOT_FOUND && i < TRIES && moved_on(view))
            continue;
        return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", inner.message);
    }
}

static void add_stat_target(eg_buffer *target, const void *context, uint64_t version)
{
    char at[24];
    snprintf(at, sizeof at, "%" PRIu64, version);
    eg_remote_stat_target(target, context, at);
}

static engram_status stat_path(eg_access_view *view, const char *path, struct engram_stat *stat,
                               eg_stored_name *target, engram_error *error)
{
    json_t *reply = NULL;
    EG_TRY(eg_remote_get(view, add_stat_target, path, &reply, error));
    engram_status status = eg_document_entry(reply, NULL, stat, target, error);
    json_decref(reply);
    return status;
}

engram_status eg_remote_stat_newest(eg_access *access, const char *path, struct engram_stat *stat,
                                    engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    eg_remote_stat_target(&target, path, NULL);
    EG_TRY(eg_remote_get_target(access, &target, &reply, error));
    engram_status status = eg_document_entry(reply, NULL, stat, NULL, error);
    json_decref(reply);
    return status;
}

static engram_status info(eg_access *access, const char *at, json_t *document, engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    eg_target_add(&target, "/v1/info");
    if (at != NULL && *at != 0)
        eg_target_add_parameter(&target, "at", at);
    EG_TRY(eg_remote_get_target(access, &target, &reply, error));
    json_object_del(reply, "server"); /* that is not the engram's */
    engram_status status = json_object_update(document, reply) == 0
                               ? ENGRAM_OK
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    json_decref(reply);
    return status;
}

/* ---- versions ---- */

static engram_status pin(eg_access *access, const char *at, eg_access_view **view,
                         engram_error *error)
{
    eg_remote_view *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    made->base.access = access;
    made->is_newest = at == NULL || *at == 0;
    engram_status status = find_version(access, at, &made->base.version, error);
    if (status == ENGRAM_OK)
        *view = &made->base;
    else
        eg_free(made);
    return status;
}

static void unpin(eg_access_view *view)
{
    eg_free(view);
}

/* ---- contents ---- */

/* The state that stat tells of, or ENGRAM_CONFLICT. Of the newest version without naming it: the
 * condition says which state of the file is meant, and that outlives versions. */
static engram_status read_state(eg_access_view *view, const char *path,
                                const struct engram_stat *stat, eg_access_sink *sink, void *context,
                                engram_error *error)
{
    char condition[64 + EG_TOKEN_SIZE], token[EG_TOKEN_SIZE];
    eg_buffer target = {0};
    eg_target_add(&target, "/v1/files/");
    eg_target_add_path(&target, path);
    if (!((eg_remote_view *)view)->is_newest)
        eg_target_add_number(&target, "at", view->version);
    snprintf(condition, sizeof condition, "If-Match: \"%s\"", eg_entry_token(stat, token));
    const eg_http_call call = {.method = "GET",
                               .target = eg_target_text(&target),
                               .condition = condition,
                               .sink = sink,
                               .sink_context = context};
    engram_status status = call.target != NULL
                               ? eg_http_do(eg_remote_http(view->access), &call, NULL, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    eg_buffer_fini(&target);
    return status;
}

static engram_status read_content(eg_access_view *view, const char *path, struct engram_stat *stat,
                                  eg_access_sink *sink, void *context, engram_error *error)
{
    for (int i = 0;; i++) {
        engram_error inner = {0};
        EG_TRY(stat_path(view, path, stat, NULL, error));
        if (stat->kind != ENGRAM_KIND_FILE)
            return eg_fail(error, ENGRAM_INVALID,
                           "%s: not a regular file but a %s; 'engram stat' tells more", path,
                           engram_kind_name(stat->kind));
        engram_status status = read_state(view, path, stat, sink, context, &inner);
        bool changed = status == ENGRAM_CONFLICT || status == ENGRAM_NOT_FOUND;
        if (!changed || i == TRIES || !((eg_remote_view *)view)->is_newest) {
            if (error != NULL && status != ENGRAM_OK)
                *error = inner;
            return status;
        }
        EG_TRY(find_version(view->access, NULL, &view->version, error));
    }
}

/* ---- opening ---- */

static void close_remote(eg_access *access)
{
    eg_http_close(&((eg_remote *)access)->http);
    eg_free(access);
}

static const eg_access_ops ops = {
    .close = close_remote,
    .info = info,
    .ask = eg_remote_query,
    .pin = pin,
    .unpin = unpin,
    .stat = stat_path,
    .list = eg_remote_list,
    .read = read_content,
    .begin = eg_remote_begin,
    .commit = eg_remote_commit,
    .drop = eg_remote_drop,
    .edit_stat = eg_remote_edit_stat,
    .put = eg_remote_put,
    .mkdir = eg_remote_mkdir,
    .rename = eg_remote_rename,
    .remove = eg_remote_remove,
    .remove_all = eg_remote_remove_all,
    .rollback = eg_remote_rollback,
    .log = eg_remote_log,
    .diff = eg_remote_diff,
    .versions = eg_remote_versions,
    .snapshots = eg_remote_snapshots,
    .snapshot_create = eg_remote_snapshot_create,
    .snapshot_delete = eg_remote_snapshot_delete,
};

engram_status eg_access_open_server(const eg_access_server *server, eg_access **access,
                                    engram_error *error)
{
    eg_remote *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    made->base.ops = &ops;
    engram_status status = eg_http_open(server, &made->http, error);
    if (status == ENGRAM_OK)
        *access = &made->base;
    else
        eg_free(made);
    return status;
}
