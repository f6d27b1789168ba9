/* Routes of files, and reading them: whole, in part, at any version that is retained.
 *
 * A reply pins the version that it reads until its last byte is sent, so it is one state of the file whatever is
 * committed meanwhile. */
#include "serve/files.h"

#include <inttypes.h>
#include <time.h>

#include "base/memory.h"
#include "report/report.h"
#include "serve/conditions.h"
#include "serve/query.h"
#include "serve/routes.h"

enum { QUICK_SIZE = 64 << 10 }; /* a larger content is a worker's to read */

typedef struct reading {
    engram_view *view;
    struct engram_stat stat;
    uint64_t begin;
} reading;

static void get_done(eg_request *request)
{
    reading *r = request->state;
    if (r == NULL)
        return;
    engram_unpin(&r->view);
    eg_free(r);
    request->state = NULL;
}

static engram_status pull(void *context, uint64_t offset, void *bytes, size_t size, size_t *got,
                          engram_error *error)
{
    reading *r = context;
    return engram_read_inode(r->view, r->stat.inode, r->begin + offset, bytes, size, got, error);
}

static void add_headers(const reading *r, eg_reply *reply, const char *tag)
{
    char time[64];
    time_t seconds = (time_t)r->stat.mtime_s;
    struct tm parts;
    eg_reply_add_header(reply, "ETag", "%s", tag);
    eg_reply_add_header(reply, "Cache-Control", "private, no-cache");
    eg_reply_add_header(reply, "Accept-Ranges", "bytes");
    eg_reply_add_header(reply, "Engram-Version", "%" PRIu64, engram_view_version(r->view));
    if (gmtime_r(&seconds, &parts) != NULL &&
        strftime(time, sizeof time, "%a, %d %b %Y %H:%M:%S GMT", &parts) != 0)
        eg_reply_add_header(reply, "Last-Modified", "%s", time);
}

/* If-Range: a part only of what the client has the rest of. */
static const char *range_of(const eg_request *request, const char *tag)
{
    const char *only = eg_request_header(request, "If-Range");
    return only == NULL || strcmp(only, tag) == 0 ? eg_request_header(request, "Range") : NULL;
}

static engram_status send_content(eg_request *request, reading *r, eg_reply *reply,
                                  const char *tag, engram_error *error)
{
    uint64_t length, size = r->stat.size;
    eg_range_kind kind = eg_range_parse(range_of(request, tag), size, &r->begin, &length);
    if (kind == EG_RANGE_BEYOND) {
        eg_reply_add_header(reply, "Content-Range", "bytes */%" PRIu64, size);
        return eg_refuse(reply, 416, error, ENGRAM_INVALID,
                         "%s has %" PRIu64 " bytes: the range lies behind them", request->operand,
                         size);
    }
    if (length > QUICK_SIZE)
        EG_TRY(eg_request_needs_worker(request, error));
    if (kind == EG_RANGE_PART)
        eg_reply_add_header(reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                            r->begin, r->begin + length - 1, size);
    eg_reply_stream(reply, kind == EG_RANGE_PART ? 206 : 200, "application/octet-stream", length,
                    pull, r);
    return ENGRAM_OK;
}

/* What narrows a listing says nothing about a content. */
static engram_status check_alone(const eg_request *request, engram_error *error)
{
    for (size_t i = 0; i < request->uri.count; i++) {
        const char *name = request->uri.parameters[i].name;
        if (strcmp(name, "at") != 0 && strcmp(name, "stat") != 0)
            return eg_fail(error, ENGRAM_INVALID, "%s is a file, and '%s' is of directories",
                           request->operand, name);
    }
    return ENGRAM_OK;
}

static engram_status get_file(eg_request *request, reading *r, eg_reply *reply,
                              engram_error *error)
{
    char tag[EG_TAG_SIZE];
    EG_TRY(check_alone(request, error));
    eg_tag_format(r->stat.inode, r->stat.version, tag);
    add_headers(r, reply, tag);
    unsigned status = eg_conditions_read(request, tag);
    if (status == 304)
        eg_reply_empty(reply, 304);
    if (status == 412)
        return eg_refuse(reply, 412, error, ENGRAM_CONFLICT, "%s is at %s, and not at %s",
                         request->operand, tag, eg_request_header(request, "If-Match"));
    return status != 0 ? ENGRAM_OK : send_content(request, r, reply, tag, error);
}

static engram_status get_entry(const eg_request *request, const reading *r, eg_reply *reply,
                               engram_error *error)
{
    char tag[EG_TAG_SIZE];
    eg_stored_name target;
    unsigned long failures = eg_json_failures();
    EG_TRY(eg_entry_target(r->view, request->operand, &r->stat, &target, error));
    add_headers(r, reply, eg_tag_format(r->stat.inode, r->stat.version, tag));
    json_t *document = eg_entry_json(request->operand, &r->stat, target.text);
    eg_json_put_number(document, "at_version", engram_view_version(r->view));
    return eg_reply_document(reply, 200, document, failures, error);
}

static engram_status get_below(eg_request *request, reading *r, eg_reply *reply,
                               engram_error *error)
{
    const char *prefix = eg_request_parameter(request, "prefix");
    eg_stored_name path;
    if (prefix != NULL && *request->operand != 0)
        return eg_fail(error, ENGRAM_INVALID, "prefix goes with /v1/files/ alone");
    EG_TRY(eg_path_operand(prefix != NULL ? prefix : request->operand, &path, error));
    return eg_files_list(request, reply, r->view, path.text, error);
}

static engram_status get(eg_request *request, eg_reply *reply, engram_error *error)
{
    EG_TRY(eg_uri_check_path(request->uri.operand, true, error));
    reading *r = request->state = eg_alloc_zero(1, sizeof *r);
    if (r == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a reply");
    EG_TRY(eg_request_pin(request, &r->view, error));
    EG_TRY(engram_stat(r->view, request->operand, &r->stat, error));
    if (eg_request_parameter(request, "similar") != NULL ||
        r->stat.kind == ENGRAM_KIND_DIRECTORY)
        EG_TRY(eg_request_needs_worker(request, error));
    if (eg_request_parameter(request, "similar") != NULL)
        return eg_query_similar(request, reply, r->view, &r->stat, error);
    if (eg_request_flag(request, "stat"))
        return get_entry(request, r, reply, error);
    if (r->stat.kind == ENGRAM_KIND_DIRECTORY)
        return get_below(request, r, reply, error);
    if (r->stat.kind == ENGRAM_KIND_FILE)
        return get_file(request, r, reply, error);
    return eg_refuse(reply, 409, error, ENGRAM_INVALID,
                     "%s is no regular file but a %s; ?stat tells more", request->operand,
                     engram_kind_name(r->stat.kind));
}

const eg_route eg_routes_files[] = {
    {.method = "GET",
     .pattern = "/v1/files/{path}",
     .flags = EG_ROUTE_QUICK,
     .parameters = "stat similar " EG_FILES_LIST_PARAMETERS,
     .handle = get,
     .done = get_done},
    {.method = "PUT",
     .pattern = "/v1/files/{path}",
     .flags = EG_ROUTE_WRITES,
     .parameters = "mode",
     .body = EG_BODY_STREAM,
     .begin = eg_files_put_begin,
     .take = eg_files_put_take,
     .handle = eg_files_put,
     .done = eg_files_put_done},
    {.method = "DELETE",
     .pattern = "/v1/files/{path}",
     .flags = EG_ROUTE_WRITES,
     .parameters = "recursive",
     .handle = eg_files_delete},
    {0},
};
