/* Routes of the history: snapshots, what a path was, what changed, and going back. */
#include <inttypes.h>
#include <stdio.h>

#include "report/report.h"
#include "serve/routes.h"

enum { LIMIT_DEFAULT = 10000, LIMIT_MAX = 100000 };

/* ---- snapshots ---- */

static engram_status on_snapshot(void *context, const char *name, uint64_t version,
                                 uint64_t time_ns, engram_error *error)
{
    (void)error;
    eg_json_put(context, NULL, eg_snapshot_json(name, version, time_ns));
    return ENGRAM_OK;
}

static engram_status list_snapshots(eg_request *request, eg_reply *reply, engram_error *error)
{
    unsigned long failures = eg_json_failures();
    json_t *document = json_object(), *list = json_array();
    engram_status status = engram_snapshots(request->engram, on_snapshot, list, error);
    eg_json_put(document, "snapshots", list);
    if (status == ENGRAM_OK)
        return eg_reply_document(reply, 200, document, failures, error);
    json_decref(document);
    return status;
}

static engram_status create_snapshot(eg_request *request, eg_reply *reply, engram_error *error)
{
    const char *name = request->operand, *at = eg_request_parameter(request, "at");
    uint64_t version = 0;
    unsigned long failures = eg_json_failures();
    EG_TRY(at != NULL ? engram_snapshot_create_at(request->engram, name, at, &version, error)
                      : engram_snapshot_create(request->engram, name, &version, error));
    json_t *document = json_object();
    eg_path_json(document, "name", eg_view_of(name));
    eg_json_put_number(document, "version", version);
    return eg_reply_document(reply, 201, document, failures, error);
}

static engram_status delete_snapshot(eg_request *request, eg_reply *reply, engram_error *error)
{
    EG_TRY(engram_snapshot_delete(request->engram, request->operand, error));
    eg_reply_empty(reply, 204);
    return ENGRAM_OK;
}

/* ---- lists of bounded length ---- */

typedef struct bounded {
    json_t *list;
    uint64_t limit;
    const char *path;
    bool is_full;
} bounded;

static bool is_full(bounded *b)
{
    return b->is_full = json_array_size(b->list) == b->limit;
}

static engram_status read_limit(const eg_request *request, bounded *b, engram_error *error)
{
    b->limit = LIMIT_DEFAULT;
    return eg_request_number(request, "limit", 1, LIMIT_MAX, &b->limit, error);
}

/* key: the list; ended: how the walk did. */
static engram_status reply_bounded(eg_reply *reply, json_t *document, const char *key, bounded *b,
                                   engram_status ended, unsigned long failures, engram_error *error)
{
    eg_json_put(document, key, b->list);
    eg_json_put(document, "complete", json_boolean(!b->is_full));
    if (ended == ENGRAM_OK || b->is_full)
        return eg_reply_document(reply, 200, document, failures, error);
    json_decref(document);
    return ended;
}

/* ---- what a path was ---- */

static engram_status on_entry(void *context, const engram_log_entry *entry, engram_error *error)
{
    bounded *b = context;
    (void)error;
    if (is_full(b))
        return ENGRAM_CANCELLED;
    eg_json_put(b->list, NULL, eg_log_entry_json(b->path, entry));
    return ENGRAM_OK;
}

static engram_status show_log(eg_request *request, eg_reply *reply, engram_error *error)
{
    eg_stored_name path;
    bounded b = {.path = path.text};
    unsigned long failures = eg_json_failures();
    EG_TRY(eg_path_operand(request->operand, &path, error));
    EG_TRY(read_limit(request, &b, error));
    json_t *document = json_object();
    b.list = json_array();
    eg_path_json(document, "path", eg_view_of(path.text));
    engram_status status = engram_log(request->engram, path.text, on_entry, &b, error);
    return reply_bounded(reply, document, "entries", &b, status, failures, error);
}

/* ---- what changed ---- */

static engram_status on_change(void *context, const engram_change *change, engram_error *error)
{
    bounded *b = context;
    (void)error;
    if (is_full(b))
        return ENGRAM_CANCELLED;
    eg_json_put(b->list, NULL, eg_change_json(change));
    return ENGRAM_OK;
}

static engram_status reply_diff(const eg_request *request, eg_reply *reply, engram_view *from,
                                engram_view *to, const char *prefix, engram_error *error)
{
    bounded b = {0};
    unsigned long failures = eg_json_failures();
    EG_TRY(read_limit(request, &b, error));
    json_t *document = json_object();
    b.list = json_array();
    eg_json_put_number(document, "from", engram_view_version(from));
    eg_json_put_number(document, "to", engram_view_version(to));
    engram_status status = engram_diff(from, to, prefix, on_change, &b, error);
    eg_json_put_number(document, "change_count", json_array_size(b.list));
    return reply_bounded(reply, document, "changes", &b, status, failures, error);
}

static engram_status show_diff(eg_request *request, eg_reply *reply, engram_error *error)
{
    const char *from_text = eg_request_parameter(request, "from"),
               *to_text = eg_request_parameter(request, "to"),
               *prefix_text = eg_request_parameter(request, "prefix");
    engram_view *from = NULL, *to = NULL;
    eg_stored_name prefix;
    if (from_text == NULL || *from_text == 0)
        return eg_fail(error, ENGRAM_INVALID, "from is missing: the version to start from");
    EG_TRY(eg_path_operand(prefix_text != NULL ? prefix_text : "", &prefix, error));
    EG_TRY(engram_pin_at(request->engram, from_text, &from, error));
    engram_status status = engram_pin_at(request->engram, to_text, &to, error);
    if (status == ENGRAM_OK)
        status = reply_diff(request, reply, from, to, prefix.text, error);
    engram_unpin(&to);
    engram_unpin(&from);
    return status;
}

/* ---- going back ---- */

typedef struct going_back {
    engram_view *to;
    const char *path;
    uint64_t changed;
} going_back;

static engram_status go_back(void *context, engram_transaction *transaction, engram_error *error)
{
    going_back *g = context;
    return engram_rollback(transaction, g->to, g->path, &g->changed, error);
}

static engram_status reply_rollback(const eg_request *request, eg_reply *reply, going_back *g,
                                    engram_error *error)
{
    uint64_t version = 0;
    unsigned long failures = eg_json_failures();
    EG_TRY(engram_run(request->engram, NULL, go_back, g, &version, error));
    json_t *document = json_object();
    eg_json_put_number(document, "version", version);
    eg_json_put_number(document, "to", engram_view_version(g->to));
    eg_json_put_number(document, "changed", g->changed);
    eg_path_json(document, "path", eg_view_of(g->path));
    return eg_reply_document(reply, 200, document, failures, error);
}

/* What would change: from the newest version to the old one. */
static engram_status show_rollback(const eg_request *request, eg_reply *reply, const going_back *g,
                                   engram_error *error)
{
    engram_view *newest = NULL;
    EG_TRY(engram_pin(request->engram, &newest, error));
    engram_status status = reply_diff(request, reply, newest, g->to, g->path, error);
    engram_unpin(&newest);
    return status;
}

static engram_status roll_back(eg_request *request, eg_reply *reply, engram_error *error)
{
    const char *to = eg_request_parameter(request, "to"),
               *path_text = eg_request_parameter(request, "path");
    eg_stored_name path;
    going_back g = {.path = path.text};
    if (to == NULL || *to == 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "to is missing: the version, snapshot or time to go back to");
    EG_TRY(eg_path_operand(path_text != NULL ? path_text : "", &path, error));
    EG_TRY(engram_pin_at(request->engram, to, &g.to, error));
    engram_status status = eg_request_flag(request, "dry_run")
                               ? show_rollback(request, reply, &g, error)
                               : reply_rollback(request, reply, &g, error);
    engram_unpin(&g.to);
    return status;
}

const eg_route eg_routes_history[] = {
    {.method = "GET", .pattern = "/v1/snapshots", .handle = list_snapshots},
    {.method = "POST",
     .pattern = "/v1/snapshots/{name}",
     .flags = EG_ROUTE_WRITES,
     .parameters = "at",
     .handle = create_snapshot},
    {.method = "DELETE",
     .pattern = "/v1/snapshots/{name}",
     .flags = EG_ROUTE_WRITES,
     .handle = delete_snapshot},
    {.method = "GET", .pattern = "/v1/log/{path}", .parameters = "limit", .handle = show_log},
    {.method = "GET",
     .pattern = "/v1/diff",
     .parameters = "from to prefix limit",
     .handle = show_diff},
    {.method = "POST",
     .pattern = "/v1/rollback",
     .flags = EG_ROUTE_WRITES,
     .parameters = "to path dry_run limit",
     .handle = roll_back},
    {0},
};
