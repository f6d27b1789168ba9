/* Threads that run handlers, and the queue before them.
 *
 * As many as there should be commits that share a sync: a worker that commits waits for the disk, and costs nothing
 * meanwhile. A job is a part of a request's exchange, so the queue allocates nothing. What it may hold of requests that
 * have just begun is bounded; parts of one that is under way always find room. */
#ifndef EG_SERVE_WORKERS_H
#define EG_SERVE_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct eg_job {
    struct eg_job *next;
    void (*run)(struct eg_job *job);
} eg_job;

typedef struct eg_workers eg_workers;

engram_status eg_workers_start(size_t count, size_t queue_max, eg_workers **workers, engram_error *error);
/* False when the queue is full; always does when the job goes on with something. */
bool eg_workers_push(eg_workers *workers, eg_job *job, bool goes_on);
/* Runs what is queued, then ends the threads. Pushed jobs are run by the caller from then on. */
void eg_workers_stop(eg_workers *workers);
void eg_workers_free(eg_workers *workers);
void eg_workers_count(eg_workers *workers, size_t *waiting, size_t *busy);

#endif
