/* The history of an engram behind a server: what its documents list is handed on, one by one. */
#include "access/document.h"
#include "access/remote.h"

enum { CHANGES_MAX = 50000, STATES_MAX = 50000, VERSIONS_MAX = 100000 };

/* One of a list, from its object. */
typedef engram_status show_one(const json_t *item, void *context, engram_error *error);

/* The list `key` of the document at a target, which is emptied. */
static engram_status show_list(eg_access *access, eg_buffer *target, const char *key,
                               const char *narrower, show_one *show, void *context,
                               engram_error *error)
{
    size_t i;
    json_t *reply = NULL, *item;
    EG_TRY(eg_remote_get_target(access, target, &reply, error));
    json_t *list = json_object_get(reply, key);
    engram_status status = ENGRAM_OK;
    if (!json_is_array(list))
        status = eg_fail(error, ENGRAM_IO, "the server's reply has no '%s' that can be read", key);
    json_array_foreach(list, i, item)
    {
        status = status == ENGRAM_OK ? show(item, context, error) : status;
    }
    if (status == ENGRAM_OK && json_is_false(json_object_get(reply, "complete")))
        status = eg_fail(error, ENGRAM_UNSUPPORTED,
                         "there are more than %zu of them, and a server tells no more at once%s",
                         json_array_size(list), narrower);
    json_decref(reply);
    return status;
}

static engram_status text_of(const json_t *item, const char *key, const char **text,
                             engram_error *error)
{
    *text = json_string_value(json_object_get(item, key));
    return *text != NULL
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_IO, "the server's reply has no '%s' that can be read", key);
}

/* ---- what a path was ---- */

typedef struct logging {
    engram_log_visit *visit;
    void *context;
} logging;

static engram_status show_state(const json_t *item, void *context, engram_error *error)
{
    const logging *l = context;
    engram_log_entry entry = {.present = json_is_true(json_object_get(item, "present"))};
    EG_TRY(eg_document_number(item, "version_seen", &entry.version, error));
    EG_TRY(eg_document_time_ns(item, "time", &entry.time_ns, error));
    if (entry.present)
        EG_TRY(eg_document_entry(item, NULL, &entry.stat, NULL, error));
    return l->visit(l->context, &entry, error);
}

engram_status eg_remote_log(eg_access *access, const char *path, engram_log_visit *visit,
                            void *context, engram_error *error)
{
    eg_buffer target = {0};
    logging l = {visit, context};
    eg_target_add(&target, "/v1/log/");
    eg_target_add_path(&target, path);
    eg_target_add_number(&target, "limit", STATES_MAX);
    return show_list(access, &target, "entries", "", show_state, &l, error);
}

/* ---- what changed ---- */

typedef struct comparing {
    engram_change_visit *visit;
    void *context;
} comparing;

static engram_status read_kind(const json_t *item, engram_change_kind *kind, engram_error *error)
{
    const char *letter = NULL;
    EG_TRY(text_of(item, "letter", &letter, error));
    for (*kind = ENGRAM_ADDED; *kind <= ENGRAM_RENAMED; (*kind)++)
        if (letter[0] == eg_change_letter(*kind) && letter[1] == 0)
            return ENGRAM_OK;
    return eg_fail(error, ENGRAM_IO, "the server tells of changes that are not known here");
}

static engram_status read_side(const json_t *item, const char *key, struct engram_stat *stat,
                               engram_error *error)
{
    const json_t *side = json_object_get(item, key);
    return side == NULL ? ENGRAM_OK : eg_document_side(side, stat, error);
}

static engram_status show_change(const json_t *item, void *context, engram_error *error)
{
    const comparing *c = context;
    eg_stored_name path, old_path;
    engram_change change = {.path = path.text};
    EG_TRY(read_kind(item, &change.what, error));
    EG_TRY(eg_document_path(item, "path", &path, error));
    if (change.what == ENGRAM_RENAMED) {
        EG_TRY(eg_document_path(item, "old_path", &old_path, error));
        change.old_path = old_path.text;
    }
    EG_TRY(read_side(item, "before", &change.before, error));
    EG_TRY(read_side(item, "after", &change.after, error));
    return c->visit(c->context, &change, error);
}

engram_status eg_remote_diff(eg_access_view *from, eg_access_view *to, const char *prefix,
                             engram_change_visit *visit, void *context, engram_error *error)
{
    eg_buffer target = {0};
    comparing c = {visit, context};
    eg_target_add(&target, "/v1/diff");
    eg_target_add_number(&target, "from", from->version);
    eg_target_add_number(&target, "to", to->version);
    eg_target_add_parameter(&target, "prefix", prefix);
    eg_target_add_number(&target, "limit", CHANGES_MAX);
    return show_list(from->access, &target, "changes", "; name a PREFIX", show_change, &c, error);
}

/* ---- versions and snapshots ---- */

typedef struct naming {
    engram_retained_visit *retained;
    engram_snapshot_visit *snapshot;
    void *context;
} naming;

static engram_status show_version(const json_t *item, void *context, engram_error *error)
{
    const naming *n = context;
    eg_stored_name label, snapshot;
    engram_retained retained = {.label = label.text,
                                .snapshot = snapshot.text,
                                .newest = json_is_true(json_object_get(item, "newest"))};
    EG_TRY(eg_document_number(item, "version", &retained.version, error));
    EG_TRY(eg_document_time_ns(item, "time", &retained.time_ns, error));
    EG_TRY(eg_document_path(item, "label", &label, error));
    EG_TRY(eg_document_path(item, "snapshot", &snapshot, error));
    return n->retained(n->context, &retained, error);
}

engram_status eg_remote_versions(eg_access *access, engram_retained_visit *visit, void *context,
                                 engram_error *error)
{
    eg_buffer target = {0};
    naming n = {.retained = visit, .context = context};
    eg_target_add(&target, "/v1/versions");
    eg_target_add_number(&target, "limit", VERSIONS_MAX);
    return show_list(access, &target, "versions", "", show_version, &n, error);
}

static engram_status show_snapshot(const json_t *item, void *context, engram_error *error)
{
    const naming *n = context;
    eg_stored_name name;
    uint64_t version = 0, time_ns = 0;
    EG_TRY(eg_document_path(item, "name", &name, error));
    EG_TRY(eg_document_number(item, "version", &version, error));
    EG_TRY(eg_document_time_ns(item, "time", &time_ns, error));
    return n->snapshot(n->context, name.text, version, time_ns, error);
}

engram_status eg_remote_snapshots(eg_access *access, engram_snapshot_visit *visit, void *context,
                                  engram_error *error)
{
    eg_buffer target = {0};
    naming n = {.snapshot = visit, .context = context};
    eg_target_add(&target, "/v1/snapshots");
    return show_list(access, &target, "snapshots", "", show_snapshot, &n, error);
}

static engram_status ask(eg_access *access, const char *method, eg_buffer *target, json_t **reply,
                         engram_error *error)
{
    const eg_http_call call = {.method = method, .target = eg_target_text(target)};
    engram_status status = call.target != NULL
                               ? eg_http_do(eg_remote_http(access), &call, reply, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    eg_buffer_fini(target);
    return status;
}

static void add_snapshot(eg_buffer *target, const char *name)
{
    eg_target_add(target, "/v1/snapshots/");
    eg_target_add_path(target, name);
}

engram_status eg_remote_snapshot_create(eg_access *access, const char *name, const char *at,
                                        uint64_t *version, engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    add_snapshot(&target, name);
    if (at != NULL)
        eg_target_add_parameter(&target, "at", at);
    EG_TRY(ask(access, "POST", &target, &reply, error));
    engram_status status = eg_document_number(reply, "version", version, error);
    json_decref(reply);
    return status;
}

engram_status eg_remote_snapshot_delete(eg_access *access, const char *name, engram_error *error)
{
    eg_buffer target = {0};
    add_snapshot(&target, name);
    return ask(access, "DELETE", &target, NULL, error);
}

/* ---- going back ---- */

engram_status eg_remote_ask_rollback(eg_access_view *to, const char *path, uint64_t *version,
                                     uint64_t *changed, engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    eg_target_add(&target, "/v1/rollback");
    eg_target_add_number(&target, "to", to->version);
    eg_target_add_parameter(&target, "path", path);
    EG_TRY(ask(to->access, "POST", &target, &reply, error));
    engram_status status = eg_document_number(reply, "version", version, error);
    if (status == ENGRAM_OK)
        status = eg_document_number(reply, "changed", changed, error);
    json_decref(reply);
    return status;
}
