/* See watch.h. No wake-up is lost: one who waits is counted before it looks, and a ring comes after
 * what it tells of was written; so either the one who waits sees it, or the ringer sees that
 * somebody waits, and the lock puts the two in order. */
#include "engram/watch.h"

#include <time.h>

#include "base/clock.h"

void eg_watch_init(eg_watch *w)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->herald, &monotonic);
    pthread_cond_init(&w->others, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&w->lock, NULL);
    atomic_init(&w->waiting, 0);
    w->has_herald = false;
}

void eg_watch_fini(eg_watch *w)
{
    pthread_cond_destroy(&w->herald);
    pthread_cond_destroy(&w->others);
    pthread_mutex_destroy(&w->lock);
}

void eg_watch_ring(eg_watch *w)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&w->waiting) == 0)
        return;
    pthread_mutex_lock(&w->lock);
    pthread_cond_signal(&w->herald);
    pthread_mutex_unlock(&w->lock);
}

/* Under the lock, as the herald when there is none. */
static void sleep_until(eg_watch *w, uint64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                   .tv_nsec = (long)(deadline_ns % 1000000000u)};
    if (w->has_herald) {
        pthread_cond_timedwait(&w->others, &w->lock, &until);
        return;
    }
    w->has_herald = true;
    pthread_cond_timedwait(&w->herald, &w->lock, &until);
    w->has_herald = false;
    pthread_cond_broadcast(&w->others);
}

bool eg_watch_wait(eg_watch *w, bool (*has_come)(void *context), void *context,
                   uint64_t deadline_ns)
{
    bool come;
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&w->waiting, 1);
    atomic_thread_fence(memory_order_seq_cst);
    while (!(come = has_come(context)) && eg_clock_monotonic_ns() < deadline_ns)
        sleep_until(w, deadline_ns);
    atomic_fetch_sub(&w->waiting, 1);
    if (!w->has_herald)
        pthread_cond_signal(&w->others);
    pthread_mutex_unlock(&w->lock);
    return come;
}
