/* The callbacks of libmicrohttpd: a request's steps, from its first line to the end of its reply. */
#include "serve/exchange.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum { SWALLOW_EARLY = 1 << 20, SWALLOW_MAX = 64 << 20, SWALLOW_REST = 1 << 30 };

static eg_server *server_of(const eg_exchange *x)
{
    return x->request.server;
}

/* ---- connections ---- */

void eg_exchange_on_connection(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    eg_server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        eg_deadlines_remove(server->deadlines, *context);
        *context = NULL;
        return;
    }
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    *context = eg_deadlines_add(server->deadlines, fd, address, server->config.header_s);
    if (*context == NULL)
        shutdown(fd, SHUT_RDWR);
}

static eg_connection *link_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

/* ---- begin and end ---- */

/* A request without an exchange (memory, a connection that is being closed) is refused by on_request. */
void *eg_exchange_on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    eg_server *server = cls;
    eg_connection *link = link_of(connection);
    eg_exchange *x = link != NULL ? eg_alloc_zero(1, sizeof *x) : NULL;
    char *copy = x != NULL ? eg_strdup(target) : NULL;
    if (copy == NULL) {
        eg_free(x);
        return NULL;
    }
    x->target = copy;
    x->connection = connection;
    x->link = link;
    x->start_ns = eg_clock_monotonic_ns();
    x->request.server = server;
    x->request.method = "";
    x->request.operand = "";
    x->request.uri.path = "";
    x->route_index = eg_routes_count();
    atomic_store(&link->phase, EG_CONNECTION_BUSY);
    eg_deadline_not_after(link, server->config.header_s);
    atomic_fetch_add(&server->requests_active, 1);
    return x;
}

static void record(eg_exchange *x, enum MHD_RequestTerminationCode why)
{
    eg_server *server = server_of(x);
    double seconds = (double)(eg_clock_monotonic_ns() - x->start_ns) / 1e9;
    unsigned status = x->step == EG_STEP_SENT ? x->reply.status : 0;
    bool whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK && !x->failed;
    eg_serve_metrics_count(&server->metrics, x->route_index, status, seconds, x->received, x->sent);
    const eg_access access = {.remote = x->link->remote,
                              .method = x->request.method,
                              .target = x->target,
                              .agent = x->request.method[0] != 0
                                           ? eg_request_header(&x->request, "User-Agent")
                                           : NULL,
                              .status = status,
                              .received = x->received,
                              .sent = x->sent,
                              .seconds = seconds,
                              .is_whole = whole};
    eg_access_log_write(server->access_log, &access);
}

void eg_exchange_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                              enum MHD_RequestTerminationCode why)
{
    eg_server *server = cls;
    eg_exchange *x = *context;
    (void)connection;
    *context = NULL;
    if (x == NULL)
        return;
    record(x, why);
    if (x->runs && x->request.route->done != NULL)
        x->request.route->done(&x->request);
    eg_exchange_release(x);
    eg_deadline_set(x->link, server->config.idle_s);
    atomic_store(&x->link->phase, EG_CONNECTION_IDLE);
    eg_reply_fini(&x->reply);
    eg_uri_fini(&x->request.uri);
    eg_free(x->target);
    eg_free(x);
    atomic_fetch_sub(&server->requests_active, 1);
}

/* ---- to the workers ---- */

static void dispatch(eg_exchange *x, void (*run)(eg_job *job), bool goes_on)
{
    eg_deadline_hold(x->link);
    MHD_suspend_connection(x->connection);
    x->job.run = run;
    if (eg_workers_push(server_of(x)->workers, &x->job, goes_on))
        return;
    engram_error error = {0};
    eg_fail(&error, ENGRAM_BUSY, "%u requests are waiting already: try again in a second",
            server_of(x)->config.queue_max);
    eg_reply_error(&x->reply, ENGRAM_BUSY, &error);
    x->step = EG_STEP_REPLY;
    eg_deadline_go_on(x->link);
    MHD_resume_connection(x->connection);
}

static bool answers_here(eg_exchange *x)
{
    unsigned flags = x->request.route->flags;
    if (flags & EG_ROUTE_INLINE)
        eg_exchange_work(&x->job);
    return (flags & EG_ROUTE_INLINE) || ((flags & EG_ROUTE_QUICK) && eg_exchange_try(x));
}

/* ---- replying ---- */

static ssize_t read_reply(void *context, uint64_t at, char *bytes, size_t size)
{
    eg_exchange *x = context;
    size_t left = x->fill - x->at, take = left < size ? left : size;
    (void)at;
    if (x->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (take != 0) {
        memcpy(bytes, x->buffer + x->at, take);
        x->at += take;
        x->sent += take;
        eg_deadline_move(server_of(x)->deadlines, x->link, take);
        return (ssize_t)take;
    }
    if (x->ends)
        return MHD_CONTENT_READER_END_OF_STREAM;
    dispatch(x, eg_exchange_pull, true);
    return 0;
}

/* HEAD pulls nothing: the size is all that is said of the content. */
static struct MHD_Response *make_response(eg_exchange *x, bool is_head)
{
    const eg_reply *reply = &x->reply;
    if (reply->pull == NULL)
        return MHD_create_response_from_buffer(reply->body.size, reply->body.data,
                                               MHD_RESPMEM_PERSISTENT);
    if (x->ends && !is_head)
        return MHD_create_response_from_buffer(x->fill, x->buffer, MHD_RESPMEM_PERSISTENT);
    if (is_head && reply->size == EG_SIZE_UNKNOWN) /* else libmicrohttpd sends the end of a body that is not there */
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    uint64_t size = reply->size != EG_SIZE_UNKNOWN ? reply->size : MHD_SIZE_UNKNOWN;
    return MHD_create_response_from_callback(size, 64 << 10, read_reply, x, NULL);
}

static void add_headers(eg_exchange *x, struct MHD_Response *response)
{
    eg_reply *reply = &x->reply;
    bool closes = x->closes || atomic_load(&server_of(x)->state) == EG_SERVER_DRAINING;
    if (reply->content_type != NULL)
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < reply->header_count; i++)
        MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (closes)
        MHD_add_response_header(response, "Connection", "close");
}

static enum MHD_Result send_reply(eg_exchange *x)
{
    bool is_head = strcmp(x->request.method, "HEAD") == 0;
    struct MHD_Response *response = make_response(x, is_head);
    if (response == NULL)
        return MHD_NO;
    add_headers(x, response);
    eg_deadline_set(x->link, server_of(x)->config.stall_s);
    if (x->reply.pull == NULL || (x->ends && !is_head)) {
        x->sent = is_head ? 0 : x->reply.pull == NULL ? x->reply.body.size : x->fill;
        eg_deadline_allow(server_of(x)->deadlines, x->link, x->sent);
    }
    x->step = EG_STEP_SENT;
    enum MHD_Result result = MHD_queue_response(x->connection, x->reply.status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- receiving ---- */

static bool expects_continue(const eg_exchange *x)
{
    return eg_request_header(&x->request, "Expect") != NULL;
}

/* A refusal is sent at once when the body need not be seen: the client waits for leave, or much would have to be let pass;
 * libmicrohttpd closes the connection then. Else behind the body, and the connection stays. */
static enum MHD_Result refuse_head(eg_exchange *x, engram_status status, const engram_error *error)
{
    eg_reply_error(&x->reply, status, error);
    bool is_early = x->body_size != 0 && (x->body_size > SWALLOW_EARLY || expects_continue(x));
    x->closes |= is_early;
    x->step = EG_STEP_REPLY;
    return is_early ? send_reply(x) : MHD_YES;
}

static enum MHD_Result on_head(eg_exchange *x, const char *method, const char *version)
{
    engram_error error = {0};
    engram_status status = eg_exchange_accept(x, method, version, &error);
    eg_deadline_set(x->link, server_of(x)->config.stall_s);
    if (status != ENGRAM_OK)
        return refuse_head(x, status, &error);
    x->step = EG_STEP_BODY;
    bool waits_for_leave = x->request.route->body == EG_BODY_STREAM && x->body_size != 0 &&
                           x->body_size != EG_SIZE_UNKNOWN && expects_continue(x);
    if (waits_for_leave)
        dispatch(x, eg_exchange_work, false);
    return MHD_YES;
}

/* Room is taken for what has come, not for what is announced: whoever sends little keeps little. */
static engram_status gather(eg_exchange *x, const char *bytes, size_t *size, engram_error *error)
{
    const eg_route *route = x->request.route;
    bool is_stream = route->body == EG_BODY_STREAM;
    uint64_t most = is_stream ? server_of(x)->config.body_size
                    : route->body_max != 0 ? route->body_max
                                           : EG_PIECE_SIZE;
    if (*size > most - x->received)
        return eg_refuse(&x->reply, 413, error, ENGRAM_INVALID,
                         "the body has more than the %llu bytes that are taken here",
                         (unsigned long long)most);
    size_t need = x->fill + *size;
    EG_TRY(eg_exchange_reserve(x, is_stream && need > EG_PIECE_SIZE ? EG_PIECE_SIZE : need, error));
    size_t room = x->capacity - x->fill, take = *size < room ? *size : room;
    memcpy(x->buffer + x->fill, bytes, take);
    x->fill += take;
    x->received += take;
    *size -= take;
    return ENGRAM_OK;
}

/* A client sees a reply only when its body is through: what comes after a refusal is let pass, unless there is much of it. */
static enum MHD_Result swallow(eg_exchange *x, size_t *size)
{
    x->swallowed += *size;
    x->received += *size;
    eg_deadline_move(server_of(x)->deadlines, x->link, *size);
    *size = 0;
    bool ends_soon = x->body_size != EG_SIZE_UNKNOWN && x->body_size - (x->received - x->swallowed) <= SWALLOW_REST;
    return ends_soon || x->swallowed <= SWALLOW_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_body(eg_exchange *x, const char *bytes, size_t *size)
{
    engram_error error = {0};
    size_t before = *size;
    engram_status status = gather(x, bytes, size, &error);
    if (status != ENGRAM_OK) {
        eg_reply_error(&x->reply, status, &error);
        x->step = EG_STEP_REPLY;
        return swallow(x, size);
    }
    eg_deadline_move(server_of(x)->deadlines, x->link, before - *size);
    if (x->request.route->body == EG_BODY_STREAM && *size != 0)
        dispatch(x, eg_exchange_work, x->begun);
    return MHD_YES;
}

/* Also called for a head again, whose request was begun before its body came. */
static enum MHD_Result on_end(eg_exchange *x)
{
    if (x->body_size != EG_SIZE_UNKNOWN && x->received < x->body_size)
        return MHD_YES;
    x->ends = true;
    if (answers_here(x))
        return send_reply(x);
    dispatch(x, eg_exchange_work, x->begun);
    return MHD_YES;
}

enum MHD_Result eg_exchange_on_request(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_size, void **context)
{
    eg_exchange *x = *context;
    (void)cls, (void)connection, (void)url;
    if (x == NULL)
        return MHD_NO;
    switch (x->step) {
    case EG_STEP_HEAD:
        return on_head(x, method, version);
    case EG_STEP_BODY:
        return *upload_size != 0 ? on_body(x, upload, upload_size) : on_end(x);
    case EG_STEP_REPLY:
        return *upload_size != 0 ? swallow(x, upload_size) : send_reply(x);
    case EG_STEP_SENT:
        break;
    }
    *upload_size = 0;
    return MHD_YES;
}
