/* The k best, against sorting everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "compute/inputs.h"
#include "compute/top.h"

enum { ROWS_MAX = 2000 };

static int compare_hits(const void *a, const void *b)
{
    return eg_hit_before(*(const eg_hit *)a, *(const eg_hit *)b) ? -1 : 1;
}

/* Distinct rows in random order, few different counts so that ties abound. */
static size_t make_hits(eg_hit *hits, uint64_t *state)
{
    size_t count = random_below(state, ROWS_MAX + 1), range = 1 + random_below(state, 257);
    for (size_t i = 0; i < count; i++)
        hits[i] = (eg_hit){i * 3, (uint32_t)random_below(state, range)};
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(state, i);
        eg_hit hit = hits[i - 1];
        hits[i - 1] = hits[j];
        hits[j] = hit;
    }
    return count;
}

static void validate_heap(const eg_top *top)
{
    assert_true(top->count <= top->k);
    for (uint32_t i = 1; i < top->count; i++)
        assert_true(eg_hit_before(top->hits[i], top->hits[(i - 1) / 2]));
}

static void check_round(uint64_t *state)
{
    static eg_hit all[ROWS_MAX], kept[ROWS_MAX + 10];
    size_t count = make_hits(all, state), above = 0;
    uint32_t k = 1 + (uint32_t)random_below(state, ROWS_MAX + 9);
    uint32_t minimum = (uint32_t)random_below(state, 20);
    eg_top top;
    eg_top_init(&top, kept, k, minimum);
    for (size_t i = 0; i < count; i++) {
        above += all[i].matches >= minimum;
        if (all[i].matches >= top.bar)
            eg_top_offer(&top, all[i].row, all[i].matches);
        if (i % 16 == 0)
            validate_heap(&top);
    }
    validate_heap(&top);
    eg_top_finish(&top);
    qsort(all, count, sizeof *all, compare_hits);
    assert_int_equal(top.count, above < k ? above : k);
    for (uint32_t i = 0; i < top.count; i++) {
        assert_int_equal(kept[i].row, all[i].row);
        assert_int_equal(kept[i].matches, all[i].matches);
    }
}

static void test_against_sorting(void **unused)
{
    (void)unused;
    uint64_t state = 1;
    print_message("seed 1\n");
    for (unsigned round = 0; round < 300; round++)
        check_round(&state);
}

static void test_bar_rises_when_full(void **unused)
{
    (void)unused;
    eg_hit hits[2];
    eg_top top;
    eg_top_init(&top, hits, 2, 5);
    assert_int_equal(top.bar, 5);
    eg_top_offer(&top, 7, 9);
    assert_int_equal(top.bar, 5);
    eg_top_offer(&top, 8, 6);
    assert_int_equal(top.bar, 6);
    eg_top_offer(&top, 3, 6); /* ties go to the lower row */
    eg_top_offer(&top, 4, 6);
    eg_top_finish(&top);
    assert_int_equal(hits[0].row, 7);
    assert_int_equal(hits[1].row, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sorting),
        cmocka_unit_test(test_bar_rises_when_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
