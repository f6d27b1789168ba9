/* Many queries in one request: one scan for all of them.
 *
 * The body is vectors one after another (query.h), or a JSON document {"queries": [{"text": "..."},
 * {"base64": "..."},
 * {"vector": "512 hexadecimal digits", "spread": N}, ...]}: content as text or in base64, or a
 * vector as /v1/vectors gives it. The parameters are every query's. */
#include <ctype.h>

#include "base/memory.h"
#include "report/report.h"
#include "serve/query.h"

enum { QUERIES_MAX = 4096, VALUES_MAX = 8 * QUERIES_MAX };

typedef struct batch {
    eg_query_input *inputs; /* QUERIES_MAX */
    size_t count;
    eg_buffer bytes; /* what was decoded; inputs point into it when all is */
    size_t *offsets; /* of each input's, there */
} batch;

static void batch_fini(batch *b)
{
    eg_free(b->inputs);
    eg_free(b->offsets);
    eg_buffer_fini(&b->bytes);
}

static engram_status bad(size_t index, const char *why, engram_error *error)
{
    return eg_fail(error, ENGRAM_INVALID, "query %zu: %s", index, why);
}

/* ---- JSON ---- */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, size_t size, eg_buffer *out)
{
    for (size_t i = 0; i + 1 < size; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        eg_write_u8(out, (uint8_t)(high << 4 | low));
    }
    return size == 2 * ENGRAM_BLOCKS && !out->failed;
}

static engram_status read_spread(const json_t *query, size_t index, uint32_t *spread,
                                 engram_error *error)
{
    const json_t *value = json_object_get(query, "spread");
    json_int_t number = json_integer_value(value);
    if (value != NULL && (!json_is_integer(value) || number < 0 || number > UINT32_MAX))
        return bad(index, "spread: a whole number is expected", error);
    *spread = (uint32_t)number;
    return ENGRAM_OK;
}

static engram_status read_query(batch *b, size_t index, json_t *query, engram_error *error)
{
    eg_query_input *input = &b->inputs[index];
    const json_t *text = json_object_get(query, "text"), *base64 = json_object_get(query, "base64"),
                 *vector = json_object_get(query, "vector");
    const json_t *content = text != NULL ? text : base64 != NULL ? base64 : vector;
    const char *string = json_string_value(content);
    size_t size = json_string_length(content);
    b->offsets[index] = b->bytes.size;
    if ((text != NULL) + (base64 != NULL) + (vector != NULL) != 1 || string == NULL)
        return bad(index, "one string is expected: text, base64 or vector", error);
    if (content == text)
        eg_write_bytes(&b->bytes, string, size);
    else if (content == base64 && !eg_base64_read(string, size, &b->bytes) && !b->bytes.failed)
        return bad(index, "base64: this is none", error);
    else if (content == vector && !read_hex(string, size, &b->bytes) && !b->bytes.failed)
        return bad(index, "vector: 512 hexadecimal digits are expected", error);
    input->bytes.size = b->bytes.size - b->offsets[index];
    EG_TRY(read_spread(query, index, &input->spread, error));
    if (content == vector)
        input->vector = (const uint8_t *)""; /* its place comes when all is decoded */
    return ENGRAM_OK;
}

static engram_status read_queries(batch *b, json_t *document, engram_error *error)
{
    json_t *queries = json_object_get(document, "queries");
    b->count = json_array_size(queries);
    if (b->count == 0 || b->count > QUERIES_MAX)
        return eg_fail(error, ENGRAM_INVALID,
                       "{\"queries\": [...]} with 1 to %d of them is expected", QUERIES_MAX);
    for (size_t i = 0; i < b->count; i++)
        EG_TRY(read_query(b, i, json_array_get(queries, i), error));
    if (b->bytes.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a batch of queries");
    for (size_t i = 0; i < b->count; i++) {
        const uint8_t *at =
            b->bytes.size != 0 ? b->bytes.data + b->offsets[i] : (const uint8_t *)"";
        if (b->inputs[i].vector != NULL)
            b->inputs[i].vector = at;
        else
            b->inputs[i].bytes.data = at;
    }
    return ENGRAM_OK;
}

static engram_status read_json(batch *b, eg_view body, engram_error *error)
{
    json_t *document;
    EG_TRY(eg_json_read(body, VALUES_MAX, &document, error));
    engram_status status = read_queries(b, document, error);
    json_decref(document);
    return status;
}

/* ---- all of it ---- */

static engram_status read_batch(batch *b, const eg_request *request, engram_error *error)
{
    size_t item;
    b->inputs = eg_alloc_zero(QUERIES_MAX, sizeof *b->inputs);
    b->offsets = eg_alloc_zero(QUERIES_MAX, sizeof *b->offsets);
    if (b->inputs == NULL || b->offsets == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a batch of queries");
    switch (eg_query_form_of(request, &item)) {
    case EG_FORM_VECTORS:
        return eg_query_take_vectors(request->body, item, b->inputs, QUERIES_MAX, &b->count, error);
    case EG_FORM_JSON:
        return read_json(b, request->body, error);
    default:
        return eg_fail(error, ENGRAM_INVALID,
                       "the content type must be application/x-engram-vector, "
                       "application/x-engram-vector-spread or application/json");
    }
}

static engram_status check_size(const batch *b, const eg_query_options *options,
                                engram_error *error)
{
    return b->count * options->k <= EG_QUERY_HITS_MAX
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID,
                         "%zu queries with k=%u: at most %d hits can be asked for at once",
                         b->count, options->k, EG_QUERY_HITS_MAX);
}

static engram_status ask(const batch *b, const eg_request *request, eg_reply *reply,
                         engram_error *error)
{
    eg_version version;
    eg_query_options options;
    EG_TRY(eg_query_read_options(request, &options, error));
    EG_TRY(check_size(b, &options, error));
    EG_TRY(eg_engram_pin_at(request->engram, eg_request_parameter(request, "at"), &version, error));
    engram_status status =
        eg_query_reply(request, reply, &version, b->inputs, b->count, true, &options, error);
    eg_version_release(&version);
    return status;
}

engram_status eg_query_batch(eg_request *request, eg_reply *reply, engram_error *error)
{
    batch b = {0};
    engram_status status = read_batch(&b, request, error);
    if (status == ENGRAM_OK)
        status = ask(&b, request, reply, error);
    batch_fini(&b);
    return status;
}
