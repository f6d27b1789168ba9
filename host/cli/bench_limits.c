/* What the machine can do: reading memory, and counting. */
#include "base/clock.h"
#include "cli/bench.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROUNDS = 5, PIECES_PER_THREAD = 8 };

static uint64_t read_plain(const uint8_t *bytes, size_t size)
{
    uint64_t sum[4] = {0};
    for (size_t i = 0; i + 32 <= size; i += 32)
        for (size_t lane = 0; lane < 4; lane++)
            sum[lane] += eg_get_u64(bytes + i + 8 * lane);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

#if defined(__x86_64__)
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

static uint64_t read_bytes(const uint8_t *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return read_wide(bytes, size);
#endif
    return read_plain(bytes, size);
}

typedef struct reading {
    const uint8_t *bytes;
    size_t piece;
    _Atomic uint64_t sum; /* so that reading is not left out */
} reading;

static void read_piece(void *context, size_t index, size_t worker)
{
    reading *r = context;
    (void)worker;
    atomic_fetch_add(&r->sum, read_bytes(r->bytes + index * r->piece, r->piece));
}

static double measure_read(eg_pool *pool, const uint8_t *buffer, size_t size, int rounds)
{
    size_t pieces = eg_pool_width(pool) * PIECES_PER_THREAD;
    reading r = {.bytes = buffer, .piece = size / pieces / 128 * 128};
    double best = 0;
    for (int i = 0; i < rounds; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        eg_pool_run(pool, pieces, read_piece, &r);
        double rate = (double)(r.piece * pieces) / eg_seconds_since(start);
        best = rate > best ? rate : best;
    }
    return best;
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

static double measure_clock(int rounds)
{
    const uint64_t count = 32 << 20;
    double best = 0;
    for (int i = 0; i < rounds; i++) {
        uint64_t start = eg_clock_monotonic_ns();
        count_cycles(count);
        double rate = (double)count / eg_seconds_since(start);
        best = rate > best ? rate : best;
    }
    return best;
}

void eg_limits_measure(eg_pool *pool, const uint8_t *buffer, size_t size, eg_limits *limits)
{
    int rounds = limits->read_bytes > 0 ? 1 : ROUNDS; /* the first time thoroughly */
    double read = measure_read(pool, buffer, size, rounds), cycles = measure_clock(rounds);
    limits->threads = eg_pool_width(pool);
    limits->read_bytes = read > limits->read_bytes ? read : limits->read_bytes;
    limits->core_cycles = cycles > limits->core_cycles ? cycles : limits->core_cycles;
}
