/* The bands index against theory and against looking at everything. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/test.h"
#include "store/bands.h"
#include "vsa/random.h"

enum { VECTORS = 20000, BYTES = 256 };

static uint8_t *vectors;

static engram_status get(void *context, uint32_t number, uint8_t *vector, engram_error *error)
{
    (void)context, (void)error;
    memcpy(vector, vectors + (size_t)number * BYTES, BYTES);
    return ENGRAM_OK;
}

static int setup(void **state)
{
    (void)state;
    uint64_t seed = test_seed(5);
    vectors = malloc((size_t)VECTORS * BYTES);
    test_fill(&seed, vectors, (size_t)VECTORS * BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(vectors);
    return 0;
}

static eg_bands *fill_index(uint64_t expected)
{
    eg_bands *bands = NULL;
    engram_error error = {0};
    assert_int_equal(eg_bands_create(expected, get, NULL, &bands, &error), ENGRAM_OK);
    for (size_t i = 0; i < VECTORS; i++)
        assert_int_equal(eg_bands_add(bands, vectors + i * BYTES, &error), ENGRAM_OK);
    assert_int_equal(eg_bands_count(bands), VECTORS);
    return bands;
}

/* A vector that agrees with another in each block with probability share. */
static void vary(uint64_t *seed, const uint8_t *from, double share, uint8_t *to)
{
    for (size_t i = 0; i < BYTES; i++) {
        uint64_t random = test_random(seed);
        to[i] = (double)(random >> 11) / 9007199254740992.0 < share ? from[i] : (uint8_t)random;
    }
}

static bool finds(const eg_bands *bands, const uint8_t *vector, uint32_t wanted, uint32_t below)
{
    uint32_t numbers[EG_BANDS_CANDIDATES];
    size_t count = eg_bands_find(bands, vector, below, numbers);
    for (size_t i = 0; i < count; i++) {
        assert_true(numbers[i] < below);
        if (numbers[i] == wanted)
            return true;
    }
    return false;
}

/* 1 - (1 - s^w)^20 of those that agree in a share s of the blocks are found, less what full buckets leave out: with bands of
 * w = 2 symbols, and in an index made for many of w = 3. */
static void finds_what_theory_says(void **state)
{
    static const struct {
        uint64_t expected;
        double share, least;
    } cases[] = {{0, 0.9, 0.99},       {0, 0.7, 0.99},        {0, 0.5, 0.97},       {0, 0.35, 0.87},
                 {1 << 20, 0.9, 0.99}, {1 << 20, 0.7, 0.985}, {1 << 20, 0.5, 0.85}, {1 << 20, 0.35, 0.48}};
    (void)state;
    uint64_t seed = test_seed(6);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t found = 0, tries = 2000;
        eg_bands *bands = fill_index(cases[c].expected);
        for (size_t i = 0; i < tries; i++) {
            uint8_t vector[BYTES];
            uint32_t number = (uint32_t)(test_random(&seed) % VECTORS);
            vary(&seed, vectors + (size_t)number * BYTES, cases[c].share, vector);
            found += finds(bands, vector, number, VECTORS);
        }
        if ((double)found < cases[c].least * (double)tries)
            fail_msg("made for %u, agreeing in %.2f: %zu of %zu were found", (unsigned)cases[c].expected,
                     cases[c].share, found, tries);
        eg_bands_free(bands);
    }
}

static void the_best_comes_first(void **state)
{
    (void)state;
    eg_bands *bands = fill_index(VECTORS);
    uint32_t numbers[EG_BANDS_CANDIDATES];
    for (uint32_t i = 0; i < VECTORS; i += 37) {
        assert_true(eg_bands_find(bands, vectors + (size_t)i * BYTES, VECTORS, numbers) > 0);
        assert_int_equal(numbers[0], i);
    }
    eg_bands_free(bands);
}

static void only_those_below(void **state)
{
    (void)state;
    eg_bands *bands = fill_index(0);
    for (uint32_t i = 0; i < VECTORS; i += 101) {
        assert_false(finds(bands, vectors + (size_t)i * BYTES, i, i));
        assert_true(finds(bands, vectors + (size_t)i * BYTES, i, i + 1));
    }
    eg_bands_free(bands);
}

/* Twenty thousand copies of one vector: eight of a band are kept, the newest, and others are still found. */
static void a_flood_costs_no_more(void **state)
{
    (void)state;
    uint8_t *random = malloc((size_t)VECTORS * BYTES);
    memcpy(random, vectors, (size_t)VECTORS * BYTES);
    for (size_t i = 1; i < VECTORS; i++)
        if (i % 100 != 0)
            memcpy(vectors + i * BYTES, vectors, BYTES);
    eg_bands *bands = fill_index(0);
    uint32_t numbers[EG_BANDS_CANDIDATES];
    size_t count = eg_bands_find(bands, vectors, VECTORS, numbers);
    assert_in_range(count, 8, EG_BANDS_CANDIDATES);
    for (size_t i = 0; i < 8; i++)
        assert_in_range(numbers[i], VECTORS - 16, VECTORS - 1);
    for (uint32_t i = 100; i < VECTORS; i += 100)
        assert_true(finds(bands, vectors + (size_t)i * BYTES, i, VECTORS));
    eg_bands_free(bands);
    memcpy(vectors, random, (size_t)VECTORS * BYTES);
    free(random);
}

static void memory_follows_the_count(void **state)
{
    (void)state;
    eg_bands *bands = fill_index(0);
    assert_in_range(eg_bands_memory(bands) / VECTORS, 80, 140);
    eg_bands_free(bands);
}

/* Every allocation fails once: nothing is lost of what was there, and the next try works. */
static void without_memory(void **state)
{
    (void)state;
    engram_error error = {0};
    eg_bands *bands = NULL;
    for (int n = 1; bands == NULL; n++) {
        eg_alloc_fail_at(n, false);
        if (eg_bands_create(0, get, NULL, &bands, &error) != ENGRAM_OK)
            bands = NULL;
        eg_alloc_fail_at(0, false);
    }
    unsigned failures = 0;
    for (size_t i = 0; i < 2000;) {
        eg_alloc_fail_at(i % 3 == 0, false);
        engram_status status = eg_bands_add(bands, vectors + i * BYTES, &error);
        eg_alloc_fail_at(0, false);
        if (status == ENGRAM_OK) {
            assert_true(finds(bands, vectors + i * BYTES, (uint32_t)i, (uint32_t)i + 1));
            i++;
            continue;
        }
        assert_int_equal(status, ENGRAM_NO_MEMORY);
        assert_int_equal(eg_bands_count(bands), i);
        assert_int_equal(eg_bands_add(bands, vectors + i * BYTES, &error), ENGRAM_OK);
        failures++;
        i++;
    }
    assert_true(failures > 0);
    eg_bands_free(bands);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_theory_says),   cmocka_unit_test(the_best_comes_first),
        cmocka_unit_test(only_those_below),         cmocka_unit_test(a_flood_costs_no_more),
        cmocka_unit_test(memory_follows_the_count), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
