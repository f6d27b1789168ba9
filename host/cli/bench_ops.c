/* The operations that are measured. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"

enum { RUNS_MAX = 1000, QUERY_K = 10, QUERY_BATCH = 64 };

typedef engram_status timed(void *context, engram_error *error);

typedef struct timing {
    double median, p99; /* seconds */
} timing;

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static engram_status measure(unsigned runs, timed *function, void *context, timing *t,
                             engram_error *error)
{
    double seconds[RUNS_MAX];
    runs = runs < RUNS_MAX ? runs : RUNS_MAX;
    EG_TRY(function(context, error)); /* warm */
    for (unsigned i = 0; i < runs; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        EG_TRY(function(context, error));
        seconds[i] = eg_seconds_since(start);
    }
    qsort(seconds, runs, sizeof *seconds, compare_seconds);
    t->median = (seconds[(runs - 1) / 2] + seconds[runs / 2]) / 2;
    t->p99 = seconds[(runs * 99 + 99) / 100 - 1];
    return ENGRAM_OK;
}

typedef struct outcome {
    const char *op, *input, *unit;
    size_t batch, rows; /* things in one call; vectors that are scanned, or 0 */
    double amount;      /* of the unit, in one call */
    double cycles;      /* of a core, that one of the unit takes at least; or 0: */
    double bytes;       /* of memory, that are read for one of the unit */
    timing time;
} outcome;

/* OpenCL on the CPU has its own threads. */
static size_t threads_of(const eg_bench *b, const eg_device_info *info)
{
    return strcmp(info->backend, "cpu") == 0 ? b->limits.threads : info->compute_units;
}

/* Of the unit, a second; 0 when what was measured is not what limits this device. */
static double limit_of(const eg_bench *b, const outcome *o, const eg_device_info *info)
{
    if (info->is_gpu || threads_of(b, info) != b->limits.threads)
        return 0;
    if (o->cycles != 0)
        return b->limits.core_cycles * (double)b->limits.threads / o->cycles;
    return b->limits.read_bytes / o->bytes;
}

static void say(const eg_bench *b, const outcome *o, const eg_device_info *info, double value,
                double limit_value)
{
    char limit[EG_TEXT_SIZE] = "-", ratio[EG_TEXT_SIZE] = "-";
    double scale = strcmp(o->unit, "vectors/s") == 0 ? 1e6 : 1e9;
    const char *unit = strcmp(o->unit, "bytes/s") == 0 ? "GB/s"
                       : scale == 1e6                  ? "M vectors/s"
                                                       : "G pairs/s";
    if (limit_value != 0) {
        snprintf(limit, sizeof limit, "%.3f", limit_value / scale);
        snprintf(ratio, sizeof ratio, "%.2f", value / limit_value);
    }
    eg_output_say(b->cli, "%-7s %-8s %-12s %7zu %7zu %8zu  %10.3f %-11s %10s %6s %11.3f %11.3f\n",
                  o->op, o->input, info->spec, threads_of(b, info), o->batch, o->rows,
                  value / scale, unit, limit, ratio, o->time.median * 1e3, o->time.p99 * 1e3);
}

static void add_result(eg_bench *b, const outcome *o)
{
    const eg_device_info *info = eg_device_get_info(b->device);
    eg_device_stats stats;
    json_t *object = json_object();
    eg_bench_update_limits(b);
    double value = o->amount / o->time.median, limit = limit_of(b, o, info);
    eg_device_get_stats(b->device, &stats);
    eg_json_put(object, "op", json_string(o->op));
    eg_json_put(object, "input", json_string(o->input));
    eg_json_put(object, "device", json_string(info->spec));
    eg_json_put(object, "device_used", json_string(stats.device_used));
    eg_json_put_number(object, "fallback_batches", stats.fallback_batches);
    eg_json_put_number(object, "threads", threads_of(b, info));
    eg_json_put_number(object, "batch", o->batch);
    eg_json_put_number(object, "rows", o->rows);
    eg_json_put_number(object, "runs", b->runs);
    eg_json_put(object, "value", json_real(value));
    eg_json_put(object, "unit", json_string(o->unit));
    eg_json_put(object, "limit", limit == 0 ? json_null() : json_real(limit));
    eg_json_put(object, "ratio", limit == 0 ? json_null() : json_real(value / limit));
    eg_json_put(object, "seconds_median", json_real(o->time.median));
    eg_json_put(object, "seconds_p99", json_real(o->time.p99));
    eg_json_put(b->results, NULL, object);
    say(b, o, info, value, limit);
}

typedef struct encode_call {
    eg_device *device;
    engram_codebook codebook;
    eg_view *chunks;
    size_t count;
    uint8_t *vectors;
    uint32_t *spreads;
} encode_call;

static engram_status call_encode(void *context, engram_error *error)
{
    encode_call *c = context;
    return eg_device_encode(c->device, &c->codebook, c->chunks, c->count, c->vectors, c->spreads,
                            error);
}

static engram_status encode_input(eg_bench *b, const char *input, const uint8_t *bytes, size_t size,
                                  engram_error *error)
{
    encode_call c = {.device = b->device, .count = (size + EG_BENCH_CHUNK - 1) / EG_BENCH_CHUNK};
    outcome o = {.op = "encode",
                 .input = input,
                 .unit = "bytes/s",
                 .batch = c.count,
                 .amount = (double)size,
                 .cycles = 1.5};
    engram_codebook_init(&c.codebook, 0);
    c.chunks = eg_alloc_zero(c.count, sizeof *c.chunks);
    c.vectors = eg_alloc_aligned(64, c.count * ENGRAM_BLOCKS);
    c.spreads = eg_alloc_zero(c.count, sizeof *c.spreads);
    bool ok = c.chunks != NULL && c.vectors != NULL && c.spreads != NULL;
    for (size_t i = 0; i < c.count && ok; i++) {
        size_t at = i * EG_BENCH_CHUNK, left = size - at;
        c.chunks[i] = (eg_view){bytes + at, left < EG_BENCH_CHUNK ? left : EG_BENCH_CHUNK};
    }
    engram_status status = ok ? measure(b->runs, call_encode, &c, &o.time, error)
                              : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (status == ENGRAM_OK)
        add_result(b, &o);
    eg_free(c.chunks);
    eg_free(c.vectors);
    eg_free(c.spreads);
    return status;
}

engram_status eg_bench_encode(eg_bench *bench, engram_error *error)
{
    EG_TRY(encode_input(bench, "random", bench->random, bench->random_size, error));
    if (bench->data == NULL)
        return ENGRAM_OK;
    return encode_input(bench, "data", bench->data, bench->data_size, error);
}

typedef struct bundle_call {
    eg_bench *bench;
    uint32_t *counters;
    size_t count;
} bundle_call;

static engram_status call_bundle(void *context, engram_error *error)
{
    bundle_call *c = context;
    return eg_device_bundle(c->bench->device, c->counters, c->bench->vectors, c->count, 1, error);
}

engram_status eg_bench_bundle(eg_bench *bench, engram_error *error)
{
    bundle_call c = {.bench = bench,
                     .count = bench->vector_count < 100000 ? bench->vector_count : 100000};
    outcome o = {.op = "bundle",
                 .input = "uniform",
                 .unit = "vectors/s",
                 .batch = c.count,
                 .amount = (double)c.count,
                 .cycles = ENGRAM_BLOCKS};
    c.counters = eg_alloc_zero(ENGRAM_BLOCKS * ENGRAM_SYMBOLS, sizeof *c.counters);
    if (c.counters == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = measure(bench->runs, call_bundle, &c, &o.time, error);
    if (status == ENGRAM_OK)
        add_result(bench, &o);
    eg_free(c.counters);
    return status;
}

typedef struct query_call {
    eg_arena *arena;
    const uint8_t *queries;
    size_t count;
    eg_hit hits[QUERY_BATCH * QUERY_K];
    uint32_t counts[QUERY_BATCH];
} query_call;

static engram_status call_query(void *context, engram_error *error)
{
    query_call *c = context;
    return eg_arena_top_k(c->arena, c->queries, c->count, NULL, QUERY_K, 1, c->hits, c->counts,
                          error);
}

static engram_status query_rows(eg_bench *b, size_t rows, size_t batch, engram_error *error)
{
    query_call c = {.queries = b->random, .count = batch};
    outcome o = {.op = "query",
                 .input = "uniform",
                 .unit = "pairs/s",
                 .batch = batch,
                 .rows = rows,
                 .amount = (double)rows * (double)batch,
                 .cycles = batch == 1 ? 0 : ENGRAM_BLOCKS / 64.0,
                 .bytes = ENGRAM_BLOCKS};
    EG_TRY(eg_arena_create(b->device, &c.arena, error));
    engram_status status = eg_arena_append(c.arena, b->vectors, rows, error);
    if (status == ENGRAM_OK)
        status = measure(b->runs, call_query, &c, &o.time, error);
    eg_arena_free(c.arena);
    if (status == ENGRAM_OK)
        add_result(b, &o);
    return status;
}

engram_status eg_bench_query(eg_bench *bench, engram_error *error)
{
    static const size_t rows[] = {100000, 1000000}, batches[] = {1, QUERY_BATCH};
    for (size_t r = 0; r < 2; r++)
        for (size_t b = 0; b < 2; b++)
            if (rows[r] <= bench->vector_count)
                EG_TRY(query_rows(bench, rows[r], batches[b], error));
    return eg_bench_callers(bench, error);
}
