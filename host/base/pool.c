/* Each eg_pool_run puts a job, which lives on its caller's stack, on the pool's list, works on it
 * until no index is left, takes it off the list and sleeps until the workers inside have left.
 *
 * The mutex guards the list and each job's members and inside; indices are handed out by an
 * atomic add alone. The caller is worker 0 of its job, and a worker that joins gets the next
 * number. A worker leaves only when the indices have run out and never joins then, so numbers
 * stay below the width. A thread only ever waits for a job that its own task started, and jobs
 * nest finitely, so somebody always runs. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/memory.h"

typedef struct pool_job {
    struct pool_job *next;
    eg_pool_task *task;
    void *context;
    size_t count;
    atomic_size_t index;  /* the next to hand out */
    size_t members;       /* worker numbers given, the caller's included */
    size_t inside;        /* workers in it now, the caller not included */
    pthread_cond_t empty; /* inside fell to 0 */
} pool_job;

struct eg_pool {
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    pool_job *jobs;
    bool stopping;
    size_t thread_count; /* the callers' threads not included */
    pthread_t threads[];
};

static void work_on(pool_job *job, size_t worker)
{
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&job->index, 1, memory_order_relaxed);
        if (index >= job->count)
            return;
        job->task(job->context, index, worker);
    }
}

/* The job that has fewest workers, among those with indices left; NULL: none. */
static pool_job *choose_job(eg_pool *pool)
{
    pool_job *best = NULL;
    for (pool_job *job = pool->jobs; job; job = job->next) {
        bool has_more = atomic_load_explicit(&job->index, memory_order_relaxed) < job->count;
        if (has_more && (best == NULL || job->inside < best->inside))
            best = job;
    }
    return best;
}

static void join_job(eg_pool *pool, pool_job *job)
{
    size_t worker = job->members++;
    job->inside++;
    pthread_mutex_unlock(&pool->mutex);
    work_on(job, worker);
    pthread_mutex_lock(&pool->mutex);
    if (--job->inside == 0)
        pthread_cond_signal(&job->empty);
}

static void *worker_main(void *argument)
{
    eg_pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        pool_job *job = choose_job(pool);
        if (job)
            join_job(pool, job);
        else
            pthread_cond_wait(&pool->has_work, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static size_t count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (size_t)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

/* Starts the threads with all signals blocked: signals are for the program's own threads. */
static int start_threads(eg_pool *pool, size_t count)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int os_error = 0;
    while (os_error == 0 && pool->thread_count < count) {
        os_error = pthread_create(&pool->threads[pool->thread_count], NULL, worker_main, pool);
        if (os_error == 0)
            pool->thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return os_error;
}

engram_status eg_pool_create(size_t threads, eg_pool **pool, engram_error *error)
{
    enum { THREADS_MAX = 4096 };
    *pool = NULL;
    size_t width = threads ? threads : count_cores();
    if (width > THREADS_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%zu threads are too many: at most %d", width,
                       THREADS_MAX);
    eg_pool *p = eg_alloc(sizeof *p + (width - 1) * sizeof(pthread_t));
    if (p == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a pool of %zu threads", width);
    *p = (eg_pool){.mutex = PTHREAD_MUTEX_INITIALIZER, .has_work = PTHREAD_COND_INITIALIZER};
    int os_error = start_threads(p, width - 1);
    if (os_error != 0) {
        size_t started = p->thread_count;
        eg_pool_free(p);
        return eg_fail_os(error, os_error, "cannot start thread %zu of %zu", started + 1,
                          width - 1);
    }
    *pool = p;
    return ENGRAM_OK;
}

void eg_pool_free(eg_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->has_work);
    pthread_mutex_destroy(&pool->mutex);
    eg_free(pool);
}

size_t eg_pool_width(const eg_pool *pool)
{
    return pool ? pool->thread_count + 1 : 1;
}

static void post_job(eg_pool *pool, pool_job *job)
{
    pthread_mutex_lock(&pool->mutex);
    job->next = pool->jobs;
    pool->jobs = job;
    if (job->count > pool->thread_count)
        pthread_cond_broadcast(&pool->has_work);
    else
        for (size_t i = 1; i < job->count; i++)
            pthread_cond_signal(&pool->has_work);
    pthread_mutex_unlock(&pool->mutex);
}

static void retire_job(eg_pool *pool, pool_job *job)
{
    pthread_mutex_lock(&pool->mutex);
    pool_job **link = &pool->jobs;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    while (job->inside > 0)
        pthread_cond_wait(&job->empty, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    pthread_cond_destroy(&job->empty);
}

void eg_pool_run(eg_pool *pool, size_t count, eg_pool_task *task, void *context)
{
    if (pool == NULL || pool->thread_count == 0 || count < 2) {
        for (size_t i = 0; i < count; i++)
            task(context, i, 0);
        return;
    }
    pool_job job = {.task = task,
                    .context = context,
                    .count = count,
                    .members = 1,
                    .empty = PTHREAD_COND_INITIALIZER};
    post_job(pool, &job);
    work_on(&job, 0);
    retire_job(pool, &job);
}
