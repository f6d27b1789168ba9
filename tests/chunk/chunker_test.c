/* Cuts: stored boundaries, a second chunker written from the definition, and what users count on:
 * equal cuts however the bytes arrive, an insertion that stays local, sizes within their limits. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chunk/chunk.h"

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint8_t *random_bytes(uint64_t seed, size_t size)
{
    uint8_t *bytes = malloc(size + 8);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t x = next_random(&seed);
        memcpy(bytes + i, &x, 8);
    }
    return bytes;
}

static eg_chunker make_chunker(eg_chunk_kind kind, uint32_t size)
{
    eg_chunker chunker;
    eg_chunk_config config = {kind, size};
    assert_int_equal(eg_chunker_init(&chunker, &config, NULL), ENGRAM_OK);
    return chunker;
}

/* The ends of all chunks, *count of them, in fresh memory. */
static size_t *cut_all(const eg_chunker *chunker, const uint8_t *bytes, size_t size, size_t *count)
{
    size_t *ends = malloc((size / 64 + 2) * sizeof *ends);
    assert_non_null(ends);
    *count = 0;
    for (size_t at = 0; at < size;) {
        size_t length = eg_chunker_cut(chunker, bytes + at, size - at);
        assert_true(length > 0 && length <= size - at && length <= chunker->size_max);
        assert_true(length >= chunker->size_min || at + length == size);
        ends[(*count)++] = at += length;
    }
    return ends;
}

/* Pairs of equal bytes among 16 runs of 32, the runs a 64th of the average apart; counted in both
 * orders, and each byte with itself. */
static bool plain_is_dense(const uint8_t *bytes, unsigned average)
{
    uint8_t sample[512];
    unsigned pairs = 0;
    for (unsigned i = 0; i < 512; i++)
        sample[i] = bytes[i / 32 * (average / 64) + i % 32];
    for (unsigned i = 0; i < 512; i++)
        for (unsigned j = 0; j < 512; j++)
            pairs += sample[i] == sample[j];
    return pairs <= 2000;
}

/* The definition once more: every hash from its 64 bytes. */
static size_t plain_cut(const eg_chunker *chunker, const uint8_t *bytes, size_t size)
{
    unsigned average = chunker->config.size_average, bits = 0;
    while (1u << bits < average)
        bits++;
    if (size > 4 * (size_t)average)
        size = 4 * (size_t)average;
    if (size <= average / 4)
        return size;
    bool dense = average >= 8192 && plain_is_dense(bytes, average);
    for (size_t length = dense ? average : average / 4; length < size; length++) {
        uint64_t hash = 0;
        for (unsigned distance = 0; distance < 64; distance++)
            hash += chunker->gear[bytes[length - 1 - distance]] << distance;
        unsigned mask = dense ? bits + 1 : length < average / 16 * 13 ? bits + 2 : bits - 2;
        if (hash >> (64 - mask) == 0)
            return length;
    }
    return size;
}

/* ---- the format ---- */

static void boundaries_are_the_stored_ones(void **state)
{
    (void)state;
    static const size_t small[] = {279,  572,  712,  1036, 1365, 1707, 1867, 2303, 2522, 2770, 3026,
                                   3314, 3535, 3744, 4003, 4291, 4450, 4702, 5084, 5305, 5581, 5928,
                                   6160, 6430, 6641, 6849, 7225, 7543, 7741, 8010, 8192};
    static const size_t large[] = {4450,  9586,  13420, 18504, 22665, 28606, 31972,
                                   37271, 41253, 44789, 49857, 53442, 61183, 65536};
    eg_chunker of_256 = make_chunker(EG_CHUNK_CDC, 256), of_4096 = make_chunker(EG_CHUNK_CDC, 4096);
    uint8_t *bytes = random_bytes(1, 65536);
    size_t count, *ends = cut_all(&of_256, bytes, 8192, &count);
    assert_int_equal(count, sizeof small / sizeof *small);
    assert_memory_equal(ends, small, sizeof small);
    free(ends);
    ends = cut_all(&of_4096, bytes, 65536, &count);
    assert_int_equal(count, sizeof large / sizeof *large);
    assert_memory_equal(ends, large, sizeof large);
    free(ends);
    eg_chunker of_8192 = make_chunker(EG_CHUNK_CDC, 8192);
    static const size_t dense[] = {22665, 32856, 65536};
    ends = cut_all(&of_8192, bytes, 65536, &count);
    assert_int_equal(count, sizeof dense / sizeof *dense);
    assert_memory_equal(ends, dense, sizeof dense);
    free(ends);
    free(bytes);
}

static void gear_is_the_stored_one(void **state)
{
    (void)state;
    eg_chunker chunker = make_chunker(EG_CHUNK_CDC, 16384);
    assert_true(chunker.gear[0] == 0x74e8fb843f592e6fu);
    assert_true(chunker.gear[255] == 0x3eb9b9e51eabbfe3u);
    assert_true(chunker.mask_hard == 0xFFFF000000000000u);
    assert_true(chunker.mask_easy == 0xFFF0000000000000u);
    assert_int_equal(chunker.size_min, 4096);
    assert_int_equal(chunker.size_max, 65536);
}

static void cuts_are_as_defined(void **state)
{
    (void)state;
    uint64_t random = 0x6363;
    printf("seed 0x%" PRIx64 "\n", random);
    for (unsigned trial = 0; trial < 400; trial++) {
        eg_chunker chunker = make_chunker(EG_CHUNK_CDC, 256u << trial % 7);
        size_t size = 1 + next_random(&random) % (5 * chunker.config.size_average);
        uint8_t *bytes = random_bytes(next_random(&random), size);
        for (size_t i = 0; trial % 3 == 0 && i < size; i++)
            bytes[i] &= 1; /* few different windows: other paths through the masks */
        assert_int_equal(eg_chunker_cut(&chunker, bytes, size), plain_cut(&chunker, bytes, size));
        free(bytes);
    }
}

/* ---- sizes ---- */

static void mean_is_the_average_asked_for(void **state)
{
    (void)state;
    enum { SIZE = 32 << 20 };
    uint8_t *bytes = random_bytes(2, SIZE);
    for (uint32_t average = 256; average <= 4096; average *= 4) {
        eg_chunker chunker = make_chunker(EG_CHUNK_CDC, average);
        size_t count;
        free(cut_all(&chunker, bytes, SIZE, &count));
        double ratio = (double)SIZE / (double)count / average;
        printf("average %5u: mean %.1f, ratio %.4f\n", average, (double)SIZE / (double)count,
               ratio);
        assert_true(ratio > 0.97 && ratio < 1.03);
    }
    free(bytes);
}

/* Each byte with a bit less than it could have: what a compressor could take something from. */
static void narrow(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] &= 0x7F; /* 2,556 in the mean, where 2,000 are dense */
}

static double mean_chunk(const eg_chunker *chunker, const uint8_t *bytes, size_t size)
{
    size_t count;
    free(cut_all(chunker, bytes, size, &count));
    return (double)size / (double)count / chunker->config.size_average;
}

static void dense_bytes_give_longer_chunks(void **state)
{
    (void)state;
    enum { SIZE = 32 << 20 };
    uint8_t *bytes = random_bytes(7, SIZE);
    for (uint32_t average = 8192; average <= 131072; average *= 4) {
        eg_chunker chunker = make_chunker(EG_CHUNK_CDC, average);
        double ratio = mean_chunk(&chunker, bytes, SIZE);
        printf("average %6u: dense %.3f of it\n", average, ratio);
        assert_true(ratio > 2.3 && ratio < 2.7);
    }
    narrow(bytes, SIZE);
    for (uint32_t average = 8192; average <= 131072; average *= 4) {
        eg_chunker chunker = make_chunker(EG_CHUNK_CDC, average);
        double ratio = mean_chunk(&chunker, bytes, SIZE);
        printf("average %6u: others %.3f of it\n", average, ratio);
        assert_true(ratio > 0.95 && ratio < 1.05);
    }
    free(bytes);
}

static void uniform_bytes_give_uniform_chunks(void **state)
{
    (void)state;
    eg_chunker chunker = make_chunker(EG_CHUNK_CDC, 4096);
    uint8_t *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    for (unsigned fill = 0; fill < 256; fill += 51) {
        memset(bytes, (int)fill, 1 << 20);
        size_t count, *ends = cut_all(&chunker, bytes, 1 << 20, &count);
        for (size_t i = 1; i + 1 < count; i++)
            assert_int_equal(ends[i] - ends[i - 1], ends[0]);
        free(ends);
    }
    free(bytes);
}

static void short_inputs_are_one_chunk(void **state)
{
    (void)state;
    eg_chunker chunker = make_chunker(EG_CHUNK_CDC, 1024);
    uint8_t *bytes = random_bytes(3, 8192);
    assert_int_equal(eg_chunker_cut(&chunker, bytes, 0), 0);
    assert_int_equal(eg_chunker_cut(&chunker, NULL, 0), 0);
    for (size_t size = 1; size <= chunker.size_min; size++)
        assert_int_equal(eg_chunker_cut(&chunker, bytes, size), size);
    free(bytes);
}

static void fixed_sizes_are_kept(void **state)
{
    (void)state;
    eg_chunker chunker = make_chunker(EG_CHUNK_FIXED, 1000);
    uint8_t *bytes = random_bytes(4, 10500);
    assert_int_equal(chunker.size_min, 1000);
    assert_int_equal(chunker.size_max, 1000);
    assert_int_equal(eg_chunker_cut(&chunker, bytes, 10500), 1000);
    assert_int_equal(eg_chunker_cut(&chunker, bytes, 1000), 1000);
    assert_int_equal(eg_chunker_cut(&chunker, bytes, 999), 999);
    assert_int_equal(eg_chunker_cut(&chunker, bytes, 0), 0);
    free(bytes);
}

/* ---- what deduplication counts on ---- */

/* Cuts through a buffer of `window` bytes, refilled when less than size_max is left in it, as a
 * reader of a stream would. */
static void assert_cuts_windowed(const eg_chunker *chunker, const uint8_t *bytes, size_t size,
                                 const size_t *ends, size_t window)
{
    uint8_t *buffer = malloc(window); /* exactly: a sanitizer sees a read past it */
    assert_non_null(buffer);
    size_t index = 0, from = 0, to = 0; /* the buffer holds [from, to) of the input, at its front */
    for (size_t at = 0; at < size; index++) {
        if (to - at < chunker->size_max && to < size) {
            from = at;
            to = size - from < window ? size : from + window;
            memcpy(buffer, bytes + from, to - from);
        }
        at += eg_chunker_cut(chunker, buffer + (at - from), to - at);
        assert_int_equal(at, ends[index]);
    }
    free(buffer);
}

static void cuts_do_not_depend_on_the_window(void **state)
{
    (void)state;
    enum { SIZE = 400000 };
    for (uint32_t average = 1024; average <= 8192; average *= 8) {
        eg_chunker chunker = make_chunker(EG_CHUNK_CDC, average);
        uint8_t *bytes = random_bytes(5, SIZE);
        size_t count, *ends = cut_all(&chunker, bytes, SIZE, &count);
        for (size_t window = chunker.size_max; window < 20 * average; window = window * 5 / 4 + 1)
            assert_cuts_windowed(&chunker, bytes, SIZE, ends, window);
        free(ends);
        free(bytes);
    }
}

/* How many chunk ends of the changed input have no counterpart: both lists in order, those behind
 * the insertion shifted by one. */
static size_t count_new_ends(const size_t *old, size_t old_count, const size_t *new,
                             size_t new_count, size_t inserted_at)
{
    size_t fresh = 0;
    for (size_t i = 0, j = 0; j < new_count; j++) {
        while (i < old_count && old[i] + (old[i] > inserted_at) < new[j])
            i++;
        fresh += i == old_count || old[i] + (old[i] > inserted_at) != new[j];
    }
    return fresh;
}

static void assert_insertions_stay_local(uint32_t average)
{
    enum { SIZE = 1 << 20, TRIALS = 100 };
    eg_chunker chunker = make_chunker(EG_CHUNK_CDC, average);
    uint8_t *bytes = random_bytes(6, SIZE), *changed = malloc(SIZE + 1);
    assert_non_null(changed);
    size_t count, changed_count, fresh = 0, *ends = cut_all(&chunker, bytes, SIZE, &count);
    uint64_t random = 0x696e73;
    printf("seed 0x%" PRIx64 "\n", random);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        size_t at = next_random(&random) % SIZE;
        memcpy(changed, bytes, at);
        changed[at] = (uint8_t)next_random(&random);
        memcpy(changed + at + 1, bytes + at, SIZE - at);
        size_t *changed_ends = cut_all(&chunker, changed, SIZE + 1, &changed_count);
        fresh += count_new_ends(ends, count, changed_ends, changed_count, at);
        free(changed_ends);
    }
    printf("one byte inserted among %zu chunks: %.2f new boundaries on average\n", count,
           (double)fresh / TRIALS);
    assert_true(fresh < TRIALS);
    free(ends);
    free(bytes);
    free(changed);
}

static void an_insertion_stays_local(void **state)
{
    (void)state;
    assert_insertions_stay_local(4096);
    assert_insertions_stay_local(16384);
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    static const eg_chunk_config bad[] = {
        {EG_CHUNK_CDC, 0},        {EG_CHUNK_CDC, 128},      {EG_CHUNK_CDC, 257},
        {EG_CHUNK_CDC, 1 << 21},  {EG_CHUNK_FIXED, 255},    {EG_CHUNK_FIXED, (1 << 20) + 1},
        {(eg_chunk_kind)0, 4096}, {(eg_chunk_kind)3, 4096},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eg_chunker chunker;
        engram_error error = {0};
        assert_int_equal(eg_chunker_init(&chunker, &bad[i], &error), ENGRAM_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries_are_the_stored_ones),
        cmocka_unit_test(gear_is_the_stored_one),
        cmocka_unit_test(cuts_are_as_defined),
        cmocka_unit_test(mean_is_the_average_asked_for),
        cmocka_unit_test(dense_bytes_give_longer_chunks),
        cmocka_unit_test(uniform_bytes_give_uniform_chunks),
        cmocka_unit_test(short_inputs_are_one_chunk),
        cmocka_unit_test(fixed_sizes_are_kept),
        cmocka_unit_test(cuts_do_not_depend_on_the_window),
        cmocka_unit_test(an_insertion_stays_local),
        cmocka_unit_test(bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
