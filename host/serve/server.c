/* The server's life: open, ready, drain, close.
 *
 * Two daemons of libmicrohttpd, one a listening socket, share everything else. Their threads wait
 * for all their connections with epoll; handlers run on the workers (exchange.h). At the end the
 * workers go before the daemons: what is dispatched from then on runs where it is, so that no
 * connection is left suspended. */
#include "serve/server.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "serve/exchange.h"

enum { CONNECTION_MEMORY = 64 << 10, DRAIN_LOOK_US = 20000, FILES_MORE = 256 };

bool eg_server_take_buffer(eg_server *server, size_t size)
{
    uint64_t used = atomic_fetch_add(&server->buffers_used, size);
    if (used + size <= server->config.buffers_size)
        return true;
    atomic_fetch_sub(&server->buffers_used, size);
    return false;
}

void eg_server_give_buffer(eg_server *server, size_t size)
{
    atomic_fetch_sub(&server->buffers_used, size);
}

/* ---- open ---- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint32_t core_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 4 ? 4 : (uint32_t)count;
}

static eg_server_config complete(eg_server_config c)
{
    c.access_log = c.access_log != NULL ? c.access_log : "-";
    c.threads = or_default(c.threads, core_count());
    c.workers = or_default(c.workers, 64);
    c.queue_max = or_default(c.queue_max, 1024);
    c.connections_max = or_default(c.connections_max, 4096);
    c.connections_per_address = or_default(c.connections_per_address, 2048);
    c.header_size = c.header_size != 0 ? c.header_size : 16 << 10;
    c.body_size = c.body_size != 0 ? c.body_size : (uint64_t)64 << 30;
    c.buffers_size = c.buffers_size != 0 ? c.buffers_size : 128 << 20;
    c.header_s = or_default(c.header_s, 10);
    c.stall_s = or_default(c.stall_s, 20);
    c.rate_min = c.rate_min != 0 ? c.rate_min : 1024;
    c.idle_s = or_default(c.idle_s, 60);
    c.drain_s = or_default(c.drain_s, 30);
    return c;
}

/* Parts of a target are decoded where their meaning is known (uri.c). */
static size_t leave_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls, (void)connection;
    return strlen(text);
}

static void drop_message(void *cls, const char *format, va_list args)
{
    (void)cls, (void)format, (void)args; /* clients' mistakes; the access log has them */
}

/* Who comes when it ends is turned away. (MHD_quiesce_daemon would stop listening, but two threads
 * may both take the socket out of a set then, and the second ends the process: libmicrohttpd
 * 0.9.75.) */
static enum MHD_Result admit(void *cls, const struct sockaddr *address, socklen_t size)
{
    const eg_server *s = cls;
    (void)address, (void)size;
    return atomic_load(&s->is_ending) ? MHD_NO : MHD_YES;
}

static engram_status count_entry(void *context, const char *name)
{
    (void)name;
    ++*(rlim_t *)context;
    return ENGRAM_OK;
}

/* The files that the engram has open, and may come to open, are left to it: a commit that cannot open one ends all writing. */
static void bound_connections(eg_server *s)
{
    struct rlimit files;
    eg_server_config *c = &s->config;
    rlim_t own = FILES_MORE, listeners = (s->tcp_fd >= 0) + (s->local_fd >= 0);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY || listeners == 0)
        return;
    eg_io_posix()->list(eg_io_posix(), "/proc/self/fd", count_entry, &own, NULL);
    own = own < files.rlim_cur / 2 ? own : files.rlim_cur / 2;
    rlim_t most = (files.rlim_cur - own) / listeners;
    if (c->connections_max <= most)
        return;
    eg_log(EG_LOG_WARNING, "%llu connections at most instead of %u: only %llu files may be open (ulimit -n)", (unsigned long long)most,
           c->connections_max, (unsigned long long)files.rlim_cur);
    c->connections_max = (uint32_t)most;
}

static engram_status start_daemon(eg_server *s, int fd, struct MHD_Daemon **daemon,
                                  engram_error *error)
{
    const unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC;
    *daemon = MHD_start_daemon(
        flags, 0, admit, s, eg_exchange_on_request, s, MHD_OPTION_EXTERNAL_LOGGER, drop_message,
        NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, s->config.threads,
        MHD_OPTION_CONNECTION_LIMIT, s->config.connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        s->config.connections_per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
        eg_exchange_on_target, s, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, eg_exchange_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        eg_exchange_on_connection, s, MHD_OPTION_END);
    return *daemon != NULL
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_IO, "the threads that talk to clients cannot be started");
}

static engram_status listen_all(eg_server *s, engram_error *error)
{
    const eg_server_config *c = &s->config;
    bool is_local = true, has_tcp = c->listen != NULL && *c->listen != 0;
    if (!has_tcp && c->unix_path == NULL)
        return eg_fail(error, ENGRAM_INVALID, "there is nothing to listen on: --listen or --unix");
    if (has_tcp)
        EG_TRY(eg_listen_tcp(c->listen, &s->tcp_fd, &is_local, s->address, s->host, error));
    if (c->unix_path != NULL)
        EG_TRY(eg_listen_unix(c->unix_path, &s->local_fd, error));
    if (!has_tcp)
        snprintf(s->address, sizeof s->address, "unix:%s", c->unix_path);
    if (!is_local && s->is_open && !c->no_auth)
        return eg_fail(error, ENGRAM_INVALID,
                       "--listen %s: other machines can reach it, so tokens are needed: "
                       "--token-file FILE, or --no-auth if everybody may do everything",
                       c->listen);
    return ENGRAM_OK;
}

static engram_status start(eg_server *s, engram_error *error)
{
    const eg_server_config *c = &s->config;
    s->is_open = c->token_file == NULL && c->read_token_file == NULL;
    EG_TRY(eg_tokens_open(c->token_file, c->read_token_file, &s->tokens, error));
    EG_TRY(eg_access_log_open(c->access_log, &s->access_log, error));
    EG_TRY(listen_all(s, error));
    EG_TRY(eg_deadlines_start(c->stall_s, c->rate_min, &s->deadlines, error));
    EG_TRY(eg_workers_start(c->workers, c->queue_max, &s->workers, error));
    const eg_events_options events = {.ring_size = c->event_buffer};
    EG_TRY(eg_events_create(s->workers, &events, &s->events, error));
    bound_connections(s);
    if (s->tcp_fd >= 0)
        EG_TRY(start_daemon(s, s->tcp_fd, &s->tcp, error));
    return s->local_fd >= 0 ? start_daemon(s, s->local_fd, &s->local, error) : ENGRAM_OK;
}

engram_status eg_server_open(const eg_server_config *config, eg_server **server,
                             engram_error *error)
{
    eg_server *s = *server = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the server");
    s->config = complete(*config);
    s->tcp_fd = s->local_fd = -1;
    s->start_ns = eg_clock_monotonic_ns();
    engram_status status = start(s, error);
    if (status != ENGRAM_OK)
        eg_server_close(server);
    return status;
}

const char *eg_server_address(const eg_server *server)
{
    return server->address;
}

void eg_server_ready(eg_server *s, eg_engram *engram, eg_device *device, eg_searcher *searcher)
{
    s->engram = engram;
    s->device = device;
    s->searcher = searcher;
    /* Here and not in a worker: it may load compilers, which have their own ideas of signals and threads. */
    s->device_count = eg_device_list(s->devices, EG_SERVER_DEVICES_MAX);
    if (s->device_count > EG_SERVER_DEVICES_MAX)
        s->device_count = EG_SERVER_DEVICES_MAX;
    atomic_store(&s->state, EG_SERVER_READY);
}

engram_status eg_server_reload(eg_server *s, engram_error *error)
{
    EG_TRY(eg_tokens_reload(s->tokens, error));
    return eg_access_log_reopen(s->access_log, error);
}

/* ---- end ---- */

void eg_server_drain(eg_server *s, bool (*enough)(void *context), void *context)
{
    uint64_t until = eg_clock_monotonic_ns() + (uint64_t)s->config.drain_s * 1000000000;
    if (atomic_load(&s->state) == EG_SERVER_READY)
        atomic_store(&s->state, EG_SERVER_DRAINING);
    atomic_store(&s->is_ending, true);
    eg_events_stop(s->events);
    eg_deadlines_cut_idle(s->deadlines);
    while (atomic_load(&s->requests_active) != 0 && eg_clock_monotonic_ns() < until &&
           !(enough != NULL && enough(context)))
        usleep(DRAIN_LOOK_US);
}

/* A socket that a daemon listens on is closed with it. */
static void stop_daemon(struct MHD_Daemon *daemon, int *fd)
{
    if (daemon != NULL)
        MHD_stop_daemon(daemon);
    else if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void eg_server_close(eg_server **server)
{
    eg_server *s = *server;
    if (s == NULL)
        return;
    atomic_store(&s->is_ending, true);
    eg_events_stop(s->events);
    if (s->workers != NULL)
        eg_workers_stop(s->workers);
    if (s->local_fd >= 0)
        unlink(s->config.unix_path);
    stop_daemon(s->tcp, &s->tcp_fd);
    stop_daemon(s->local, &s->local_fd);
    eg_events_free(s->events);
    eg_workers_free(s->workers);
    eg_deadlines_stop(&s->deadlines);
    eg_access_log_close(&s->access_log);
    eg_tokens_close(&s->tokens);
    eg_free(s);
    *server = NULL;
}
