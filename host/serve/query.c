/* Similarity: what is stored that is like the body, like a vector, like a stored file.
 *
 * All requests ask one searcher. It merges what is asked at the same time into batches of the
 * device, so a request costs the less the more of them there are; its answer is the one that it
 * would have alone. */
#include "serve/query.h"

#include <strings.h>

#include "base/clock.h"
#include "base/memory.h"
#include "report/query.h"
#include "serve/internal.h"
#include "serve/routes.h"

enum { VECTOR_SPREAD_SIZE = ENGRAM_BLOCKS + 4 };

/* ---- what is asked ---- */

static bool is_type(const eg_request *request, const char *type)
{
    const char *header = eg_request_header(request, "Content-Type");
    size_t size = header != NULL ? strcspn(header, "; \t") : 0;
    return size == strlen(type) && strncasecmp(header, type, size) == 0;
}

eg_query_form eg_query_form_of(const eg_request *request, size_t *item)
{
    bool has_spread = is_type(request, "application/x-engram-vector-spread");
    *item = has_spread ? VECTOR_SPREAD_SIZE : ENGRAM_BLOCKS;
    if (has_spread || is_type(request, "application/x-engram-vector"))
        return EG_FORM_VECTORS;
    return is_type(request, "application/json") ? EG_FORM_JSON : EG_FORM_BYTES;
}

engram_status eg_query_take_vectors(eg_view body, size_t item, eg_query_input *inputs, size_t most,
                                    size_t *count, engram_error *error)
{
    *count = body.size / item;
    if (*count == 0 || body.size % item != 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "the body has %zu bytes: vectors of %zu bytes each are expected", body.size,
                       item);
    if (*count > most)
        return eg_fail(error, ENGRAM_INVALID, "the body has %zu vectors, %zu are the most here",
                       *count, most);
    for (size_t i = 0; i < *count; i++) {
        const uint8_t *at = body.data + i * item;
        inputs[i] = (eg_query_input){
            .vector = at, .spread = item > ENGRAM_BLOCKS ? eg_get_u32(at + ENGRAM_BLOCKS) : 0};
    }
    return ENGRAM_OK;
}

engram_status eg_query_read_options(const eg_request *request, eg_query_options *o,
                                    engram_error *error)
{
    uint64_t k = 10, skip = 0;
    const char *by = eg_request_parameter(request, "by");
    const char *min = eg_request_parameter(request, "min");
    *o = (eg_query_options){.min = -1, .prefix = eg_request_parameter(request, "prefix")};
    EG_TRY(eg_request_number(request, "k", 1, EG_QUERY_HITS_MAX, &k, error));
    EG_TRY(eg_request_number(request, "skip", 0, EG_QUERY_HITS_MAX, &skip, error));
    if (min != NULL && !eg_share_parse(min, &o->min))
        return eg_fail(error, ENGRAM_INVALID, "min=%.100s: a share from 0 to 1 is expected", min);
    if (by != NULL && strcmp(by, "file") != 0 && strcmp(by, "chunk") != 0)
        return eg_fail(error, ENGRAM_INVALID, "by=%.100s: file or chunk is expected", by);
    o->k = (uint32_t)k;
    o->skip = (uint32_t)skip;
    o->by_chunk = by != NULL && strcmp(by, "chunk") == 0;
    o->estimate_only =
        eg_request_parameter(request, "exact") != NULL && !eg_request_flag(request, "exact");
    return ENGRAM_OK;
}

/* ---- asking, and the reply ---- */

static json_t *answers_json(const eg_query_result *results, size_t count,
                            const eg_query_options *options, double seconds)
{
    json_t *document = json_object(), *answers = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *answer = json_object();
        eg_query_fill(answer, &results[i], options, seconds);
        eg_json_put(answers, NULL, answer);
    }
    eg_json_put(document, "answers", answers);
    return document;
}

engram_status eg_query_reply(const eg_request *request, eg_reply *reply, const eg_version *version,
                             const eg_query_input *inputs, size_t count, bool many,
                             const eg_query_options *options, engram_error *error)
{
    const eg_server *server = request->server;
    uint64_t start = eg_clock_monotonic_ns();
    unsigned long failures = eg_json_failures();
    eg_query_result *results = eg_alloc_zero(count, sizeof *results);
    if (results == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    engram_status status =
        eg_searcher_query_all(server->searcher, version, inputs, count, options, results, error);
    if (status == ENGRAM_OK) {
        double seconds = eg_seconds_since(start);
        json_t *document = many ? answers_json(results, count, options, seconds) : json_object();
        if (!many)
            eg_query_fill(document, results, options, seconds);
        eg_query_device_fill(document, server->device);
        eg_reply_add_header(reply, "Engram-Version", "%llu", (unsigned long long)version->number);
        status = eg_reply_document(reply, 200, document, failures, error);
        for (size_t i = 0; i < count; i++)
            eg_query_result_fini(&results[i]);
    }
    eg_free(results);
    return status;
}

static engram_status query(eg_request *request, eg_reply *reply, engram_error *error)
{
    eg_version version;
    eg_query_options options;
    eg_query_input input = {.bytes = request->body};
    size_t item, count = 1;
    EG_TRY(eg_query_read_options(request, &options, error));
    if (eg_query_form_of(request, &item) == EG_FORM_VECTORS)
        EG_TRY(eg_query_take_vectors(request->body, item, &input, 1, &count, error));
    EG_TRY(eg_engram_pin_at(request->engram, eg_request_parameter(request, "at"), &version, error));
    engram_status status =
        eg_query_reply(request, reply, &version, &input, 1, false, &options, error);
    eg_version_release(&version);
    return status;
}

/* ---- like a stored file ---- */

static engram_status ask_like(const eg_request *request, eg_reply *reply, engram_view *view,
                              const struct engram_stat *stat, uint8_t *bytes, engram_error *error)
{
    size_t got;
    uint64_t k = 10;
    const eg_version version = eg_view_lend(view);
    eg_query_options options = {.min = -1, .exclude_inode = stat->inode};
    EG_TRY(eg_request_number(request, "similar", 1, EG_QUERY_HITS_MAX, &k, error));
    options.k = (uint32_t)k;
    EG_TRY(engram_read_inode(view, stat->inode, 0, bytes, (size_t)stat->size, &got, error));
    const eg_query_input input = {.bytes = {bytes, got}};
    return eg_query_reply(request, reply, &version, &input, 1, false, &options, error);
}

engram_status eg_query_similar(const eg_request *request, eg_reply *reply, engram_view *view,
                               const struct engram_stat *stat, engram_error *error)
{
    eg_server *server = request->server;
    if (stat->kind != ENGRAM_KIND_FILE || stat->size > EG_QUERY_BODY_MAX)
        return eg_fail(error, ENGRAM_INVALID,
                       "%s: similar is for regular files of at most %d bytes", request->operand,
                       EG_QUERY_BODY_MAX);
    if (!eg_server_take_buffer(server, (size_t)stat->size))
        return eg_fail(error, ENGRAM_BUSY,
                       "the buffers for bodies and replies are used up: try again in a second");
    uint8_t *bytes = eg_alloc((size_t)stat->size + 1);
    engram_status status = bytes != NULL
                               ? ask_like(request, reply, view, stat, bytes, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    eg_free(bytes);
    eg_server_give_buffer(server, (size_t)stat->size);
    return status;
}

const eg_route eg_routes_query[] = {
    {.method = "POST",
     .pattern = "/v1/query",
     .parameters = EG_QUERY_PARAMETERS,
     .body = EG_BODY_WHOLE,
     .body_max = EG_QUERY_BODY_MAX,
     .handle = query},
    {.method = "POST",
     .pattern = "/v1/query/batch",
     .parameters = EG_QUERY_PARAMETERS,
     .body = EG_BODY_WHOLE,
     .body_max = EG_QUERY_BODY_MAX,
     .handle = eg_query_batch},
    {.method = "POST",
     .pattern = "/v1/vectors",
     .parameters = "whole",
     .body = EG_BODY_WHOLE,
     .body_max = EG_QUERY_BODY_MAX,
     .handle = eg_make_vectors},
    {0},
};
