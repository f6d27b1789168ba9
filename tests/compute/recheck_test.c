/* The sampled check of a device, by a backend that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "compute/device_parts.h"
#include "compute/fake_backend.h"
#include "compute/inputs.h"

enum { ROWS = 70, QUERIES = 3, K = 6, CHUNKS = 2, CHUNK_SIZE = 300 };

typedef struct fixture {
    fake_backend fake;
    eg_device *device;
    eg_arena *arena;
    uint8_t *rows;
    /* The last answers. */
    uint8_t vectors[CHUNKS * ENGRAM_BLOCKS];
    uint32_t spreads[CHUNKS];
    uint32_t counters[ENGRAM_BLOCKS * ENGRAM_SYMBOLS];
    eg_hit hits[QUERIES * K];
    uint32_t counts[QUERIES];
} fixture;

static fixture *set_up(bool with_fake, fake_lie lie)
{
    const eg_plan plan = eg_plan_all();
    const eg_device_info info = {.spec = "fake:0", .backend = "fake", .name = "FAKE"};
    engram_error error = {0};
    uint64_t random = 7;
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->rows = aligned_alloc(64, (size_t)ROWS * ENGRAM_BLOCKS);
    assert_non_null(f->rows);
    fill_bytes(f->rows, (size_t)ROWS * ENGRAM_BLOCKS, FILL_TEXT, &random);
    fake_backend_init(&f->fake);
    f->fake.lie = lie;
    assert_int_equal(eg_device_create(with_fake ? &f->fake.base : NULL, &plan, &info, 0, NULL,
                                      &f->device, &error),
                     ENGRAM_OK);
    assert_int_equal(eg_arena_create(f->device, &f->arena, &error), ENGRAM_OK);
    assert_int_equal(eg_arena_append(f->arena, eg_rows(f->rows, ROWS), &error), ENGRAM_OK);
    f->fake.calls = 0;
    return f;
}

static void tear_down(fixture *f)
{
    bool is_devices = f->device->other != NULL;
    eg_arena_free(f->arena);
    eg_device_close(&f->device);
    if (!is_devices)
        f->fake.base.ops->close(&f->fake.base);
    free(f->rows);
    free(f);
}

static void encode(fixture *f)
{
    eg_view chunks[CHUNKS];
    engram_codebook codebook;
    engram_error error = {0};
    engram_codebook_init(&codebook, 3);
    for (size_t i = 0; i < CHUNKS; i++)
        chunks[i] = (eg_view){f->rows + i * CHUNK_SIZE, CHUNK_SIZE};
    assert_int_equal(
        eg_device_encode(f->device, &codebook, chunks, CHUNKS, f->vectors, f->spreads, &error),
        ENGRAM_OK);
}

static void bundle(fixture *f)
{
    engram_error error = {0};
    memset(f->counters, 0, sizeof f->counters);
    assert_int_equal(eg_device_bundle(f->device, f->counters, f->rows, 3, 1, &error), ENGRAM_OK);
}

static void scan(fixture *f)
{
    engram_error error = {0};
    memset(f->hits, 0, sizeof f->hits);
    assert_int_equal(eg_arena_top_k(f->arena, f->rows + 9 * ENGRAM_BLOCKS, QUERIES, NULL, K, 1,
                                    f->hits, f->counts, &error),
                     ENGRAM_OK);
}

typedef void operation(fixture *f);
static operation *const operation_of[LIES] = {
    [LIE_VECTOR] = encode, [LIE_SPREAD] = encode, [LIE_COUNTER] = bundle,
    [LIE_ROW] = scan,      [LIE_MATCHES] = scan,  [LIE_COUNT] = scan};

/* Of the fixture's answers, those that the operations so far gave. */
static bool is_as(const fixture *f, const fixture *right)
{
    bool is_equal = memcmp(f->vectors, right->vectors, sizeof f->vectors) == 0 &&
                    memcmp(f->spreads, right->spreads, sizeof f->spreads) == 0 &&
                    memcmp(f->counters, right->counters, sizeof f->counters) == 0 &&
                    memcmp(f->counts, right->counts, sizeof f->counts) == 0;
    for (size_t i = 0; i < QUERIES * K; i++)
        is_equal &=
            f->hits[i].row == right->hits[i].row && f->hits[i].matches == right->hits[i].matches;
    return is_equal;
}

static eg_device_stats stats_of(fixture *f)
{
    eg_device_stats stats;
    eg_device_get_stats(f->device, &stats);
    return stats;
}

static void check_lie(fake_lie lie, uint32_t interval)
{
    fixture *f = set_up(true, lie), *right = set_up(false, LIE_NONE);
    eg_device_set_check_interval(f->device, interval);
    operation_of[lie](right);
    for (uint32_t i = 1; i < interval; i++) {
        operation_of[lie](f);
        assert_false(is_as(f, right)); /* nothing else would tell */
        assert_false(stats_of(f).is_bad);
    }
    for (unsigned i = 0; i < 5; i++) {
        operation_of[lie](f);
        assert_true(is_as(f, right));
        assert_true(stats_of(f).is_bad);
    }
    assert_int_equal(f->fake.calls, interval);
    assert_int_equal(stats_of(f).batches, interval + 4);
    assert_int_equal(stats_of(f).checked_batches, 1);
    assert_int_equal(stats_of(f).wrong_batches, 1);
    assert_int_equal(stats_of(f).fallback_batches, 5);
    /* The other operations are the CPU's too. */
    encode(f), bundle(f), scan(f);
    encode(right), bundle(right), scan(right);
    assert_true(is_as(f, right));
    assert_int_equal(f->fake.calls, interval);
    assert_int_equal(stats_of(f).fallback_batches, 8);
    tear_down(f);
    tear_down(right);
}

static void test_lies_are_found(void **state)
{
    (void)state;
    for (fake_lie lie = LIE_VECTOR; lie < LIES; lie++) {
        check_lie(lie, 1);
        check_lie(lie, 3);
    }
}

static void test_honest_device(void **state)
{
    (void)state;
    fixture *f = set_up(true, LIE_NONE);
    eg_device_set_check_interval(f->device, 2);
    for (unsigned i = 0; i < 7; i++)
        encode(f), bundle(f), scan(f);
    assert_int_equal(stats_of(f).checked_batches, 9); /* 3 of each */
    assert_int_equal(stats_of(f).wrong_batches, 0);
    assert_int_equal(stats_of(f).fallback_batches, 0);
    assert_false(stats_of(f).is_bad);
    tear_down(f);
}

/* One in 1,024 of each operation, however they alternate. */
static void test_default_interval(void **state)
{
    (void)state;
    fixture *f = set_up(true, LIE_NONE);
    for (unsigned i = 1; i <= EG_DEVICE_CHECK_INTERVAL; i++) {
        encode(f), scan(f);
        assert_int_equal(stats_of(f).checked_batches, i < EG_DEVICE_CHECK_INTERVAL ? 0 : 2);
    }
    tear_down(f);
}

static void test_never(void **state)
{
    (void)state;
    fixture *f = set_up(true, LIE_ROW), *cpu = set_up(false, LIE_NONE);
    eg_device_set_check_interval(f->device, 0);
    eg_device_set_check_interval(cpu->device, 1);
    for (unsigned i = 0; i < 1100; i++)
        scan(f);
    encode(cpu), bundle(cpu), scan(cpu);
    assert_false(is_as(f, cpu));
    assert_int_equal(stats_of(f).checked_batches, 0);
    assert_int_equal(stats_of(cpu).checked_batches, 0);
    tear_down(f);
    tear_down(cpu);
}

/* So many pairs that a check takes some of the queries, others each time: a lie about one query of
 * many is found before all turns are over. */
static void test_large_scans(void **state)
{
    (void)state;
    enum { MANY_ROWS = 1 << 20, MANY = 12 };
    fixture *f = set_up(true, LIE_ROW);
    engram_error error = {0};
    eg_hit hits[MANY * K];
    uint32_t counts[MANY];
    unsigned scans = 0;
    uint8_t *rows = aligned_alloc(64, (size_t)MANY_ROWS * ENGRAM_BLOCKS / 64);
    assert_non_null(rows);
    memset(rows, 0, (size_t)MANY_ROWS * ENGRAM_BLOCKS / 64);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(eg_arena_append(f->arena, eg_rows(rows, MANY_ROWS / 64), &error), ENGRAM_OK);
    uint64_t *live = calloc(MANY_ROWS / 64 + 10, sizeof *live); /* so that it takes no time */
    assert_non_null(live);
    live[0] = UINT64_MAX;
    eg_device_set_check_interval(f->device, 1);
    while (!stats_of(f).is_bad && scans < MANY + 1) {
        assert_int_equal(eg_arena_top_k(f->arena, f->rows, MANY, live, K, 1, hits, counts, &error),
                         ENGRAM_OK);
        scans++;
    }
    assert_true(stats_of(f).is_bad);
    assert_true(scans > 1); /* the lie is about the last query */
    assert_int_equal(stats_of(f).checked_batches, scans);
    free(live);
    tear_down(f);
    free(rows);
}

/* A check for which there is no memory is left out, and the answer taken. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    fixture *f = set_up(true, LIE_NONE), *right = set_up(false, LIE_NONE);
    encode(right), bundle(right), scan(right);
    eg_device_set_check_interval(f->device, 1);
    long n = 0;
    do {
        eg_alloc_fail_at(++n, false);
        encode(f), bundle(f), scan(f);
        assert_true(n < 100);
        assert_true(is_as(f, right));
    } while (eg_alloc_count() >= n);
    eg_alloc_fail_at(0, false);
    assert_true(n > 6);
    assert_false(stats_of(f).is_bad);
    assert_int_equal(stats_of(f).wrong_batches, 0);
    tear_down(f);
    tear_down(right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_are_found),   cmocka_unit_test(test_honest_device),
        cmocka_unit_test(test_default_interval), cmocka_unit_test(test_never),
        cmocka_unit_test(test_large_scans),      cmocka_unit_test(test_memory_runs_out),
    };
    eg_log_set_level(EG_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
