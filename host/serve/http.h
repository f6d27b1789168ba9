/* What a handler sees of HTTP: a route, a request, a reply. libmicrohttpd is behind it (exchange.c) and nowhere else.
 *
 * A route is a row of a table (routes.h). Its functions run on a worker thread, one at a time for a request, so they may
 * block: on a disk, on a commit that shares its sync with others, on a device. (A quick route is first tried where its request
 * came in: EG_ROUTE_QUICK.) They never wait for the client: bytes of a
 * body are handed over when they have come, and bytes of a reply are pulled when the client has room for them. A worker
 * therefore belongs to a request only while there is something to compute.
 *
 *   body none      handle
 *   body whole     handle, with all of it in request->body
 *   body stream    begin, take, take, ..., handle; a body that fits a piece (EG_PIECE_SIZE) comes whole, in
 *                  request->body, and handle is all that is called
 *   afterwards     done, always, once for each handle, when the client has the reply or is gone: whatever is in
 *                  request->state goes there. It runs on a thread that serves others too and must not block.
 *
 * A function that fails ends the request: the reply becomes {"error": {"status", "message"}} with the HTTP status of
 * the cause (eg_http_status), or the one that eg_refuse chose. */
#ifndef EG_SERVE_HTTP_H
#define EG_SERVE_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "engram/core.h"
#include "serve/uri.h"

typedef struct eg_server eg_server;
typedef struct eg_request eg_request;
typedef struct eg_reply eg_reply;
struct eg_job;

enum { EG_PIECE_SIZE = 128 << 10, EG_REPLY_HEADERS_MAX = 12 };
#define EG_SIZE_UNKNOWN UINT64_MAX

typedef enum eg_body_kind { EG_BODY_NONE = 0, EG_BODY_WHOLE, EG_BODY_STREAM } eg_body_kind;

enum { /* flags of a route */
    EG_ROUTE_WRITES = 1,  /* a token that may only read does not do */
    EG_ROUTE_OPEN = 2,    /* no token is asked for */
    EG_ROUTE_INLINE = 4,  /* never blocks: answered at once, whatever the workers do */
    EG_ROUTE_EARLY = 8,   /* also before the engram is ready; request->engram may be NULL */
    EG_ROUTE_QUICK = 16   /* has no body, and mostly needs nothing but memory. It is called once with the disk out of reach (base/io.h:
                           * eg_io_dont_wait), where its request came in; if that did not do, or eg_request_needs_worker said so, it
                           * was in vain: done is called, and a worker calls handle anew */
};

typedef struct eg_route {
    const char *method;
    const char *pattern;    /* "/v1/x", or with an operand at its end: "/v1/x/{name}" one segment, "/v1/x/{path}" all the rest,
                             * also nothing. The longest literal part wins */
    unsigned flags;
    const char *parameters; /* names that the query may have, blanks between; NULL: none. Others are refused */
    eg_body_kind body;
    uint64_t body_max;      /* of a whole body; 0: EG_PIECE_SIZE. Streams are bounded by the configuration */
    engram_status (*begin)(eg_request *request, eg_reply *reply, engram_error *error);
    engram_status (*take)(eg_request *request, const void *bytes, size_t size, engram_error *error);
    engram_status (*handle)(eg_request *request, eg_reply *reply, engram_error *error);
    void (*done)(eg_request *request);
} eg_route;

struct eg_request { /* lent to the handler */
    eg_server *server;
    struct engram *engram;
    const eg_route *route;
    const char *method;
    const char *operand; /* decoded; "" when the pattern has none */
    eg_uri uri;
    eg_view body;
    void *state;         /* the handler's own; NULL at first */
};

/* Called by the handler of a quick route when it comes upon something long. ENGRAM_OK on a worker; else ENGRAM_BUSY, with which
 * the handler is to return. */
engram_status eg_request_needs_worker(eg_request *request, engram_error *error);

/* The first value of a query parameter, decoded, or NULL. */
const char *eg_request_parameter(const eg_request *request, const char *name);
/* A parameter that is there and is not "", "0", "no" or "false". */
bool eg_request_flag(const eg_request *request, const char *name);
/* These leave *value as it is when the parameter is absent. */
engram_status eg_request_number(const eg_request *request, const char *name, uint64_t low, uint64_t high, uint64_t *value, engram_error *error);
engram_status eg_request_size(const eg_request *request, const char *name, uint64_t *value, engram_error *error);
/* Value of a header, or NULL. */
const char *eg_request_header(const eg_request *request, const char *name);
/* The version of the parameter `at`, or the newest. */
engram_status eg_request_pin(const eg_request *request, engram_view **view, engram_error *error);

/* ---- replies ---- */

/* Fills bytes with what lies at offset. *got 0: the end, which with a known size must not come before it. */
typedef engram_status eg_pull(void *context, uint64_t offset, void *bytes, size_t size, size_t *got, engram_error *error);

typedef struct eg_reply_header {
    const char *name;
    char value[200];
} eg_reply_header;

struct eg_reply { /* the handler fills it through these functions */
    unsigned status;          /* 0: none yet */
    const char *content_type; /* static; NULL: no body */
    eg_reply_header headers[EG_REPLY_HEADERS_MAX];
    size_t header_count;
    eg_buffer body;
    eg_pull *pull;            /* NULL: body */
    void *pull_context;
    uint64_t size;            /* of what is pulled */
    /* When pull had nothing: puts job aside, to go back to the workers when there is something. False: this was the end. */
    bool (*park)(void *pull_context, struct eg_job *job); /* NULL: nothing is the end */
};

/* name is static; a value longer than its room, or with a control character, is left out. */
void eg_reply_add_header(eg_reply *reply, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
void eg_reply_empty(eg_reply *reply, unsigned status);
/* Takes document. ENGRAM_NO_MEMORY when it could not be made; NULL is such a case. */
engram_status eg_reply_json(eg_reply *reply, unsigned status, json_t *document, engram_error *error);
/* The same, and failures is what eg_json_failures said before the document was made: none may have been added. */
engram_status eg_reply_document(eg_reply *reply, unsigned status, json_t *document, unsigned long failures, engram_error *error);
/* Takes what is in body. */
void eg_reply_buffer(eg_reply *reply, unsigned status, const char *content_type, eg_buffer *body);
/* context must stay until the route's done. size EG_SIZE_UNKNOWN: until pull has no more. The first piece is pulled before
 * the status is sent, so that what fails at once is told with its cause; what fails later cuts the connection. */
void eg_reply_stream(eg_reply *reply, unsigned status, const char *content_type, uint64_t size, eg_pull *pull, void *context);
/* The reply to a failure: this status instead of the cause's. Returns cause. */
engram_status eg_refuse(eg_reply *reply, unsigned http_status, engram_error *error, engram_status cause, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* {"error": ...}; what was in the reply is gone. */
void eg_reply_error(eg_reply *reply, engram_status status, const engram_error *error);
void eg_reply_fini(eg_reply *reply);

/* The HTTP status of a cause. */
unsigned eg_http_status(engram_status status);

#endif
