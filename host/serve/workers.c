/* Threads that run handlers: one mutex, one list, first come first served. */
#include "serve/workers.h"

#include <pthread.h>
#include <string.h>

#include "base/memory.h"

struct eg_workers {
    pthread_mutex_t lock; /* guards all below but the threads' own list */
    pthread_cond_t has_jobs;
    eg_job *first, **last;
    size_t waiting, busy, queue_max;
    bool stopping;
    size_t thread_count;
    pthread_t threads[];
};

static eg_job *pop(eg_workers *w)
{
    while (w->first == NULL && !w->stopping)
        pthread_cond_wait(&w->has_jobs, &w->lock);
    eg_job *job = w->first;
    if (job == NULL)
        return NULL;
    w->first = job->next;
    if (w->first == NULL)
        w->last = &w->first;
    w->waiting--;
    return job;
}

static void *work(void *context)
{
    eg_workers *w = context;
    pthread_mutex_lock(&w->lock);
    for (eg_job *job; (job = pop(w)) != NULL; w->busy--) {
        w->busy++;
        pthread_mutex_unlock(&w->lock);
        job->run(job);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

engram_status eg_workers_start(size_t count, size_t queue_max, eg_workers **workers,
                               engram_error *error)
{
    eg_workers *w = eg_alloc_zero(1, sizeof *w + count * sizeof *w->threads);
    *workers = w;
    if (w == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the workers");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->has_jobs, NULL);
    w->last = &w->first;
    w->queue_max = queue_max;
    for (; w->thread_count < count; w->thread_count++) {
        int failed = pthread_create(&w->threads[w->thread_count], NULL, work, w);
        if (failed != 0) {
            eg_fail_os(error, failed, "%zu workers cannot be started", count);
            eg_workers_free(w);
            *workers = NULL;
            return ENGRAM_BUSY;
        }
    }
    return ENGRAM_OK;
}

bool eg_workers_push(eg_workers *w, eg_job *job, bool goes_on)
{
    pthread_mutex_lock(&w->lock);
    bool alone = w->stopping;
    bool taken = alone || goes_on || w->waiting < w->queue_max;
    if (taken && !alone) {
        job->next = NULL;
        *w->last = job;
        w->last = &job->next;
        w->waiting++;
        pthread_cond_signal(&w->has_jobs);
    }
    pthread_mutex_unlock(&w->lock);
    if (alone)
        job->run(job);
    return taken;
}

void eg_workers_stop(eg_workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->has_jobs);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->thread_count; i++)
        pthread_join(w->threads[i], NULL);
    w->thread_count = 0;
}

void eg_workers_free(eg_workers *w)
{
    if (w == NULL)
        return;
    eg_workers_stop(w);
    pthread_cond_destroy(&w->has_jobs);
    pthread_mutex_destroy(&w->lock);
    eg_free(w);
}

void eg_workers_count(eg_workers *w, size_t *waiting, size_t *busy)
{
    pthread_mutex_lock(&w->lock);
    *waiting = w->waiting;
    *busy = w->busy;
    pthread_mutex_unlock(&w->lock);
}
