/* Bundles: exact inverses in any order, sums that are exactly sums of matches, thresholds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engram/hypervector.h"
#include "vsa/random.h"

static int bundles_create(void **state)
{
    *state = calloc(2, sizeof(engram_bundle));
    return *state == NULL;
}

static int bundles_free(void **state)
{
    free(*state);
    return 0;
}

static void draw(uint64_t *random, uint8_t *vectors, size_t count)
{
    test_fill(random, vectors, count * ENGRAM_BLOCKS);
    for (size_t i = 0; i < count * ENGRAM_BLOCKS; i++)
        vectors[i] &= 0xC3; /* 16 symbols, so that members share many */
}

static void assert_sums(const engram_bundle *bundle, const uint8_t *vectors, const unsigned *copies,
                        size_t count, const uint8_t *probe)
{
    uint64_t sum = 0, members = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (uint64_t)copies[i] * engram_matches(vectors + i * ENGRAM_BLOCKS, probe);
        members += copies[i];
    }
    assert_true(engram_bundle_similarity(bundle, probe) == sum);
    assert_true(bundle->count == members);
}

static void any_interleaving_ends_where_it_began(void **state)
{
    enum { COUNT = 40, STEPS = 3000 };
    engram_bundle *bundle = *state;
    static const engram_bundle empty;
    uint8_t vectors[COUNT * ENGRAM_BLOCKS], probe[ENGRAM_BLOCKS];
    unsigned copies[COUNT] = {0};
    uint64_t random = test_seed(0x62756e);
    draw(&random, vectors, COUNT);
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = test_random(&random) % COUNT;
        bool take = copies[i] > 0 && test_random(&random) % 2;
        (take ? engram_bundle_remove : engram_bundle_add)(bundle, vectors + i * ENGRAM_BLOCKS, 1);
        copies[i] = take ? copies[i] - 1 : copies[i] + 1;
        draw(&random, probe, 1);
        assert_sums(bundle, vectors, copies, COUNT, probe);
        assert_sums(bundle, vectors, copies, COUNT, vectors + i * ENGRAM_BLOCKS);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (; copies[i] > 0; copies[i]--)
            engram_bundle_remove(bundle, vectors + i * ENGRAM_BLOCKS, 1);
    assert_memory_equal(bundle, &empty, sizeof empty);
}

static void many_at_once_are_one_by_one(void **state)
{
    enum { COUNT = 77 };
    engram_bundle *once = *state, *each = once + 1;
    uint8_t vectors[COUNT * ENGRAM_BLOCKS];
    uint64_t random = test_seed(0x6d616e79);
    draw(&random, vectors, COUNT);
    engram_bundle_add(once, vectors, COUNT);
    for (size_t i = COUNT; i-- > 0;)
        engram_bundle_add(each, vectors + i * ENGRAM_BLOCKS, 1);
    assert_memory_equal(once, each, sizeof *once);
    engram_bundle_add(once, vectors, 0);
    assert_memory_equal(once, each, sizeof *once);
    engram_bundle_remove(once, vectors, COUNT / 2); /* before it was added again: order is free */
    engram_bundle_add(once, vectors, COUNT / 2);
    assert_memory_equal(once, each, sizeof *once);
}

static void removal_may_come_first(void **state)
{
    engram_bundle *bundle = *state;
    static const engram_bundle empty;
    uint8_t vector[ENGRAM_BLOCKS];
    memset(vector, 3, sizeof vector);
    engram_bundle_remove(bundle, vector, 1);
    engram_bundle_add(bundle, vector, 1);
    assert_memory_equal(bundle, &empty, sizeof empty);
}

static void threshold_takes_the_largest_then_lowest(void **state)
{
    engram_bundle *bundle = *state;
    uint8_t a[ENGRAM_BLOCKS], b[ENGRAM_BLOCKS], out[ENGRAM_BLOCKS], zero[ENGRAM_BLOCKS] = {0};
    uint64_t random = test_seed(0x746872);
    engram_bundle_threshold(bundle, out);
    assert_memory_equal(out, zero, sizeof out);
    test_fill(&random, a, sizeof a);
    test_fill(&random, b, sizeof b);
    a[0] = 255;
    a[1] = 0;
    engram_bundle_add(bundle, a, 1);
    engram_bundle_threshold(bundle, out);
    assert_memory_equal(out, a, sizeof out);
    engram_bundle_add(bundle, b, 1);
    engram_bundle_threshold(bundle, out);
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        assert_int_equal(out[k], a[k] < b[k] ? a[k] : b[k]);
    engram_bundle_add(bundle, b, 1);
    engram_bundle_threshold(bundle, out);
    assert_memory_equal(out, b, sizeof out);
}

/* A bundle of three still resembles each of them and no stranger. */
static void threshold_resembles_the_members(void **state)
{
    engram_bundle *bundle = *state;
    uint8_t members[3 * ENGRAM_BLOCKS], out[ENGRAM_BLOCKS], stranger[ENGRAM_BLOCKS];
    uint64_t random = test_seed(0x74687233);
    test_fill(&random, members, sizeof members);
    test_fill(&random, stranger, sizeof stranger);
    engram_bundle_add(bundle, members, 3);
    engram_bundle_threshold(bundle, out);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(engram_matches(out, members + i * ENGRAM_BLOCKS), 50, 130);
    assert_in_range(engram_matches(out, stranger), 0, 10);
}

static void sums_do_not_overflow(void **state)
{
    engram_bundle *bundle = *state;
    uint8_t vector[ENGRAM_BLOCKS] = {0};
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        bundle->counters[k * ENGRAM_SYMBOLS] = UINT32_MAX;
    assert_true(engram_bundle_similarity(bundle, vector) == 256 * (uint64_t)UINT32_MAX);
}

#define BUNDLE_TEST(test) cmocka_unit_test_setup_teardown(test, bundles_create, bundles_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUNDLE_TEST(any_interleaving_ends_where_it_began),
        BUNDLE_TEST(many_at_once_are_one_by_one),
        BUNDLE_TEST(removal_may_come_first),
        BUNDLE_TEST(threshold_takes_the_largest_then_lowest),
        BUNDLE_TEST(threshold_resembles_the_members),
        BUNDLE_TEST(sums_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
