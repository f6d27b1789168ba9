/* A fixed set of worker threads that run loops in parallel.
 *
 * Any number of threads may call eg_pool_run at once; each call's indices are shared out one at a
 * time among the workers and the calling thread itself, so a pool of 0 workers is a plain loop
 * and nested calls cannot deadlock. */
#ifndef EG_BASE_POOL_H
#define EG_BASE_POOL_H

#include <stddef.h>

#include "base/status.h"

typedef struct eg_pool eg_pool;

/* worker: 0 .. eg_pool_width(pool) - 1, distinct among the threads running at the same time
 * within one eg_pool_run call: for per-worker scratch. */
typedef void eg_pool_task(void *context, size_t index, size_t worker);

/* threads: how many run at once, the caller included (0: as many as there are cores). */
engram_status eg_pool_create(size_t threads, eg_pool **pool, engram_error *error);
void eg_pool_free(eg_pool *pool);
size_t eg_pool_width(const eg_pool *pool);
/* Runs task for 0 <= index < count; returns when all are done. pool may be NULL: a plain loop. */
void eg_pool_run(eg_pool *pool, size_t count, eg_pool_task *task, void *context);

#endif
