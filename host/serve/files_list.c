/* Listings: what lies below a directory and fulfils conditions, page by page.
 *
 * A page ends with the address of the next one, which names the version, so that the pages are of one state, and the last
 * path shown, so that the walk goes on there without walking what was shown before. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "engram/time_text.h"
#include "report/report.h"
#include "serve/files.h"

enum { LIMIT_DEFAULT = 1000, LIMIT_MAX = 10000 };

typedef struct page {
    const eg_request *request;
    engram_view *view;
    engram_filter filter;
    uint64_t limit;
    json_t *entries;
    char last[EG_PATH_MAX + 1];
    bool is_full;
} page;

static engram_status on_entry(void *context, const char *path, const struct engram_stat *stat,
                              engram_error *error)
{
    page *p = context;
    eg_stored_name target;
    if (json_array_size(p->entries) == p->limit) {
        p->is_full = true;
        return ENGRAM_CANCELLED;
    }
    EG_TRY(eg_entry_target(p->view, path, stat, &target, error));
    eg_json_put(p->entries, NULL, eg_entry_json(path, stat, target.text));
    snprintf(p->last, sizeof p->last, "%s", path);
    return ENGRAM_OK;
}

/* ---- conditions ---- */

static engram_status read_kinds(const eg_request *request, unsigned *kinds, engram_error *error)
{
    for (size_t i = 0; i < request->uri.count; i++) {
        const eg_parameter *p = &request->uri.parameters[i];
        if (strcmp(p->name, "kind") != 0)
            continue;
        unsigned bit = eg_kind_bit(p->value);
        if (bit == 0)
            return eg_fail(error, ENGRAM_INVALID,
                           "kind=%.100s: file, directory, symlink, fifo, char_device or "
                           "block_device is expected",
                           p->value);
        *kinds |= bit;
    }
    return ENGRAM_OK;
}

static engram_status read_time(const eg_request *request, const char *name, int64_t *seconds,
                               engram_error *error)
{
    const char *text = eg_request_parameter(request, name);
    if (text != NULL && !eg_since_parse(text, seconds))
        return eg_fail(error, ENGRAM_INVALID,
                       "%s=%.100s: a time is expected, as 2026-11-27T10:00:00Z, 2026-11-27, "
                       "'3 hours ago' or yesterday",
                       name, text);
    return ENGRAM_OK;
}

/* A number need not be a version that is retained. */
static engram_status read_version(page *p, engram_error *error)
{
    const char *text = eg_request_parameter(p->request, "changed_after");
    engram_view *view = NULL;
    if (text == NULL)
        return ENGRAM_OK;
    if (isdigit((unsigned char)*text) && text[strspn(text, "0123456789")] == 0)
        return eg_request_number(p->request, "changed_after", 0, UINT64_MAX,
                                 &p->filter.version_after, error);
    EG_TRY(engram_pin_at(p->request->engram, text, &view, error));
    p->filter.version_after = engram_view_version(view);
    engram_unpin(&view);
    return ENGRAM_OK;
}

static engram_status read_conditions(page *p, engram_error *error)
{
    const eg_request *r = p->request;
    uint64_t depth = 0;
    EG_TRY(eg_request_number(r, "limit", 1, LIMIT_MAX, &p->limit, error));
    EG_TRY(eg_request_number(r, "depth", 1, UINT32_MAX, &depth, error));
    EG_TRY(eg_request_size(r, "size_min", &p->filter.size_min, error));
    EG_TRY(eg_request_size(r, "size_max", &p->filter.size_max, error));
    EG_TRY(read_kinds(r, &p->filter.kinds, error));
    EG_TRY(read_time(r, "newer", &p->filter.mtime_after_s, error));
    EG_TRY(read_time(r, "older", &p->filter.mtime_before_s, error));
    EG_TRY(read_version(p, error));
    p->filter.glob = eg_request_parameter(r, "glob");
    p->filter.after = eg_request_parameter(r, "after");
    p->filter.depth_max = (uint32_t)depth;
    return ENGRAM_OK;
}

/* ---- the reply ---- */

/* The same request at the version of this page, behind its last entry. */
static json_t *next_json(const page *p)
{
    eg_buffer text = {0};
    char version[24];
    const eg_uri *uri = &p->request->uri;
    snprintf(version, sizeof version, "%" PRIu64, engram_view_version(p->view));
    eg_uri_write_path(&text, uri->path);
    eg_uri_write_parameter(&text, true, "at", version);
    for (size_t i = 0; i < uri->count; i++) {
        const eg_parameter *q = &uri->parameters[i];
        if (strcmp(q->name, "at") != 0 && strcmp(q->name, "after") != 0)
            eg_uri_write_parameter(&text, false, q->name, q->value);
    }
    eg_uri_write_parameter(&text, false, "after", p->last);
    json_t *value = text.failed ? NULL : json_stringn((const char *)text.data, text.size);
    eg_buffer_fini(&text);
    return value;
}

static json_t *page_json(page *p, const char *prefix)
{
    char time[EG_TEXT_SIZE];
    json_t *document = json_object();
    eg_path_json(document, "prefix", eg_view_of(prefix));
    eg_json_put_number(document, "version", engram_view_version(p->view));
    eg_json_put(document, "time",
                json_string(eg_text_time_ns(time, engram_view_time_ns(p->view))));
    eg_json_put(document, "entries", json_incref(p->entries));
    if (p->is_full)
        eg_json_put(document, "next", next_json(p));
    return document;
}

engram_status eg_files_list(const eg_request *request, eg_reply *reply, engram_view *view,
                            const char *prefix, engram_error *error)
{
    unsigned long failures = eg_json_failures();
    page p = {.request = request, .view = view, .limit = LIMIT_DEFAULT};
    EG_TRY(read_conditions(&p, error));
    p.entries = json_array();
    engram_status status = engram_list(view, prefix, &p.filter, on_entry, &p, error);
    if (status == ENGRAM_CANCELLED && p.is_full)
        status = ENGRAM_OK;
    if (status == ENGRAM_OK) {
        eg_reply_add_header(reply, "Engram-Version", "%" PRIu64, engram_view_version(view));
        status = eg_reply_document(reply, 200, page_json(&p, prefix), failures, error);
    }
    json_decref(p.entries);
    return status;
}
