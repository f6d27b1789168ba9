/* The operations that are measured. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/bench.h"

enum { RUNS_MAX = 1000, QUERY_K = 10, SHORTEST_US = 2000, DATA_MAX = 256 << 20 };
enum { CACHED_ROWS = 200000 }; /* 50 MB: fewer may stay in a cache between two runs */

typedef engram_status timed(void *context, engram_error *error);

typedef struct timing {
    double median, p99; /* seconds */
} timing;

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Calls that are shorter than the clock can tell are timed several at once. */
static engram_status measure(unsigned runs, timed *function, void *context, timing *t,
                             engram_error *error)
{
    double seconds[RUNS_MAX];
    runs = runs < RUNS_MAX ? runs : RUNS_MAX;
    EG_TRY(function(context, error)); /* warm */
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(function(context, error));
    double once = eg_seconds_since(start) + 1e-9;
    unsigned times = once < SHORTEST_US / 1e6 ? (unsigned)(SHORTEST_US / 1e6 / once) + 1 : 1;
    for (unsigned i = 0; i < runs; i++) {
        start = eg_clock_monotonic_ns();
        for (unsigned n = 0; n < times; n++)
            EG_TRY(function(context, error));
        seconds[i] = eg_seconds_since(start) / times;
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
    double cycles;      /* of a core, that one of the unit takes at least */
    double bytes;       /* of memory, that are read for one of the unit; 0: not what counts */
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
    double core = b->limits.core_cycles * (double)b->limits.threads / o->cycles;
    double memory = o->bytes > 0 ? b->limits.read_bytes / o->bytes : core;
    return memory < core ? memory : core;
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
    if (o->rows != 0)
        eg_json_put(object, "layout", json_string(eg_bench_layout_name(b)));
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

static engram_status encode_batch(eg_bench *b, const char *input, const uint8_t *bytes, size_t size,
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

/* Batches of 1, 16 and 256 chunks, and everything at once. */
static engram_status encode_input(eg_bench *b, const char *input, const uint8_t *bytes, size_t size,
                                  engram_error *error)
{
    for (size_t batch = 1; batch <= 256 && batch * EG_BENCH_CHUNK < size; batch *= 16)
        EG_TRY(encode_batch(b, input, bytes, batch * EG_BENCH_CHUNK, error));
    return encode_batch(b, input, bytes, size, error);
}

engram_status eg_bench_encode(eg_bench *bench, engram_error *error)
{
    EG_TRY(encode_input(bench, "random", bench->random, bench->random_size, error));
    if (bench->data == NULL)
        return ENGRAM_OK;
    return encode_input(bench, "data", bench->data, bench->data_size < DATA_MAX ? bench->data_size : DATA_MAX, error);
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

static engram_status bundle_batch(eg_bench *b, uint32_t *counters, size_t count, engram_error *error)
{
    bundle_call c = {.bench = b, .counters = counters, .count = count};
    outcome o = {.op = "bundle",
                 .input = "uniform",
                 .unit = "vectors/s",
                 .batch = count,
                 .amount = (double)count,
                 .cycles = ENGRAM_BLOCKS};
    EG_TRY(measure(b->runs, call_bundle, &c, &o.time, error));
    add_result(b, &o);
    return ENGRAM_OK;
}

engram_status eg_bench_bundle(eg_bench *bench, engram_error *error)
{
    static const size_t batches[] = {64, 1024, 16384, 100000};
    uint32_t *counters = eg_alloc_zero(ENGRAM_BLOCKS * ENGRAM_SYMBOLS, sizeof *counters);
    engram_status status = counters != NULL ? ENGRAM_OK : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof batches / sizeof *batches && status == ENGRAM_OK; i++)
        status = bundle_batch(bench, counters, batches[i], error);
    eg_free(counters);
    return status;
}

typedef struct query_call {
    eg_arena *arena;
    const uint8_t *queries;
    size_t count;
    uint32_t minimum;
    eg_hit *hits;
    uint32_t *counts;
} query_call;

static engram_status call_query(void *context, engram_error *error)
{
    query_call *c = context;
    return eg_arena_top_k(c->arena, c->queries, c->count, NULL, QUERY_K, c->minimum, c->hits, c->counts,
                          error);
}

/* What is asked, and of what. */
typedef struct population {
    const char *input;
    eg_vectors vectors;
    const uint8_t *queries; /* EG_BENCH_QUERIES_MAX, in rows */
} population;

static engram_status query_batch(eg_bench *b, const population *p, eg_arena *arena, size_t batch, uint32_t minimum,
                                 engram_error *error)
{
    query_call c = {.arena = arena, .queries = p->queries, .count = batch, .minimum = minimum};
    outcome o = {.op = minimum == 1 ? "query" : "min0.5",
                 .input = p->input,
                 .unit = "pairs/s",
                 .batch = batch,
                 .rows = p->vectors.count,
                 .amount = (double)p->vectors.count * (double)batch,
                 .cycles = ENGRAM_BLOCKS / 64.0,
                 .bytes = p->vectors.count > CACHED_ROWS ? (double)ENGRAM_BLOCKS / (double)batch : 0};
    c.hits = eg_alloc(batch * QUERY_K * sizeof *c.hits);
    c.counts = eg_alloc(batch * sizeof *c.counts);
    engram_status status = c.hits != NULL && c.counts != NULL
                               ? measure(b->runs, call_query, &c, &o.time, error)
                               : eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    if (status == ENGRAM_OK)
        add_result(b, &o);
    eg_free(c.hits);
    eg_free(c.counts);
    return status;
}

static engram_status query_population(eg_bench *b, const population *p, engram_error *error)
{
    eg_arena *arena = NULL;
    EG_TRY(eg_arena_create(b->device, &arena, error));
    engram_status status = eg_arena_append(arena, p->vectors, error);
    for (size_t i = 0; b->batches[i] != 0 && status == ENGRAM_OK; i++)
        status = query_batch(b, p, arena, b->batches[i] < EG_BENCH_QUERIES_MAX ? b->batches[i] : EG_BENCH_QUERIES_MAX, 1, error);
    if (status == ENGRAM_OK)
        status = query_batch(b, p, arena, 1, engram_matches_from_jaccard(0.5), error);
    eg_arena_free(arena);
    return status;
}

/* Real chunks are asked about that are not among the rows. */
static engram_status query_real(eg_bench *b, engram_error *error)
{
    if (b->real == NULL)
        return ENGRAM_OK;
    population p = {"real", {b->real, b->real_count, 0, b->real_count, b->layout}, b->real_queries};
    return query_population(b, &p, error);
}

engram_status eg_bench_query(eg_bench *bench, engram_error *error)
{
    for (size_t i = 0; bench->rows[i] != 0; i++) {
        population p = {"uniform", eg_bench_uniform(bench, bench->rows[i]), bench->random};
        EG_TRY(query_population(bench, &p, error));
    }
    EG_TRY(query_real(bench, error));
    return eg_bench_callers(bench, error);
}
