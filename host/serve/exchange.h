/* One request on its way: where libmicrohttpd's threads and the workers meet.
 *
 * Who owns an exchange. A thread of libmicrohttpd has it until it hands it to a worker: it suspends the connection, then
 * queues the job. From then on only the worker touches it, until it resumes the connection, as its last act. The thread of
 * libmicrohttpd is then called again by libmicrohttpd, in the same state of the protocol, and goes on by `step`. A
 * suspended connection is never closed, so the end of an exchange (on_completed) cannot meet a worker. */
#ifndef EG_SERVE_EXCHANGE_H
#define EG_SERVE_EXCHANGE_H

#include <microhttpd.h>

#include "serve/internal.h"
#include "serve/http.h"
#include "serve/routes.h"

typedef enum eg_step {
    EG_STEP_HEAD,    /* the head has not been looked at */
    EG_STEP_BODY,    /* the body is coming */
    EG_STEP_REPLY,   /* there is a reply; what is left of a body is let pass before it is sent */
    EG_STEP_SENT     /* libmicrohttpd has it */
} eg_step;

typedef struct eg_exchange {
    eg_request request; /* first: a request is cast to its exchange */
    eg_reply reply;
    eg_job job;
    struct MHD_Connection *connection;
    eg_connection *link;     /* its deadline */
    eg_step step;
    size_t route_index;
    char *target;            /* as it came, for the log */
    uint64_t start_ns;
    uint64_t body_size;      /* as announced; EG_SIZE_UNKNOWN: chunked */
    uint64_t received, sent; /* bytes of bodies */
    uint64_t swallowed;      /* of them, after a refusal */
    uint8_t *buffer;         /* a piece of the body, or of the reply */
    size_t fill, at, capacity;
    bool ends;               /* what is in the buffer is the last of the body, or of what is pulled */
    bool begun;              /* the route's begin was called */
    bool failed;             /* pulling; the connection is cut */
    bool runs;               /* the route's functions may have left a state */
    bool closes;             /* the connection, after the reply */
    bool tries, in_vain;     /* of a quick route; see EG_ROUTE_QUICK */
} eg_exchange;

/* The callbacks of libmicrohttpd; cls is the server. */
void *eg_exchange_on_target(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result eg_exchange_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                       const char *version, const char *upload, size_t *upload_size, void **context);
void eg_exchange_on_completed(void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why);
void eg_exchange_on_connection(void *cls, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode what);

/* accept.c: whether a request may be served, from its head alone. Fills request.route and operand. On failure the
 * reply is the refusal. */
engram_status eg_exchange_accept(eg_exchange *x, const char *method, const char *version, engram_error *error);
/* work.c: what workers do: the route's functions and pulling. */
void eg_exchange_work(eg_job *job);
/* Tries a quick route, on the caller's thread. True: there is a reply. */
bool eg_exchange_try(eg_exchange *x);
void eg_exchange_pull(eg_job *job);
/* Room for a piece of size bytes. ENGRAM_BUSY when the server's buffers are used up. */
engram_status eg_exchange_reserve(eg_exchange *x, size_t size, engram_error *error);
void eg_exchange_release(eg_exchange *x);

#endif
