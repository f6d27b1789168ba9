/* The set of ids against an array of flags; memory follows what is in it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/test.h"
#include "store/id_set.h"
#include "vsa/random.h"

enum { RANGE = 200000, STEPS = 60000 };

static void compare(const eg_id_set *set, const bool *flags, uint64_t offset)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < RANGE; i++) {
        assert_int_equal(eg_id_set_has(set, offset + i), flags[i]);
        count += flags[i];
    }
    assert_int_equal(set->count, count);
}

static void change(eg_id_set *set, bool *flags, uint64_t seed, uint64_t offset)
{
    for (uint64_t i = 0; i < STEPS; i++) {
        uint64_t at = test_mix(seed + i) % RANGE;
        flags[at] = test_mix(seed - i) % 3 != 0;
        if (flags[at])
            assert_true(eg_id_set_add(set, offset + at));
        else
            eg_id_set_remove(set, offset + at);
    }
}

static void holds_what_was_added(void **state)
{
    uint64_t seed = test_seed(0x1D5E);
    bool *flags = calloc(RANGE, 1), *others = calloc(RANGE, 1);
    (void)state;
    for (int i = 0; i < 2; i++) {
        uint64_t offset = i == 0 ? 0 : UINT64_MAX - RANGE;
        eg_id_set set = {0}, other = {0};
        memset(flags, 0, RANGE);
        memset(others, 0, RANGE);
        change(&set, flags, seed, offset);
        compare(&set, flags, offset);
        change(&other, others, seed + 1, offset);
        eg_id_set_subtract(&set, &other);
        for (size_t k = 0; k < RANGE; k++)
            flags[k] = flags[k] && !others[k];
        compare(&set, flags, offset);
        compare(&other, others, offset);
        eg_id_set_fini(&set);
        assert_false(eg_id_set_has(&set, offset + 1));
        eg_id_set_fini(&other);
    }
    free(flags);
    free(others);
}

/* Far apart: a page each. In no order. */
static void a_large_id_is_no_large_allocation(void **state)
{
    eg_id_set set = {0};
    (void)state;
    for (uint64_t i = 0; i < 64; i++)
        assert_true(eg_id_set_add(&set, UINT64_C(1) << (i * 37 % 64)));
    for (uint64_t i = 0; i < 64; i++)
        assert_true(eg_id_set_has(&set, UINT64_C(1) << i));
    assert_true(set.page_count <= 64 && set.count == 64);
    eg_alloc_fail_at(1, false);
    assert_false(eg_id_set_add(&set, UINT64_MAX));
    eg_alloc_fail_at(0, false);
    assert_false(eg_id_set_has(&set, UINT64_MAX));
    assert_int_equal(set.count, 64);
    eg_id_set_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_added),
        cmocka_unit_test(a_large_id_is_no_large_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
