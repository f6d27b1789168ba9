/* bundle: vectors that end at an unreadable page, added and removed, on counters about to wrap. */
#include "compute/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/inputs.h"

static const size_t counts[] = {0, 1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1500};
enum {
    COUNT_COUNT = sizeof counts / sizeof counts[0],
    COUNTER_COUNT = ENGRAM_BLOCKS * ENGRAM_SYMBOLS
};

static void add_plainly(uint32_t *counters, const uint8_t *vectors, size_t count, int sign)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < ENGRAM_BLOCKS; k++)
            counters[k * ENGRAM_SYMBOLS + vectors[i * ENGRAM_BLOCKS + k]] += (uint32_t)sign;
}

static void check_one(const candidate *c, uint64_t seed, size_t count, fill_kind kind, int sign,
                      check_tally *tally)
{
    const size_t size = COUNTER_COUNT * sizeof(uint32_t);
    uint64_t state = seed ^ (count << 8) ^ kind;
    guarded vectors = guarded_make(count * ENGRAM_BLOCKS);
    fill_bytes(vectors.bytes, vectors.size, kind, &state);
    sink got = sink_make(size, 4 * random_below(&state, 16));
    uint32_t *expected = malloc(size);
    if (expected == NULL)
        exit(2);
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        expected[i] = (uint32_t)next_random(&state) % 3 - 1;
    memcpy(got.bytes, expected, size);
    add_plainly(expected, vectors.bytes, count, sign);
    engram_status status;
    bool has =
        candidate_bundle(c, (uint32_t *)(void *)got.bytes, vectors.bytes, count, sign, &status);
    bool is_equal = !has || (status == ENGRAM_OK && memcmp(expected, got.bytes, size) == 0);
    tally_case(tally, is_equal && sink_is_whole(&got), c, seed,
               "bundle of %zu vectors, fill %s, sign %d", count, fill_names[kind], sign);
    free(expected);
    sink_free(&got);
    guarded_free(&vectors);
}

void check_bundle(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally)
{
    for (unsigned i = 0; i < COUNT_COUNT; i++)
        for (unsigned kind = 0; kind < FILL_COUNT; kind += 2)
            check_one(c, seed, counts[i], (fill_kind)kind, i % 2 ? 1 : -1, tally);
    uint64_t state = seed;
    for (unsigned round = 0; round < rounds; round++)
        check_one(c, seed, random_below(&state, 3000), FILL_RANDOM, round % 2 ? 1 : -1, tally);
}

enum { BENCH_COUNT = 65536 };

typedef struct bundle_bench {
    const candidate *c;
    uint32_t *counters;
    uint8_t *vectors;
} bundle_bench;

static void bundle_once(void *context)
{
    bundle_bench *b = context;
    engram_status status;
    if (candidate_bundle(b->c, b->counters, b->vectors, BENCH_COUNT, 1, &status) &&
        status != ENGRAM_OK)
        exit(2);
}

void bench_bundle(const candidate *c, const candidate *scalar)
{
    bundle_bench b = {c, calloc(COUNTER_COUNT, 4), malloc((size_t)BENCH_COUNT * ENGRAM_BLOCKS)};
    uint64_t state = 1;
    if (b.counters == NULL || b.vectors == NULL)
        exit(2);
    fill_bytes(b.vectors, (size_t)BENCH_COUNT * ENGRAM_BLOCKS, FILL_RANDOM, &state);
    double seconds = median_seconds(bundle_once, &b);
    b.c = scalar;
    double base = median_seconds(bundle_once, &b);
    printf("%-16s bundle                %7.2f M vectors/s  %6.2f x scalar\n", c->name,
           BENCH_COUNT / seconds * 1e-6, base / seconds);
    free(b.counters);
    free(b.vectors);
}
