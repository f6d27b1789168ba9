/* A query of a server, which has its vectors at hand. */
#include "access/query.h"
#include "access/remote.h"

static void add_options(eg_buffer *target, const eg_access_query *query)
{
    const eg_query_options *o = query->options;
    char min[40];
    eg_target_add_number(target, "k", o->k);
    eg_target_add_number(target, "skip", o->skip);
    snprintf(min, sizeof min, "%.17g", o->min);
    if (o->min >= 0)
        eg_target_add_parameter(target, "min", min);
    if (o->by_chunk)
        eg_target_add_parameter(target, "by", "chunk");
    if (o->estimate_only)
        eg_target_add_parameter(target, "exact", "0");
    if (o->prefix != NULL)
        eg_target_add_parameter(target, "prefix", o->prefix);
    if (query->at != NULL && *query->at != 0)
        eg_target_add_parameter(target, "at", query->at);
}

static engram_status take(json_t *document, json_t *reply, engram_error *error)
{
    if (!json_is_array(json_object_get(reply, "hits")))
        return eg_fail(error, ENGRAM_IO, "the server's reply has no 'hits' that can be read");
    return json_object_update(document, reply) == 0
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a reply");
}

engram_status eg_remote_query(eg_access *access, const eg_access_query *query, json_t *document,
                              engram_error *error)
{
    eg_buffer target = {0};
    json_t *reply = NULL;
    if (query->options->via_root_share > 0)
        return eg_fail(error, ENGRAM_INVALID, "--via: a server compares all chunks: leave it out");
    eg_target_add(&target, "/v1/query");
    add_options(&target, query);
    const eg_http_call call = {
        .method = "POST", .target = eg_target_text(&target), .bytes = &query->content};
    engram_status status = call.target != NULL
                               ? eg_http_do(eg_remote_http(access), &call, &reply, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    if (status == ENGRAM_OK)
        status = take(document, reply, error);
    json_decref(reply);
    eg_buffer_fini(&target);
    return status;
}
