/* The nearest of all: against a look at each one, with ties, with some dropped, and for queries that are each other's. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/test.h"
#include "ingest/nearest.h"
#include "vsa/random.h"

enum { VECTORS = 3000, K = 3, LEAST = 27 };

typedef struct rig {
    eg_nearest nearest;
    uint8_t *vectors;
    bool dropped[VECTORS];
} rig;

/* Families of vectors that share a part, some of them equal, so that there are answers and ties. */
static void make(rig *r, uint64_t *seed)
{
    engram_error error = {0};
    r->vectors = malloc((size_t)VECTORS * ENGRAM_BLOCKS);
    test_fill(seed, r->vectors, (size_t)VECTORS * ENGRAM_BLOCKS);
    eg_nearest_init(&r->nearest);
    for (uint32_t i = 0; i < VECTORS; i++) {
        uint8_t *vector = r->vectors + (size_t)i * ENGRAM_BLOCKS;
        if (i >= 10)
            memcpy(vector, r->vectors + (size_t)(test_random(seed) % 10) * ENGRAM_BLOCKS, test_random(seed) % 5 * 64);
        assert_int_equal(eg_nearest_add(&r->nearest, vector, &error), ENGRAM_OK);
    }
    assert_int_equal(r->nearest.count, VECTORS);
}

static void drop_some(rig *r, uint64_t *seed)
{
    for (uint32_t i = 0; i < VECTORS; i++) {
        r->dropped[i] = test_random(seed) % 3 == 0;
        if (r->dropped[i])
            eg_nearest_drop(&r->nearest, i);
    }
}

static void expect(const rig *r, uint32_t number, const eg_hit *hits, uint32_t count)
{
    eg_hit wanted[K];
    eg_top top;
    const uint8_t *vector = r->vectors + (size_t)number * ENGRAM_BLOCKS;
    eg_top_init(&top, wanted, K, LEAST);
    for (uint32_t i = 0; i < number; i++) {
        uint32_t matches = engram_matches(vector, r->vectors + (size_t)i * ENGRAM_BLOCKS);
        if (!r->dropped[i] && matches >= top.bar)
            eg_top_offer(&top, i, matches);
    }
    eg_top_finish(&top);
    assert_int_equal(count, top.count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(hits[i].row, wanted[i].row);
        assert_int_equal(hits[i].matches, wanted[i].matches);
    }
}

static void check_all(rig *r)
{
    eg_hit hits[EG_NEAREST_QUERIES * K];
    uint32_t counts[EG_NEAREST_QUERIES];
    size_t found = 0;
    for (uint32_t first = 0, step = 1; first < VECTORS; first += step, step = step % EG_NEAREST_QUERIES + 1) {
        size_t count = step < VECTORS - first ? step : VECTORS - first;
        eg_nearest_find(&r->nearest, first, count, K, LEAST, hits, counts);
        for (size_t i = 0; i < count; i++) {
            expect(r, first + (uint32_t)i, hits + i * K, counts[i]);
            found += counts[i];
        }
    }
    assert_true(found > VECTORS);
}

static void test_as_by_hand(void **state)
{
    uint64_t seed = test_seed(11);
    rig r = {0};
    (void)state;
    make(&r, &seed);
    check_all(&r);
    drop_some(&r, &seed);
    check_all(&r);
    eg_nearest_fini(&r.nearest);
    free(r.vectors);
}

/* A failure to grow leaves it as it was. */
static void test_no_memory(void **state)
{
    uint64_t seed = test_seed(12);
    rig r = {0};
    uint8_t vector[ENGRAM_BLOCKS];
    engram_error error = {0};
    (void)state;
    make(&r, &seed);
    test_fill(&seed, vector, sizeof vector);
    while (r.nearest.count < r.nearest.room)
        assert_int_equal(eg_nearest_add(&r.nearest, vector, &error), ENGRAM_OK);
    uint32_t count = r.nearest.count;
    eg_alloc_fail_at(2, false);
    assert_int_equal(eg_nearest_add(&r.nearest, vector, &error), ENGRAM_NO_MEMORY);
    eg_alloc_fail_at(0, false);
    assert_int_equal(r.nearest.count, count);
    error = (engram_error){0};
    assert_int_equal(eg_nearest_add(&r.nearest, vector, &error), ENGRAM_OK);
    eg_nearest_fini(&r.nearest);
    free(r.vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_by_hand), cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
