/* The fingerprint index against a list. */
#include "base/memory.h"
#include "base/test.h"
#include "store/dedup.h"
#include "vsa/random.h"

enum { COUNT = 30000 };

/* Prefixes from few values, so that many are equal and many are neighbours. */
static uint64_t prefix_of(uint64_t seed, size_t i, uint64_t values)
{
    return test_mix(seed + i) % values;
}

static void compare(uint64_t seed, uint64_t values, uint64_t expected_count)
{
    eg_dedup *dedup;
    assert_int_equal(eg_dedup_create(expected_count, &dedup, NULL), ENGRAM_OK);
    size_t *first = calloc(values, EG_STORE_CANDIDATES * sizeof *first);
    size_t *counts = calloc(values, sizeof *counts);
    assert_true(first != NULL && counts != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t prefix = prefix_of(seed, i, values);
        if (counts[prefix] < EG_STORE_CANDIDATES)
            first[prefix * EG_STORE_CANDIDATES + counts[prefix]++] = i + 1;
        assert_int_equal(eg_dedup_add(dedup, prefix, i + 1, NULL), ENGRAM_OK);
    }
    assert_true(eg_dedup_validate(dedup));
    for (uint64_t prefix = 0; prefix < values; prefix++) {
        uint64_t ids[EG_STORE_CANDIDATES];
        size_t found = eg_dedup_find(dedup, prefix, ids);
        assert_int_equal(found, counts[prefix]);
        for (size_t k = 0; k < found; k++)
            assert_int_equal(ids[k], first[prefix * EG_STORE_CANDIDATES + k]);
    }
    uint64_t ids[EG_STORE_CANDIDATES];
    assert_int_equal(eg_dedup_find(dedup, values + 1, ids), 0);
    free(first);
    free(counts);
    eg_dedup_free(dedup);
}

static void finds_the_first_of_equal_prefix(void **state)
{
    uint64_t seed = test_seed(0xDED0);
    (void)state;
    compare(seed, 100, 0);
    compare(seed, 5000, 0);
    compare(seed, 1000000, 0);
    compare(seed, 1000000, COUNT);
}

/* The rest is found as before, in its order, whatever was taken out of the middle of it. */
static void what_is_removed_is_not_found(void **state)
{
    enum { VALUES = 4000 };
    uint64_t seed = test_seed(0xDED1), ids[EG_STORE_CANDIDATES];
    eg_dedup *dedup;
    (void)state;
    assert_int_equal(eg_dedup_create(0, &dedup, NULL), ENGRAM_OK);
    for (size_t i = 0; i < VALUES; i++)
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(eg_dedup_add(dedup, test_mix(seed + i), 3 * i + k + 1, NULL), ENGRAM_OK);
    for (size_t i = 0; i < VALUES; i++)
        for (size_t k = 0; k < 3; k++)
            if (test_mix(seed - 3 * i - k) % 2 == 0)
                eg_dedup_remove(dedup, test_mix(seed + i), 3 * i + k + 1);
    eg_dedup_remove(dedup, test_mix(seed), 3 * VALUES + 1);
    assert_true(eg_dedup_validate(dedup));
    for (size_t i = 0; i < VALUES; i++) {
        size_t found = eg_dedup_find(dedup, test_mix(seed + i), ids), expected = 0;
        for (size_t k = 0; k < 3; k++)
            if (test_mix(seed - 3 * i - k) % 2 != 0)
                assert_int_equal(ids[expected++], 3 * i + k + 1);
        assert_int_equal(found, expected);
    }
    eg_dedup_free(dedup);
}

static void a_flood_of_equal_ones_costs_nothing(void **state)
{
    eg_dedup *dedup;
    uint64_t ids[EG_STORE_CANDIDATES];
    (void)state;
    assert_int_equal(eg_dedup_create(0, &dedup, NULL), ENGRAM_OK);
    eg_alloc_fail_at(0, false);
    for (uint64_t i = 1; i <= 1000000; i++)
        assert_int_equal(eg_dedup_add(dedup, 42, i, NULL), ENGRAM_OK);
    assert_true(eg_alloc_count() < 4);
    assert_int_equal(eg_dedup_find(dedup, 42, ids), EG_STORE_CANDIDATES);
    for (uint64_t k = 0; k < EG_STORE_CANDIDATES; k++)
        assert_int_equal(ids[k], k + 1);
    eg_dedup_free(dedup);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    for (long n = 1; n < 300; n++) {
        eg_dedup *dedup = NULL;
        uint64_t ids[EG_STORE_CANDIDATES];
        eg_alloc_fail_at(n, false);
        engram_status status = eg_dedup_create(6000, &dedup, NULL);
        size_t added = 0;
        while (status == ENGRAM_OK && added < 6000) {
            added++;
            status = eg_dedup_add(dedup, test_mix(added), added, NULL);
        }
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        for (size_t i = 1; i < added; i++)
            assert_int_equal(eg_dedup_find(dedup, test_mix(i), ids), 1);
        assert_true(dedup == NULL || eg_dedup_validate(dedup));
        eg_dedup_free(dedup);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_of_equal_prefix),
        cmocka_unit_test(what_is_removed_is_not_found),
        cmocka_unit_test(a_flood_of_equal_ones_costs_nothing),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
