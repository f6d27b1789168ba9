/* What workers do for an exchange: the route's functions, in their order, and pulling what a reply is made of. And the
 * one try of a quick route, which no worker makes. */
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "serve/exchange.h"

/* Doubled, so that what comes bit by bit is seldom copied, but not beyond a piece, or all that will come. */
static size_t grown_capacity(const eg_exchange *x, size_t size)
{
    size_t capacity = size < 2 * x->capacity ? 2 * x->capacity : size;
    if (size <= EG_PIECE_SIZE && capacity > EG_PIECE_SIZE)
        capacity = EG_PIECE_SIZE;
    return size <= x->body_size && capacity > x->body_size ? (size_t)x->body_size : capacity;
}

engram_status eg_exchange_reserve(eg_exchange *x, size_t size, engram_error *error)
{
    eg_server *server = x->request.server;
    if (x->capacity >= size)
        return ENGRAM_OK;
    size_t capacity = grown_capacity(x, size);
    if (!eg_server_take_buffer(server, capacity - x->capacity))
        return eg_fail(error, ENGRAM_BUSY,
                       "the buffers for bodies and replies are used up: try again in a second");
    uint8_t *grown = eg_realloc(x->buffer, capacity);
    if (grown == NULL) {
        eg_server_give_buffer(server, capacity - x->capacity);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a request");
    }
    x->buffer = grown;
    x->capacity = capacity;
    return ENGRAM_OK;
}

void eg_exchange_release(eg_exchange *x)
{
    eg_server_give_buffer(x->request.server, x->capacity);
    eg_free(x->buffer);
    x->buffer = NULL;
    x->capacity = x->fill = x->at = 0;
}

/* ---- the route ---- */

static engram_status begin(eg_exchange *x, engram_error *error)
{
    const eg_route *route = x->request.route;
    if (x->begun)
        return ENGRAM_OK;
    x->begun = true;
    return route->begin != NULL ? route->begin(&x->request, &x->reply, error) : ENGRAM_OK;
}

static engram_status take(eg_exchange *x, engram_error *error)
{
    size_t size = x->fill;
    x->fill = 0;
    return size != 0 ? x->request.route->take(&x->request, x->buffer, size, error) : ENGRAM_OK;
}

/* A client that reads slowly keeps a piece for as long as it may. Smaller ones of a half of the buffers are enough for all
 * connections that there can be, so that those do not take the room of everybody else. */
static size_t reply_piece_size(const eg_server *server)
{
    bool is_short = atomic_load(&server->buffers_used) > server->config.buffers_size / 2;
    return is_short ? EG_PIECE_SIZE / 8 : EG_PIECE_SIZE;
}

/* The next piece of what is pulled, or all of it. */
static engram_status pull(eg_exchange *x, uint64_t at, engram_error *error)
{
    eg_reply *reply = &x->reply;
    bool is_known = reply->size != EG_SIZE_UNKNOWN;
    size_t most = reply_piece_size(x->request.server), got = 0;
    uint64_t left = is_known ? reply->size - at : most;
    size_t want = left < most ? (size_t)left : most;
    x->fill = x->at = 0;
    EG_TRY(eg_exchange_reserve(x, want, error));
    if (want != 0)
        EG_TRY(reply->pull(reply->pull_context, at, x->buffer, want, &got, error));
    if (is_known && got != want)
        return eg_fail(error, ENGRAM_DAMAGED, "the content ends at %llu of %llu bytes",
                       (unsigned long long)(at + got), (unsigned long long)reply->size);
    x->fill = got;
    x->ends = is_known ? at + got == reply->size : got == 0;
    return ENGRAM_OK;
}

/* The body's buffer goes before the reply's comes. */
static engram_status first_piece(eg_exchange *x, engram_error *error)
{
    bool is_head = strcmp(x->request.method, "HEAD") == 0;
    eg_exchange_release(x);
    x->ends = false;
    return x->reply.pull == NULL || is_head ? ENGRAM_OK : pull(x, 0, error);
}

static engram_status finish(eg_exchange *x, engram_error *error)
{
    if (x->begun)
        EG_TRY(take(x, error));
    else
        x->request.body = (eg_view){x->buffer != NULL ? x->buffer : (const uint8_t *)"", x->fill};
    EG_TRY(x->request.route->handle(&x->request, &x->reply, error));
    x->request.body = (eg_view){0};
    return first_piece(x, error);
}

static engram_status run(eg_exchange *x, engram_error *error)
{
    x->runs = true;
    if (x->ends)
        return finish(x, error);
    EG_TRY(begin(x, error));
    return take(x, error);
}

static void resume(eg_exchange *x)
{
    struct MHD_Connection *connection = x->connection;
    eg_deadline_go_on(x->link);
    MHD_resume_connection(connection); /* from here on x is not ours */
}

static eg_exchange *exchange_of(eg_job *job)
{
    return (eg_exchange *)((char *)job - offsetof(eg_exchange, job));
}

void eg_exchange_work(eg_job *job)
{
    eg_exchange *x = exchange_of(job);
    bool is_inline = (x->request.route->flags & EG_ROUTE_INLINE) != 0;
    bool ends = x->ends;
    engram_error error = {0};
    engram_status status = run(x, &error);
    if (status != ENGRAM_OK)
        eg_reply_error(&x->reply, status, &error);
    if (status != ENGRAM_OK || ends)
        x->step = EG_STEP_REPLY;
    if (!is_inline)
        resume(x);
}

engram_status eg_request_needs_worker(eg_request *request, engram_error *error)
{
    eg_exchange *x = (eg_exchange *)request;
    x->in_vain = x->tries;
    return x->tries ? eg_fail(error, ENGRAM_BUSY, "this takes a worker") : ENGRAM_OK;
}

static void take_back(eg_exchange *x)
{
    if (x->request.route->done != NULL)
        x->request.route->done(&x->request);
    eg_reply_fini(&x->reply);
    eg_exchange_release(x);
    x->runs = false;
    x->ends = true;
}

bool eg_exchange_try(eg_exchange *x)
{
    engram_error error = {0};
    x->tries = true;
    eg_io_dont_wait();
    engram_status status = run(x, &error);
    x->in_vain |= eg_io_may_wait();
    x->tries = false;
    if (x->in_vain) {
        take_back(x);
        return false;
    }
    if (status != ENGRAM_OK)
        eg_reply_error(&x->reply, status, &error);
    x->step = EG_STEP_REPLY;
    atomic_fetch_add(&x->request.server->metrics.quick, 1);
    return true;
}

/* Then x is not ours any more. Its buffer is not kept while there is nothing to put into it. */
static bool was_parked(eg_exchange *x)
{
    if (x->reply.park == NULL)
        return false;
    eg_exchange_release(x);
    return x->reply.park(x->reply.pull_context, &x->job);
}

void eg_exchange_pull(eg_job *job)
{
    eg_exchange *x = exchange_of(job);
    engram_error error = {0};
    x->failed = pull(x, x->sent, &error) != ENGRAM_OK;
    if (x->failed)
        eg_log(EG_LOG_WARNING, "%s: the reply was cut: %s", x->target, error.message);
    if (!x->failed && x->fill == 0 && was_parked(x))
        return;
    resume(x);
}
