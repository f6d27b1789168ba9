/* One request after another to a server, on a connection that is kept while it lasts. libcurl is behind it and nowhere
 * else. Nothing that a server says is trusted: documents have a bound, and what cannot be read is ENGRAM_IO. */
#ifndef EG_ACCESS_HTTP_H
#define EG_ACCESS_HTTP_H

#include "access/access.h"

typedef struct eg_http eg_http;

engram_status eg_http_open(const eg_access_server *server, eg_http **http, engram_error *error);
void eg_http_close(eg_http **http); /* NULL is fine */

typedef struct eg_http_call {
    const char *method;
    const char *target;     /* "/v1/...", encoded */
    const char *condition;  /* a header line; NULL: none */
    const json_t *document; /* a body; NULL: none, or one of the next two */
    const eg_view *bytes;
    engram_source *source;  /* a body piece by piece, until it has no more; NULL: none */
    void *source_context;
    eg_access_sink *sink;   /* takes the body of a reply that is a success; NULL: it is a document */
    void *sink_context;
} eg_http_call;

/* *reply (may be NULL): the document that came, an object, to be released by the caller; NULL when the reply has no body.
 * A refusal has the status and the sentence that the server gave. */
engram_status eg_http_do(eg_http *http, const eg_http_call *call, json_t **reply, engram_error *error);
/* A GET of a document that must be there. */
engram_status eg_http_get(eg_http *http, const char *target, json_t **reply, engram_error *error);

#endif
