/* Those who wait for the next version.
 *
 * Whoever publishes a version pays as little as can be: while nobody waits it reads a number, else it wakes one thread, the
 * herald, which wakes the rest. The herald is any of those who wait; when it leaves, another one takes its place. */
#ifndef EG_ENGRAM_WATCH_H
#define EG_ENGRAM_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct eg_watch {
    atomic_uint waiting;
    pthread_mutex_t lock; /* guards the rest; held for moments */
    pthread_cond_t herald, others;
    bool has_herald;
} eg_watch;

void eg_watch_init(eg_watch *watch);
/* Nobody waits. */
void eg_watch_fini(eg_watch *watch);
/* What is waited for may have come about: it was written before this call. */
void eg_watch_ring(eg_watch *watch);
/* Until has_come says so, which is asked under the lock, or the deadline, by the monotonic clock, is over. Returns what
 * has_come said last. */
bool eg_watch_wait(eg_watch *watch, bool (*has_come)(void *context), void *context, uint64_t deadline_ns);

#endif
