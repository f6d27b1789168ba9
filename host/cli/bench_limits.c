/* What the machine can do: reading memory, and counting. */
#include <stdlib.h>

#include "base/clock.h"
#include "cli/bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 7, PIECES_PER_THREAD = 8, BLOCK_SIZE = 512 << 10 };

static uint64_t read_plain(const uint8_t *bytes, size_t size)
{
    uint64_t sum[4] = {0};
    for (size_t i = 0; i + 32 <= size; i += 32)
        for (size_t lane = 0; lane < 4; lane++)
            sum[lane] += eg_get_u64(bytes + i + 8 * lane);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

#if defined(__x86_64__)
/* From four places at once, a quarter of a block apart: half as much again as from one, on some processors. */
__attribute__((target("avx2"))) static uint64_t read_four(const uint8_t *bytes, size_t size)
{
    const size_t quarter = size / 4;
    __m256i sums[4] = {_mm256_setzero_si256()};
    for (size_t i = 0; i + 64 <= quarter; i += 64)
        for (size_t place = 0; place < 4; place++) {
            const __m256i *at = (const __m256i *)(bytes + place * quarter + i);
            __m256i both = _mm256_add_epi64(_mm256_load_si256(at), _mm256_load_si256(at + 1));
            sums[place] = _mm256_add_epi64(sums[place], both);
        }
    __m256i sum = _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
    return (uint64_t)_mm256_extract_epi64(sum, 0) + (uint64_t)_mm256_extract_epi64(sum, 3);
}

/* From one place. */
__attribute__((target("avx2"))) static uint64_t read_wide(const uint8_t *bytes, size_t size)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= size; i += 128) {
        const __m256i *at = (const __m256i *)(bytes + i);
        a = _mm256_add_epi64(a, _mm256_load_si256(at));
        b = _mm256_add_epi64(b, _mm256_load_si256(at + 1));
        c = _mm256_add_epi64(c, _mm256_load_si256(at + 2));
        d = _mm256_add_epi64(d, _mm256_load_si256(at + 3));
    }
    a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    return (uint64_t)_mm256_extract_epi64(a, 0) + (uint64_t)_mm256_extract_epi64(a, 3);
}
#endif

static uint64_t read_bytes(const uint8_t *bytes, size_t size, bool from_four)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return from_four ? read_four(bytes, size) : read_wide(bytes, size);
#endif
    (void)from_four;
    return read_plain(bytes, size);
}

typedef struct reading {
    const uint8_t *bytes;
    size_t piece, block; /* piece: a multiple of block, and this of 256 bytes */
    bool from_four;
    _Atomic uint64_t sum; /* so that reading is not left out */
} reading;

static void read_piece(void *context, size_t index, size_t worker)
{
    reading *r = context;
    uint64_t sum = 0;
    (void)worker;
    for (size_t at = 0; at < r->piece; at += r->block)
        sum += read_bytes(r->bytes + index * r->piece + at, r->block, r->from_four);
    atomic_fetch_add(&r->sum, sum);
}

static int compare_rates(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of some rounds. */
static double measure_reading(eg_pool *pool, reading *r, size_t pieces)
{
    double rates[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        eg_pool_run(pool, pieces, read_piece, r);
        rates[i] = (double)(r->piece * pieces) / eg_seconds_since(start);
    }
    qsort(rates, ROUNDS, sizeof *rates, compare_rates);
    return rates[ROUNDS / 2];
}

/* By the faster way. */
static double measure_read(eg_pool *pool, const uint8_t *buffer, size_t size)
{
    const size_t pieces = eg_pool_width(pool) * PIECES_PER_THREAD, most = size / pieces / 256 * 256;
    const size_t block = most < BLOCK_SIZE ? most : BLOCK_SIZE;
    reading r = {.bytes = buffer, .piece = block == 0 ? 0 : most / block * block, .block = block};
    double from_one = measure_reading(pool, &r, pieces);
    r.from_four = true;
    double from_four = measure_reading(pool, &r, pieces);
    return from_one > from_four ? from_one : from_four;
}

/* A chain of additions, each of which waits for the one before: one cycle each. */
static void count_cycles(uint64_t count)
{
    uint64_t x = 0;
    for (uint64_t i = 0; i < count; i += 16) {
#define STEP                                                                                       \
    __asm__ volatile("" : "+r"(x));                                                                \
    x += i;
#define FOUR STEP STEP STEP STEP
        FOUR FOUR FOUR FOUR
#undef FOUR
#undef STEP
    }
    __asm__ volatile("" : "+r"(x));
}

static double measure_clock(void)
{
    const uint64_t count = 32 << 20;
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        count_cycles(count);
        double rate = (double)count / eg_seconds_since(start);
        best = rate > best ? rate : best;
    }
    return best;
}

void eg_limits_measure(eg_pool *pool, const uint8_t *buffer, size_t size, eg_limits *limits)
{
    double cycles = measure_clock();
    limits->threads = eg_pool_width(pool);
    limits->read_bytes = measure_read(pool, buffer, size);
    limits->core_cycles = cycles > limits->core_cycles ? cycles : limits->core_cycles;
}
