/* A query of a directory's engram: a searcher for this one. */
#include "access/local.h"
#include "access/query.h"
#include "report/query.h"

engram_status eg_local_query(eg_access *access, const eg_access_query *query, json_t *document,
                             engram_error *error)
{
    eg_version version = {0};
    eg_searcher *searcher = NULL;
    eg_query_result result = {0};
    EG_TRY(eg_engram_pin_at(access->engram, query->at, &version, error));
    engram_status status = eg_searcher_create(access->engram, query->device, &searcher, error);
    if (status == ENGRAM_OK)
        status = eg_searcher_query(searcher, &version, query->content.data, query->content.size,
                                   query->options, &result, error);
    if (status == ENGRAM_OK) {
        eg_query_fill(document, &result, query->options, eg_seconds_since(query->start_ns));
        eg_query_device_fill(document, query->device);
        eg_query_result_fini(&result);
    }
    eg_searcher_free(searcher);
    eg_version_release(&version);
    return status;
}
