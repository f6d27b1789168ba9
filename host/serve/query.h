/* What the files about similarity share. */
#ifndef EG_SERVE_QUERY_H
#define EG_SERVE_QUERY_H

#include "search/query.h"
#include "serve/http.h"

enum { EG_QUERY_BODY_MAX = 64 << 20, EG_QUERY_HITS_MAX = 65536 };

#define EG_QUERY_PARAMETERS "k skip min by at prefix exact"

typedef enum eg_query_form { EG_FORM_BYTES, EG_FORM_VECTORS, EG_FORM_JSON, EG_FORM_COUNT } eg_query_form;
/* What a body is, by its content type: application/x-engram-vector, 256 bytes each; application/x-engram-vector-spread, 260
 * bytes each: the vector and its spread, little-endian; application/json; anything else: bytes. *item: the size of one. */
eg_query_form eg_query_form_of(const eg_request *request, size_t *item);
/* Vectors of such a body, which lends them. ENGRAM_INVALID when it is no whole number of them, or none. */
engram_status eg_query_take_vectors(eg_view body, size_t item, eg_query_input *inputs, size_t most, size_t *count, engram_error *error);
engram_status eg_query_read_options(const eg_request *request, eg_query_options *options, engram_error *error);
/* Asks, and replies: many as {"answers": [...]}. version is lent. */
engram_status eg_query_reply(const eg_request *request, eg_reply *reply, const eg_version *version, const eg_query_input *inputs,
                             size_t count, bool many, const eg_query_options *options, engram_error *error);

/* query_batch.c */
engram_status eg_query_batch(eg_request *request, eg_reply *reply, engram_error *error);
/* vectors.c */
engram_status eg_make_vectors(eg_request *request, eg_reply *reply, engram_error *error);
/* What is like a stored file, which is not a hit itself: ?similar=K of a file. */
engram_status eg_query_similar(const eg_request *request, eg_reply *reply, engram_view *view, const struct engram_stat *stat, engram_error *error);

#endif
