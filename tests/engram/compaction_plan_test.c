/* What a compaction decides to do, from figures alone. */
#include "base/memory.h"
#include "base/test.h"
#include "engram/internal.h"

#define MIB (UINT64_C(1) << 20)

enum { MOST = 16 };

static eg_run runs[MOST];

static size_t plan(eg_compaction what, double garbage, const eg_share *shares, size_t count)
{
    eg_run *made;
    size_t n;
    assert_int_equal(eg_compaction_plan(what, garbage, shares, count, &made, &n, NULL), ENGRAM_OK);
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++)
        runs[i] = made[i];
    eg_free(made);
    return n;
}

static eg_share share(uint64_t bytes, uint64_t doomed_bytes, uint8_t level)
{
    return (eg_share){.level = level,
                      .is_sealed = true,
                      .chunks = bytes / 16384,
                      .bytes = bytes,
                      .doomed = doomed_bytes / 16384,
                      .doomed_bytes = doomed_bytes};
}

static void expect_run(size_t i, size_t first, size_t count, unsigned level)
{
    assert_int_equal(runs[i].first, first);
    assert_int_equal(runs[i].count, count);
    assert_int_equal(runs[i].level, level);
}

static void garbage_decides(void **state)
{
    (void)state;
    eg_share s[] = {share(64 * MIB, 2 * MIB, 1), share(64 * MIB, 0, 0), share(64 * MIB, 7 * MIB, 0),
                    share(64 * MIB, 64 * MIB, 0)};
    assert_int_equal(plan(EG_COLLECT, 0.1, s, 4), 1);
    expect_run(0, 2, 2, 1);
    assert_int_equal(runs[0].bytes, 57 * MIB);
    assert_int_equal(runs[0].bytes_gained, 71 * MIB);
    assert_int_equal(plan(EG_COLLECT, 0.02, s, 4), 2); /* the newest first */
    expect_run(1, 0, 1, 1);
    s[1].bound_bytes = 9 * MIB; /* garbage elsewhere that it holds */
    assert_int_equal(plan(EG_COLLECT, 0.02, s, 4), 1);
    expect_run(0, 0, 4, 2);
    assert_int_equal(plan(EG_COLLECT, 0.02, s, 0), 0);
}

static void what_is_not_sealed_stays(void **state)
{
    (void)state;
    eg_share s[] = {share(MIB, 0, 0), share(MIB, 0, 0), share(MIB, MIB, 0), share(MIB, 0, 0),
                    share(MIB, 0, 0)};
    s[2].is_sealed = false;
    assert_int_equal(plan(EG_COMPACT, 0.1, s, 5), 2);
    expect_run(0, 3, 2, 1);
    expect_run(1, 0, 2, 1);
}

static void what_is_in_rows_is_written_anew(void **state)
{
    (void)state;
    eg_share s[] = {share(900 * MIB, 0, 3), share(900 * MIB, 0, 3)};
    assert_int_equal(plan(EG_COMPACT, 0.1, s, 2), 0);
    s[0].is_in_rows = true;
    assert_int_equal(plan(EG_COMPACT, 0.1, s, 2), 1);
    expect_run(0, 0, 1, 3);
    assert_int_equal(plan(EG_COLLECT, 0.1, s, 2), 0);
    assert_int_equal(plan(EG_LEVELS, 0.1, s, 2), 0);
}

static void a_file_has_its_limit(void **state)
{
    (void)state;
    eg_share s[] = {share(400 * MIB, 0, 1), share(400 * MIB, 0, 1), share(400 * MIB, 0, 1),
                    share(1024 * MIB, 0, 2), share(2000 * MIB, 1900 * MIB, 2)};
    assert_int_equal(plan(EG_COMPACT, 0.1, s, 5), 2);
    expect_run(0, 4, 1, 2); /* what is left of it would fit, but not with the one before */
    expect_run(1, 1, 2, 2);
    s[0].chunks = EG_MERGE_CHUNKS_MAX;
    assert_int_equal(plan(EG_COMPACT, 0.1, s, 2), 0);
}

static void four_of_a_level_become_one_of_the_next(void **state)
{
    (void)state;
    eg_share s[MOST];
    for (size_t i = 0; i < MOST; i++)
        s[i] = share(MIB, MIB / 2, i < 5 ? 1 : 0);
    assert_int_equal(plan(EG_LEVELS, 1.0, s, 3), 0);
    assert_int_equal(plan(EG_LEVELS, 1.0, s, 9), 2);
    expect_run(0, 5, 4, 1);
    expect_run(1, 1, 4, 2);
    s[6].level = 3;
    assert_int_equal(plan(EG_LEVELS, 1.0, s, 9), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_decides),
        cmocka_unit_test(what_is_not_sealed_stays),
        cmocka_unit_test(what_is_in_rows_is_written_anew),
        cmocka_unit_test(a_file_has_its_limit),
        cmocka_unit_test(four_of_a_level_become_one_of_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
