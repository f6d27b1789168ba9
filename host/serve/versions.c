/* The versions that can be read: what `at` of other requests may name. */
#include "report/report.h"
#include "serve/routes.h"

enum { LIMIT_DEFAULT = 1000, LIMIT_MAX = 100000 };

typedef struct listing {
    json_t *list;
    uint64_t count, skipped; /* skipped: of the oldest */
} listing;

static engram_status count_one(void *context, const engram_retained *retained, engram_error *error)
{
    (void)retained;
    (void)error;
    ++*(uint64_t *)context;
    return ENGRAM_OK;
}

static engram_status on_version(void *context, const engram_retained *retained, engram_error *error)
{
    listing *l = context;
    (void)error;
    if (l->count++ >= l->skipped)
        eg_json_put(l->list, NULL, eg_retained_json(retained));
    return ENGRAM_OK;
}

/* The newest of them, oldest first. */
static engram_status versions(eg_request *request, eg_reply *reply, engram_error *error)
{
    uint64_t limit = LIMIT_DEFAULT, total = 0;
    listing l = {0};
    unsigned long failures = eg_json_failures();
    EG_TRY(eg_request_number(request, "limit", 1, LIMIT_MAX, &limit, error));
    EG_TRY(engram_versions(request->engram, count_one, &total, error));
    l.skipped = total > limit ? total - limit : 0;
    l.list = json_array();
    json_t *document = json_object();
    engram_status status = engram_versions(request->engram, on_version, &l, error);
    eg_json_put(document, "versions", l.list);
    eg_json_put(document, "complete", json_boolean(l.skipped == 0));
    if (status == ENGRAM_OK)
        return eg_reply_document(reply, 200, document, failures, error);
    json_decref(document);
    return status;
}

const eg_route eg_routes_versions[] = {
    {.method = "GET", .pattern = "/v1/versions", .parameters = "limit", .handle = versions},
    {0},
};
