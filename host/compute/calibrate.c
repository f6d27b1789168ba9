/* Calibration: the best of three runs of each operation on each backend at three sizes. A device
 * gets an operation from the smallest size at which it won there and at every larger one. */
#include "compute/plan.h"

#include "base/clock.h"
#include "base/memory.h"

enum {
    SIZES = 3,
    RUNS = 3,
    CHUNK_SIZE = 16 << 10,
    CHUNKS = 256, /* 4 MiB */
    ROWS = 16384,
    QUERIES = 64,
    K = 16
};

static const size_t chunk_counts[SIZES] = {8, 64, CHUNKS};
static const size_t vector_counts[SIZES] = {256, 2048, ROWS};
static const size_t query_counts[SIZES] = {1, 8, QUERIES};

/* Inputs and outputs of all operations. */
typedef struct bench {
    engram_codebook codebook;
    uint8_t *bytes, *vectors;
    uint32_t *counters;
    eg_view chunks[CHUNKS];
    uint8_t encoded[CHUNKS * ENGRAM_BLOCKS];
    uint32_t spreads[CHUNKS], counts[QUERIES];
    eg_hit hits[QUERIES * K];
    eg_resident *resident; /* the timed backend's, while top_k is timed */
} bench;

static void fill_random(uint8_t *bytes, size_t size)
{
    uint64_t x = 1;
    for (size_t i = 0; i < size; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(x >> 56);
    }
}

static void bench_free(bench *b)
{
    if (b == NULL)
        return;
    eg_free(b->bytes);
    eg_free(b->vectors);
    eg_free(b->counters);
    eg_free(b);
}

static bench *bench_create(void)
{
    bench *b = eg_alloc_zero(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->bytes = eg_alloc((size_t)CHUNKS * CHUNK_SIZE);
    b->vectors = eg_alloc_aligned(64, (size_t)ROWS * ENGRAM_BLOCKS);
    b->counters = eg_alloc_zero(ENGRAM_BLOCKS * ENGRAM_SYMBOLS, sizeof *b->counters);
    if (b->bytes == NULL || b->vectors == NULL || b->counters == NULL) {
        bench_free(b);
        return NULL;
    }
    engram_codebook_init(&b->codebook, 1);
    fill_random(b->bytes, (size_t)CHUNKS * CHUNK_SIZE);
    fill_random(b->vectors, (size_t)ROWS * ENGRAM_BLOCKS);
    for (size_t i = 0; i < CHUNKS; i++)
        b->chunks[i] = (eg_view){b->bytes + i * CHUNK_SIZE, CHUNK_SIZE};
    return b;
}

static engram_status run_once(bench *b, eg_backend *backend, eg_operation operation, size_t step)
{
    engram_error ignored = {0};
    switch (operation) {
    case EG_OPERATION_ENCODE:
        return backend->ops->encode(backend, &b->codebook, b->chunks, chunk_counts[step],
                                    b->encoded, b->spreads, &ignored);
    case EG_OPERATION_BUNDLE:
        return backend->ops->bundle(backend, b->counters, b->vectors, vector_counts[step], 1,
                                    &ignored);
    default:
        return backend->ops->top_k(backend, b->resident, b->vectors, query_counts[step], NULL, K, 0,
                                   b->hits, b->counts, &ignored);
    }
}

/* Nanoseconds of the best run, UINT64_MAX when it fails. The first run only warms up. */
static uint64_t time_best(bench *b, eg_backend *backend, eg_operation operation, size_t step)
{
    uint64_t best = UINT64_MAX;
    for (unsigned run = 0; run <= RUNS; run++) {
        uint64_t start = eg_clock_monotonic_ns();
        if (run_once(b, backend, operation, step) != ENGRAM_OK)
            return UINT64_MAX;
        uint64_t spent = eg_clock_monotonic_ns() - start;
        if (run > 0 && spent < best)
            best = spent;
    }
    return best;
}

static bool has_operation(const eg_backend *backend, eg_operation operation)
{
    const eg_backend_ops *ops = backend->ops;
    if (operation == EG_OPERATION_ENCODE)
        return ops->encode != NULL;
    if (operation == EG_OPERATION_BUNDLE)
        return ops->bundle != NULL;
    return ops->top_k != NULL && ops->resident_create != NULL && ops->resident_append != NULL &&
           ops->resident_free != NULL;
}

static bool make_resident(bench *b, eg_backend *backend)
{
    engram_error ignored = {0};
    if (backend->ops->resident_create(backend, &b->resident, &ignored) != ENGRAM_OK)
        return false;
    if (backend->ops->resident_append(backend, b->resident, eg_rows(b->vectors, ROWS), &ignored) ==
        ENGRAM_OK)
        return true;
    backend->ops->resident_free(backend, b->resident);
    return false;
}

static void time_all(bench *b, eg_backend *backend, eg_operation operation, uint64_t *times)
{
    for (size_t step = 0; step < SIZES; step++)
        times[step] = UINT64_MAX;
    if (!has_operation(backend, operation))
        return;
    if (operation == EG_OPERATION_TOP_K && !make_resident(b, backend))
        return;
    for (size_t step = 0; step < SIZES; step++)
        times[step] = time_best(b, backend, operation, step);
    if (operation == EG_OPERATION_TOP_K)
        backend->ops->resident_free(backend, b->resident);
}

static uint64_t amount_of(eg_operation operation, size_t step)
{
    if (operation == EG_OPERATION_ENCODE)
        return (uint64_t)chunk_counts[step] * CHUNK_SIZE;
    if (operation == EG_OPERATION_BUNDLE)
        return vector_counts[step];
    return (uint64_t)query_counts[step] * ROWS;
}

static uint64_t first_win(bench *b, eg_backend *cpu, eg_backend *other, eg_operation operation)
{
    uint64_t cpu_times[SIZES], other_times[SIZES], from = UINT64_MAX;
    time_all(b, cpu, operation, cpu_times);
    time_all(b, other, operation, other_times);
    for (size_t step = SIZES; step-- > 0 && other_times[step] < cpu_times[step];)
        from = amount_of(operation, step);
    return from;
}

engram_status eg_plan_calibrate(eg_backend *cpu, eg_backend *other, eg_plan *plan,
                                engram_error *error)
{
    bench *b = bench_create();
    if (b == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to calibrate a device");
    for (unsigned i = 0; i < EG_OPERATION_COUNT; i++)
        plan->from[i] = first_win(b, cpu, other, (eg_operation)i);
    bench_free(b);
    return ENGRAM_OK;
}
