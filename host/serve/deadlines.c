/* Absolute deadlines: a list, and a thread that looks through it five times a second. */
#include "serve/deadlines.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

enum { LOOK_MS = 200, SECOND_NS = 1000000000, UNREAD_LOOKS = 5 };

struct eg_deadlines {
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    eg_connection *first;
    uint64_t count, cut_count, wake_count, looks;
    bool stopping, cuts_idle;
    uint64_t stall_ns, rate_min;
    pthread_t thread;
};

/* Bytes that wait from one look to the next, while no request is under way: a new edge, which setting the mark of a socket
 * makes where there is something to read. Does no harm where the daemon was only slow. */
static void wake_reader(eg_deadlines *d, eg_connection *c)
{
    int unread = 0, least = 1;
    bool is_unread = atomic_load(&c->phase) != EG_CONNECTION_BUSY && ioctl(c->fd, FIONREAD, &unread) == 0 && unread > 0;
    if (is_unread && c->was_unread) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);
        d->wake_count++;
    }
    c->was_unread = is_unread;
}

/* The descriptor is open: it is taken off the list before it is closed. */
static void look_around(eg_deadlines *d)
{
    uint64_t now = eg_clock_monotonic_ns();
    bool looks_for_unread = d->looks++ % UNREAD_LOOKS == 0;
    for (eg_connection *c = d->first; c != NULL; c = c->next) {
        bool is_late = atomic_load(&c->deadline_ns) <= now;
        eg_connection_phase phase = atomic_load(&c->phase);
        if (looks_for_unread && !is_late)
            wake_reader(d, c);
        if (!is_late && !(phase != EG_CONNECTION_BUSY && d->cuts_idle))
            continue;
        shutdown(c->fd, SHUT_RDWR);
        d->cut_count += is_late && phase != EG_CONNECTION_IDLE;
        atomic_store(&c->deadline_ns, UINT64_MAX);
    }
}

static void *watch(void *context)
{
    eg_deadlines *d = context;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / SECOND_NS;
        until.tv_nsec %= SECOND_NS;
        pthread_cond_timedwait(&d->stopped, &d->lock, &until);
        look_around(d);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

engram_status eg_deadlines_start(uint32_t stall_s, uint64_t rate_min, eg_deadlines **deadlines,
                                 engram_error *error)
{
    eg_deadlines *d = eg_alloc_zero(1, sizeof *d);
    *deadlines = d;
    if (d == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the server");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    d->stall_ns = (uint64_t)stall_s * SECOND_NS;
    d->rate_min = rate_min;
    int failed = pthread_create(&d->thread, NULL, watch, d);
    if (failed == 0)
        return ENGRAM_OK;
    eg_free(d);
    *deadlines = NULL;
    return eg_fail_os(error, failed, "the thread that watches deadlines cannot be started");
}

void eg_deadlines_stop(eg_deadlines **deadlines)
{
    eg_deadlines *d = *deadlines;
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->stopped);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->stopped);
    pthread_mutex_destroy(&d->lock);
    eg_free(d);
    *deadlines = NULL;
}

static void write_remote(eg_connection *c, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    snprintf(c->remote, sizeof c->remote, "unix");
    if (address != NULL && address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        snprintf(c->remote, sizeof c->remote, "%s:%u", text, ntohs(in->sin_port));
    } else if (address != NULL && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        snprintf(c->remote, sizeof c->remote, "[%s]:%u", text, ntohs(in->sin6_port));
    }
}

eg_connection *eg_deadlines_add(eg_deadlines *d, int fd, const struct sockaddr *address,
                                uint32_t seconds)
{
    eg_connection *c = eg_alloc_zero(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->fd = fd;
    write_remote(c, address);
    eg_deadline_set(c, seconds);
    pthread_mutex_lock(&d->lock);
    c->next = d->first;
    c->link = &d->first;
    if (c->next != NULL)
        c->next->link = &c->next;
    d->first = c;
    d->count++;
    pthread_mutex_unlock(&d->lock);
    return c;
}

void eg_deadlines_remove(eg_deadlines *d, eg_connection *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    d->count--;
    pthread_mutex_unlock(&d->lock);
    eg_free(c);
}

void eg_deadlines_cut_idle(eg_deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    d->cuts_idle = true;
    look_around(d);
    pthread_mutex_unlock(&d->lock);
}

uint64_t eg_deadlines_connections(eg_deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t count = d->count;
    pthread_mutex_unlock(&d->lock);
    return count;
}

uint64_t eg_deadlines_cut_count(eg_deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t count = d->cut_count;
    pthread_mutex_unlock(&d->lock);
    return count;
}

uint64_t eg_deadlines_wake_count(eg_deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t count = d->wake_count;
    pthread_mutex_unlock(&d->lock);
    return count;
}

void eg_deadline_set(eg_connection *c, uint32_t seconds)
{
    atomic_store(&c->deadline_ns, eg_clock_monotonic_ns() + (uint64_t)seconds * SECOND_NS);
}

void eg_deadline_not_after(eg_connection *c, uint32_t seconds)
{
    uint64_t latest = eg_clock_monotonic_ns() + (uint64_t)seconds * SECOND_NS;
    if (atomic_load(&c->deadline_ns) > latest)
        atomic_store(&c->deadline_ns, latest);
}

void eg_deadline_move(eg_deadlines *d, eg_connection *c, uint64_t bytes)
{
    uint64_t latest = eg_clock_monotonic_ns() + d->stall_ns;
    uint64_t deadline = atomic_load(&c->deadline_ns);
    double earned_ns = (double)bytes / (double)d->rate_min * SECOND_NS;
    if (deadline == UINT64_MAX)
        return; /* it was cut */
    bool is_full = deadline >= latest || earned_ns >= (double)(latest - deadline);
    atomic_store(&c->deadline_ns, is_full ? latest : deadline + (uint64_t)earned_ns);
}

void eg_deadline_allow(eg_deadlines *d, eg_connection *c, uint64_t bytes)
{
    uint64_t deadline = atomic_load(&c->deadline_ns);
    if (deadline != UINT64_MAX)
        atomic_store(&c->deadline_ns, deadline + bytes / d->rate_min * SECOND_NS);
}

void eg_deadline_hold(eg_connection *c)
{
    uint64_t now = eg_clock_monotonic_ns(), deadline = atomic_load(&c->deadline_ns);
    c->left_ns = deadline > now ? deadline - now : 0;
    atomic_store(&c->deadline_ns, UINT64_MAX);
}

void eg_deadline_go_on(eg_connection *c)
{
    if (c->left_ns < UINT64_MAX / 2) /* else it was cut */
        atomic_store(&c->deadline_ns, eg_clock_monotonic_ns() + c->left_ns);
}
