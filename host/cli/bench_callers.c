/* Many callers of one device: single queries from several threads through a batcher, beside one
 * thread that asks alone. The two take turns, so that what else the machine does meets both. */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"
#include "compute/batcher.h"

enum { CALLERS = 8, ROUNDS = 5, CALLS = 12, QUERY_K = 10, SAMPLES = ROUNDS * CALLERS * CALLS, ROWS_MAX = 1000000 };

typedef struct caller {
    struct crowd *crowd;
    unsigned number;
    engram_status status;
    engram_error error;
    pthread_t thread;
} caller;

typedef struct crowd {
    eg_bench *bench;
    eg_arena *arena;
    eg_batcher *batcher;
    double seconds[SAMPLES]; /* of each call */
    size_t samples, first;   /* first: of this round */
    size_t width;
    double rates[ROUNDS]; /* calls a second */
    caller callers[CALLERS];
} crowd;

static void *call_in_turn(void *argument)
{
    caller *c = argument;
    crowd *all = c->crowd;
    for (unsigned i = 0; i < CALLS && c->status == ENGRAM_OK; i++) {
        eg_hit hits[QUERY_K];
        uint32_t count;
        const uint8_t *query = all->bench->random + (c->number * CALLS + i) * ENGRAM_BLOCKS;
        uint64_t start = eg_clock_monotonic_ns();
        c->status = eg_batcher_top_k(all->batcher, all->arena, query, 1, NULL, QUERY_K, 1, hits,
                                     &count, &c->error);
        all->seconds[all->first + c->number * CALLS + i] = eg_seconds_since(start);
    }
    return NULL;
}

static engram_status run_round(crowd *all, unsigned round, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    size_t started = 0;
    int os_error = 0;
    uint64_t start = eg_clock_monotonic_ns();
    all->first = all->samples;
    while (started < all->width && os_error == 0) {
        caller *c = &all->callers[started];
        *c = (caller){.crowd = all, .number = (unsigned)started};
        os_error = pthread_create(&c->thread, NULL, call_in_turn, c);
        started += os_error == 0;
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(all->callers[i].thread, NULL);
    double seconds = eg_seconds_since(start);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot start a thread");
    for (size_t i = 0; i < started && status == ENGRAM_OK; i++)
        if ((status = all->callers[i].status) != ENGRAM_OK)
            *error = all->callers[i].error;
    all->samples += started * CALLS;
    all->rates[round] = (double)(started * CALLS) / seconds;
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort(crowd *c)
{
    qsort(c->seconds, c->samples, sizeof *c->seconds, compare_doubles);
    qsort(c->rates, ROUNDS, sizeof *c->rates, compare_doubles);
}

static double p99_of(const crowd *c)
{
    return c->seconds[(c->samples * 99 + 99) / 100 - 1];
}

/* The most of --rows, but no more than tell something. */
static size_t rows_of(const eg_bench *b)
{
    size_t most = 0;
    for (size_t i = 0; b->rows[i] != 0; i++)
        most = b->rows[i] > most ? b->rows[i] : most;
    return most < ROWS_MAX ? most : ROWS_MAX;
}

static void add_result(const crowd *c, const crowd *alone)
{
    eg_bench *b = c->bench;
    const eg_device_info *info = eg_device_get_info(b->device);
    double rate = c->rates[ROUNDS / 2], median = c->seconds[c->samples / 2];
    double speedup = rate / alone->rates[ROUNDS / 2];
    double delay = p99_of(c) / alone->seconds[alone->samples / 2];
    eg_batcher_metrics m;
    eg_device_stats stats;
    json_t *object = json_object();
    eg_batcher_get_metrics(c->batcher, EG_OPERATION_TOP_K, &m);
    eg_device_get_stats(b->device, &stats);
    eg_json_put(object, "op", json_string("callers"));
    eg_json_put(object, "input", json_string("uniform"));
    eg_json_put(object, "device", json_string(info->spec));
    eg_json_put(object, "device_used", json_string(stats.device_used));
    eg_json_put_number(object, "fallback_batches", stats.fallback_batches);
    eg_json_put_number(object, "threads", b->limits.threads);
    eg_json_put_number(object, "callers", c->width);
    eg_json_put_number(object, "rows", rows_of(b));
    eg_json_put(object, "layout", json_string(eg_bench_layout_name(b)));
    eg_json_put_number(object, "calls", c->samples);
    eg_json_put(object, "value", json_real(rate));
    eg_json_put(object, "unit", json_string("queries/s"));
    eg_json_put(object, "speedup", json_real(speedup));
    eg_json_put(object, "seconds_median", json_real(median));
    eg_json_put(object, "seconds_p99", json_real(p99_of(c)));
    eg_json_put(object, "p99_by_median_alone", json_real(delay));
    eg_json_put_number(object, "batches", m.batches);
    eg_json_put_number(object, "closed_full", m.closed_full);
    eg_json_put_number(object, "closed_idle", m.closed_idle);
    eg_json_put_number(object, "closed_delay", m.closed_delay);
    eg_json_put(object, "mean_batch", json_real(m.mean_batch));
    eg_json_put(b->results, NULL, object);
    eg_output_say(b->cli,
                  "%-7s %-8s %-12s %7zu %7zu %8zu  %10.1f queries/s, %.2f times one alone; median "
                  "%.3f ms, p99 %.3f ms: %.2f times the median alone; mean batch %.1f\n",
                  "callers", "uniform", info->spec, b->limits.threads, c->width, rows_of(b),
                  rate, speedup, median * 1e3, p99_of(c) * 1e3, delay, m.mean_batch);
}

/* In turns; the first of each is not counted. */
static engram_status run_both(crowd *alone, crowd *many, engram_error *error)
{
    EG_TRY(run_round(alone, 0, error));
    EG_TRY(run_round(many, 0, error));
    alone->samples = many->samples = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        EG_TRY(run_round(alone, round, error));
        EG_TRY(run_round(many, round, error));
    }
    return ENGRAM_OK;
}

static engram_status run_crowds(eg_bench *b, crowd crowds[2], engram_error *error)
{
    for (unsigned i = 0; i < 2; i++) {
        crowds[i].bench = b;
        crowds[i].width = i == 0 ? 1 : CALLERS;
        EG_TRY(eg_batcher_create(b->device, NULL, &crowds[i].batcher, error));
        EG_TRY(eg_arena_create(b->device, &crowds[i].arena, error));
        EG_TRY(eg_arena_append(crowds[i].arena, eg_bench_uniform(b, rows_of(b)), error));
    }
    EG_TRY(run_both(&crowds[0], &crowds[1], error));
    sort(&crowds[0]);
    sort(&crowds[1]);
    add_result(&crowds[0], &crowds[0]);
    add_result(&crowds[1], &crowds[0]);
    return ENGRAM_OK;
}

engram_status eg_bench_callers(eg_bench *bench, engram_error *error)
{
    crowd *crowds = eg_alloc_zero(2, sizeof *crowds);
    if (crowds == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = run_crowds(bench, crowds, error);
    for (unsigned i = 0; i < 2; i++) {
        eg_arena_free(crowds[i].arena);
        eg_batcher_free(crowds[i].batcher);
    }
    eg_free(crowds);
    return status;
}
