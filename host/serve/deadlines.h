/* Connections and how long a client may take.
 *
 * libmicrohttpd closes connections that are idle; one that sends a byte now and then is never idle. Here every connection
 * has an absolute deadline, and a thread that cuts those whose is over:
 *
 *   head    so many seconds from the connection's beginning, or from the first line on a connection that was idle
 *   body    the deadline moves on by n / rate seconds for n bytes, but is never later than `stall` seconds from now: a
 *           client that keeps to the rate has all the time it needs, one that does not has `stall` seconds in all
 *   reply   likewise
 *   idle    so many seconds between two requests
 *
 * The same thread sees to it that no request is overlooked: libmicrohttpd is told of one once, by an edge of epoll. Of a
 * thousand connections that asked at once on a busy machine one was seen to be forgotten until it timed out; the cause is not
 * known.
 *
 * While it is the server's turn (a worker computes, a commit waits for the disk) the clock stands still. */
#ifndef EG_SERVE_DEADLINES_H
#define EG_SERVE_DEADLINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"

typedef struct eg_deadlines eg_deadlines;

typedef enum eg_connection_phase { EG_CONNECTION_FRESH, EG_CONNECTION_BUSY, EG_CONNECTION_IDLE } eg_connection_phase;

typedef struct eg_connection {
    struct eg_connection *next, **link; /* under the lock of the deadlines */
    int fd;
    atomic_uint_fast64_t deadline_ns;   /* monotonic; UINT64_MAX: none now */
    uint64_t left_ns;                   /* while the clock stands still */
    _Atomic(eg_connection_phase) phase; /* fresh: no request yet; idle: between two */
    bool was_unread;                    /* at the last look, though no request was under way */
    char remote[64];                    /* "127.0.0.1:5000", "[::1]:5000", "unix" */
} eg_connection;

engram_status eg_deadlines_start(uint32_t stall_s, uint64_t rate_min, eg_deadlines **deadlines, engram_error *error);
/* No connection may be left. */
void eg_deadlines_stop(eg_deadlines **deadlines);

/* NULL when memory is short: close the connection. */
eg_connection *eg_deadlines_add(eg_deadlines *deadlines, int fd, const struct sockaddr *address, uint32_t seconds);
/* Before fd is closed: it is not touched afterwards. */
void eg_deadlines_remove(eg_deadlines *deadlines, eg_connection *connection);
/* From now on connections without a request are closed. */
void eg_deadlines_cut_idle(eg_deadlines *deadlines);
uint64_t eg_deadlines_connections(eg_deadlines *deadlines);
uint64_t eg_deadlines_cut_count(eg_deadlines *deadlines); /* for being slow */
/* How often the daemon had to be told again that a request is there to be read. */
uint64_t eg_deadlines_wake_count(eg_deadlines *deadlines);

/* Called by the thread that has the connection. */
void eg_deadline_set(eg_connection *connection, uint32_t seconds);
void eg_deadline_not_after(eg_connection *connection, uint32_t seconds);
void eg_deadline_move(eg_deadlines *deadlines, eg_connection *connection, uint64_t bytes);
/* For bytes that are on their way all at once. */
void eg_deadline_allow(eg_deadlines *deadlines, eg_connection *connection, uint64_t bytes);
void eg_deadline_hold(eg_connection *connection);
void eg_deadline_go_on(eg_connection *connection);

#endif
