/* Who leads, and when.
 *
 * The oldest call of a lane leads as soon as no batch of the lane is running. Nothing is handed
 * over: whoever ends a batch wakes the oldest call, which sees for itself that it is its turn, and
 * a call that comes to an idle lane is the oldest. All under the lane's lock, which is not held
 * while a batch runs; the calls of a batch are in no queue then, and its leader alone touches them
 * and the lane's room. A call is its caller's again, stack and all, once is_done is set and the
 * lock let go.
 *
 * Each lane waits, or does not, for itself: see is_due. */
#include "compute/batcher.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "compute/batch.h"

enum {
    QUERIES_MAX = 64,
    CHUNKS_MAX = 1024,
    DELAY_MAX_US = 5000,
    WAIT_SHARE = 8,      /* of what the last batch took, one part */
    WAIT_NS_MIN = 20000, /* what it takes to sleep and be woken: no less is worth it */
    MISSES_MAX = 8,      /* waits in a row that nobody joined */
    PAUSE_BATCHES = 256  /* that are not waited for then */
};

typedef struct lane {
    pthread_mutex_t lock;
    eg_device *device;
    eg_operation operation;
    size_t items_max;
    uint64_t delay_max_ns; /* 0: never waits */
    eg_calls queue;
    bool is_busy; /* a batch runs */
    eg_batch_room room;
    /* The wait. */
    size_t expected;   /* calls */
    uint64_t deadline; /* for them */
    uint32_t misses, pause;
    eg_batcher_metrics metrics;
} lane;

struct eg_batcher {
    eg_device *device;
    lane top_k, encode;
};

static void lane_init(lane *l, eg_device *device, eg_operation operation, size_t items_max,
                      const eg_batcher_options *o)
{
    uint64_t delay_us = o->delay_max_us != 0 ? o->delay_max_us : DELAY_MAX_US;
    l->device = device;
    l->operation = operation;
    l->items_max = items_max;
    l->delay_max_ns = o->never_waits ? 0 : delay_us * 1000;
    pthread_mutex_init(&l->lock, NULL);
}

static void lane_fini(lane *l)
{
    assert(l->queue.count == 0 && !l->is_busy);
    eg_batch_room_fini(&l->room);
    pthread_mutex_destroy(&l->lock);
}

engram_status eg_batcher_create(eg_device *device, const eg_batcher_options *options,
                                eg_batcher **batcher, engram_error *error)
{
    const eg_batcher_options o = options != NULL ? *options : (eg_batcher_options){0};
    eg_batcher *b = *batcher = eg_alloc_zero(1, sizeof *b);
    if (b == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a batcher");
    b->device = device;
    lane_init(&b->top_k, device, EG_OPERATION_TOP_K,
              o.queries_max != 0 ? o.queries_max : QUERIES_MAX, &o);
    lane_init(&b->encode, device, EG_OPERATION_ENCODE,
              o.chunks_max != 0 ? o.chunks_max : CHUNKS_MAX, &o);
    return ENGRAM_OK;
}

void eg_batcher_free(eg_batcher *batcher)
{
    if (batcher == NULL)
        return;
    lane_fini(&batcher->top_k);
    lane_fini(&batcher->encode);
    eg_free(batcher);
}

/* ---- the wait ---- */

static bool all_came(const lane *l)
{
    return l->queue.count >= l->expected || l->queue.items >= l->items_max;
}

/* Whether a batch may begin, the lane being idle. */
static bool is_due(const lane *l)
{
    return all_came(l) || eg_clock_monotonic_ns() >= l->deadline;
}

/* A batch has ended. Its callers are of no use to a next one that has to do something else. */
static void expect(lane *l, const eg_calls *ended, uint64_t took_ns)
{
    const eg_call *oldest = l->queue.head;
    uint64_t wait_ns = took_ns / WAIT_SHARE;
    wait_ns = wait_ns < l->delay_max_ns ? wait_ns : l->delay_max_ns;
    l->expected = 0;
    if (l->pause > 0)
        l->pause--;
    else if (wait_ns >= WAIT_NS_MIN &&
             (oldest == NULL || eg_calls_agree(oldest, ended->head, l->operation)))
        l->expected = l->queue.count + ended->count;
    if (oldest != NULL)
        l->queue.head->has_waited = true; /* at least until it wakes up */
    l->deadline = eg_clock_monotonic_ns() + wait_ns;
}

static void judge_wait(lane *l, bool has_gained)
{
    l->misses = has_gained ? 0 : l->misses + 1;
    if (l->misses < MISSES_MAX)
        return;
    l->misses = MISSES_MAX / 2;
    l->pause = PAUSE_BATCHES;
}

/* The oldest call sleeps until all have come or the deadline; see join. */
static void wait_for_others(lane *l, eg_call *call)
{
    uint64_t start = eg_clock_monotonic_ns();
    size_t before = l->queue.count;
    const struct timespec until = {.tv_sec = (time_t)(l->deadline / 1000000000u),
                                   .tv_nsec = (long)(l->deadline % 1000000000u)};
    while (!is_due(l))
        pthread_cond_timedwait(&call->woken, &l->lock, &until);
    call->has_waited = true;
    judge_wait(l, l->queue.count > before);
    l->metrics.waits++;
    l->metrics.wait_ns += eg_clock_monotonic_ns() - start;
}

/* ---- batches ---- */

static void count_batch(lane *l, const eg_calls *batch, bool is_full, bool is_late)
{
    eg_batcher_metrics *m = &l->metrics;
    m->batches++;
    m->calls += batch->count;
    m->items += batch->items;
    if (is_full)
        m->closed_full++;
    else if (is_late)
        m->closed_delay++;
    else
        m->closed_idle++;
}

/* Wakes the callers of a batch, and the one who leads the next first. */
static void release(lane *l, const eg_calls *batch, engram_status status, const engram_error *error)
{
    if (l->queue.head != NULL)
        pthread_cond_signal(&l->queue.head->woken);
    for (eg_call *call = batch->head, *next; call != NULL; call = next) {
        next = call->next;
        call->status = status;
        call->error = *error;
        call->is_done = true;
        pthread_cond_signal(&call->woken);
    }
}

static void run_batch(lane *l, const eg_call *leader)
{
    engram_error error = {0};
    bool is_full, is_late = leader->has_waited && !all_came(l);
    eg_calls batch = eg_calls_take(&l->queue, l->operation, l->items_max, &is_full);
    count_batch(l, &batch, is_full, is_late);
    l->is_busy = true;
    pthread_mutex_unlock(&l->lock);
    uint64_t start = eg_clock_monotonic_ns();
    engram_status status = eg_batch_run(l->device, l->operation, &batch, &l->room, &error);
    uint64_t took_ns = eg_clock_monotonic_ns() - start;
    pthread_mutex_lock(&l->lock);
    l->is_busy = false;
    expect(l, &batch, took_ns);
    release(l, &batch, status, &error);
}

/* ---- callers ---- */

static void join(lane *l, eg_call *call)
{
    eg_calls_add(&l->queue, call);
    if (!l->is_busy && l->queue.head != call && all_came(l))
        pthread_cond_signal(&l->queue.head->woken);
}

static void call_init(eg_call *call)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&call->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static engram_status submit(lane *l, eg_call *call, engram_error *error)
{
    call_init(call);
    pthread_mutex_lock(&l->lock);
    join(l, call);
    while (!call->is_done) {
        if (l->is_busy || l->queue.head != call)
            pthread_cond_wait(&call->woken, &l->lock);
        else if (!is_due(l))
            wait_for_others(l, call);
        else
            run_batch(l, call);
    }
    pthread_mutex_unlock(&l->lock);
    pthread_cond_destroy(&call->woken);
    if (call->status != ENGRAM_OK && error != NULL && error->status == ENGRAM_OK)
        *error = call->error;
    return call->status;
}

engram_status eg_batcher_top_k(eg_batcher *batcher, eg_arena *arena, const uint8_t *queries,
                               size_t query_count, const uint64_t *live, uint32_t k,
                               uint32_t minimum, eg_hit *hits, uint32_t *counts,
                               engram_error *error)
{
    eg_call call = {.count = query_count,
                    .arena = arena,
                    .scan = {queries, query_count, live, k, minimum},
                    .hits = hits,
                    .numbers = counts};
    /* What is refused must not be refused to others. */
    if (k == 0 || k > EG_TOP_K_MAX || query_count == 0)
        return eg_arena_top_k(arena, queries, query_count, live, k, minimum, hits, counts, error);
    return submit(&batcher->top_k, &call, error);
}

engram_status eg_batcher_encode(eg_batcher *batcher, const engram_codebook *codebook,
                                const eg_view *chunks, size_t count, uint8_t *vectors,
                                uint32_t *spreads, engram_error *error)
{
    if (count == 0)
        return ENGRAM_OK;
    eg_call call = {.count = count,
                    .codebook = codebook,
                    .chunks = chunks,
                    .vectors = vectors,
                    .numbers = spreads};
    return submit(&batcher->encode, &call, error);
}

void eg_batcher_get_metrics(eg_batcher *batcher, eg_operation operation,
                            eg_batcher_metrics *metrics)
{
    lane *l = operation == EG_OPERATION_ENCODE ? &batcher->encode : &batcher->top_k;
    pthread_mutex_lock(&l->lock);
    *metrics = l->metrics;
    metrics->waiting = l->queue.count;
    metrics->waiting_pays = l->delay_max_ns != 0 && l->pause == 0;
    pthread_mutex_unlock(&l->lock);
    metrics->mean_batch =
        metrics->batches != 0 ? (double)metrics->calls / (double)metrics->batches : 0;
}
