/* Hypervectors of a body: of its chunks, as the engram cuts them, or of the whole as one chunk.
 *
 * As JSON, or, if that is what the client accepts, as bytes that /v1/query and /v1/query/batch
 * take: vectors of 256 bytes each, or of 260, with the spread behind each. */
#include "base/memory.h"
#include "report/query.h"
#include "serve/internal.h"
#include "serve/query.h"

typedef struct encoding {
    eg_view *chunks;
    size_t count, capacity;
    uint8_t *vectors;
    uint32_t *spreads;
} encoding;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for vectors");
}

static engram_status add(encoding *e, eg_view chunk, engram_error *error)
{
    if (!eg_grow((void **)&e->chunks, &e->capacity, e->count + 1, sizeof *e->chunks))
        return no_memory(error);
    e->chunks[e->count++] = chunk;
    return ENGRAM_OK;
}

static engram_status cut(const eg_request *request, encoding *e, engram_error *error)
{
    eg_view body = request->body;
    eg_chunker chunker;
    if (body.size == 0 || eg_request_flag(request, "whole"))
        return add(e, body, error);
    EG_TRY(eg_chunker_init(&chunker, &eg_engram_get_config(request->engram)->chunk, error));
    for (size_t at = 0; at < body.size;) {
        size_t size = eg_chunker_cut(&chunker, body.data + at, body.size - at);
        EG_TRY(add(e, (eg_view){body.data + at, size}, error));
        at += size;
    }
    return ENGRAM_OK;
}

static engram_status encode(const eg_request *request, encoding *e, engram_error *error)
{
    EG_TRY(cut(request, e, error));
    e->vectors = eg_alloc_aligned(64, e->count * ENGRAM_BLOCKS);
    e->spreads = eg_alloc_zero(e->count, sizeof *e->spreads);
    if (e->vectors == NULL || e->spreads == NULL)
        return no_memory(error);
    return eg_searcher_encode(request->server->searcher, e->chunks, e->count, e->vectors,
                              e->spreads, error);
}

static engram_status reply_bytes(const encoding *e, eg_reply *reply, bool with_spread,
                                 engram_error *error)
{
    eg_buffer out = {0};
    for (size_t i = 0; i < e->count; i++) {
        eg_write_bytes(&out, e->vectors + i * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
        if (with_spread)
            eg_write_u32(&out, e->spreads[i]);
    }
    if (out.failed) {
        eg_buffer_fini(&out);
        return no_memory(error);
    }
    eg_reply_buffer(
        reply, 200,
        with_spread ? "application/x-engram-vector-spread" : "application/x-engram-vector", &out);
    return ENGRAM_OK;
}

static engram_status reply_json(const eg_request *request, const encoding *e, eg_reply *reply,
                                engram_error *error)
{
    unsigned long failures = eg_json_failures();
    json_t *document = json_object(), *vectors = json_array();
    for (size_t i = 0; i < e->count; i++) {
        json_t *object =
            eg_vector_json(e->vectors + i * ENGRAM_BLOCKS, e->spreads[i], e->chunks[i].size);
        eg_json_put_number(object, "offset", (uint64_t)(e->chunks[i].data - e->chunks[0].data));
        eg_json_put(vectors, NULL, object);
    }
    eg_json_put(document, "vectors", vectors);
    eg_query_device_fill(document, request->server->device);
    return eg_reply_document(reply, 200, document, failures, error);
}

engram_status eg_make_vectors(eg_request *request, eg_reply *reply, engram_error *error)
{
    encoding e = {0};
    const char *accept = eg_request_header(request, "Accept");
    bool with_spread =
        accept != NULL && strstr(accept, "application/x-engram-vector-spread") != NULL;
    bool as_bytes = accept != NULL && strstr(accept, "application/x-engram-vector") != NULL;
    engram_status status = encode(request, &e, error);
    if (status == ENGRAM_OK)
        status = as_bytes ? reply_bytes(&e, reply, with_spread, error)
                          : reply_json(request, &e, reply, error);
    eg_free(e.chunks);
    eg_free(e.vectors);
    eg_free(e.spreads);
    return status;
}
