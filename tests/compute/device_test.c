/* The device: names, and a backend that fails at any of its calls behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "compute/device_parts.h"
#include "compute/fake_backend.h"
#include "compute/inputs.h"

enum { CHUNKS = 20, CHUNK_SIZE = 700, ROWS = 300, QUERIES = 3, K = 7 };

/* What a small piece of work gave. */
typedef struct answers {
    uint8_t vectors[CHUNKS * ENGRAM_BLOCKS];
    uint32_t spreads[CHUNKS];
    uint32_t counters[ENGRAM_BLOCKS * ENGRAM_SYMBOLS];
    eg_hit hits[QUERIES * K];
    uint32_t counts[QUERIES];
} answers;

static uint8_t *rows; /* ROWS vectors */

static int make_rows(void **state)
{
    (void)state;
    uint64_t random = 1;
    rows = aligned_alloc(64, (size_t)ROWS * ENGRAM_BLOCKS);
    if (rows == NULL)
        return -1;
    fill_bytes(rows, (size_t)ROWS * ENGRAM_BLOCKS, FILL_TEXT, &random);
    eg_log_set_level(EG_LOG_ERROR);
    return 0;
}

static int free_rows(void **state)
{
    (void)state;
    free(rows);
    return 0;
}

static eg_device *make_device(fake_backend *fake, const eg_plan *plan)
{
    const eg_device_info info = {.spec = "fake:0", .backend = "fake", .name = "FAKE"};
    eg_device *device = NULL;
    engram_error error = {0};
    assert_int_equal(
        eg_device_create(fake != NULL ? &fake->base : NULL, plan, &info, 0, NULL, &device, &error),
        ENGRAM_OK);
    return device;
}

static void scan(eg_device *device, answers *a)
{
    const uint64_t live[ROWS / 64 + 1] = {UINT64_MAX, 0, UINT64_MAX, 0x5555, UINT64_MAX};
    eg_arena *arena;
    engram_error error = {0};
    assert_int_equal(eg_arena_create(device, &arena, &error), ENGRAM_OK);
    assert_int_equal(eg_arena_append(arena, eg_rows(rows, 100), &error), ENGRAM_OK);
    assert_int_equal(eg_arena_append(arena, eg_rows(rows + 100 * ENGRAM_BLOCKS, ROWS - 100), &error),
                     ENGRAM_OK);
    assert_int_equal(eg_arena_rows(arena), ROWS);
    assert_int_equal(eg_arena_top_k(arena, rows + 5 * ENGRAM_BLOCKS, QUERIES, live, K, 1, a->hits,
                                    a->counts, &error),
                     ENGRAM_OK);
    eg_arena_free(arena);
}

/* Three batches: encode, bundle, top_k. */
static void work(eg_device *device, answers *a)
{
    eg_view chunks[CHUNKS];
    engram_codebook codebook;
    engram_error error = {0};
    memset(a, 0, sizeof *a);
    engram_codebook_init(&codebook, 3);
    for (size_t i = 0; i < CHUNKS; i++)
        chunks[i] = (eg_view){rows + i * CHUNK_SIZE, CHUNK_SIZE - i};
    assert_int_equal(
        eg_device_encode(device, &codebook, chunks, CHUNKS, a->vectors, a->spreads, &error),
        ENGRAM_OK);
    assert_int_equal(eg_device_bundle(device, a->counters, rows, ROWS, -1, &error), ENGRAM_OK);
    scan(device, a);
}

static void assert_stats(eg_device *device, uint64_t batches, uint64_t fallback_batches)
{
    eg_device_stats stats;
    eg_device_get_stats(device, &stats);
    assert_int_equal(stats.batches, batches);
    assert_int_equal(stats.fallback_batches, fallback_batches);
}

static void assert_answers(const answers *a, const answers *b)
{
    assert_memory_equal(a->vectors, b->vectors, sizeof a->vectors);
    assert_memory_equal(a->spreads, b->spreads, sizeof a->spreads);
    assert_memory_equal(a->counters, b->counters, sizeof a->counters);
    assert_memory_equal(a->counts, b->counts, sizeof a->counts);
    for (unsigned q = 0; q < QUERIES; q++)
        for (unsigned i = 0; i < a->counts[q]; i++) {
            assert_int_equal(a->hits[q * K + i].row, b->hits[q * K + i].row);
            assert_int_equal(a->hits[q * K + i].matches, b->hits[q * K + i].matches);
        }
}

static answers *expected_answers(void)
{
    answers *a = malloc(sizeof *a);
    const eg_plan plan = eg_plan_all();
    assert_non_null(a);
    eg_device *device = make_device(NULL, &plan);
    work(device, a);
    assert_stats(device, 3, 0);
    eg_device_close(&device);
    assert_null(device);
    return a;
}

/* The calls of work: encode, bundle, create, append, append, top_k. Losing one of the middle three
 * costs the query. */
static void check_failure_at(long call, bool forever, const answers *expected)
{
    const eg_plan plan = eg_plan_all();
    answers *a = malloc(sizeof *a);
    fake_backend fake;
    assert_non_null(a);
    fake_backend_init(&fake);
    fake.calls_left = call;
    fake.forever = forever;
    eg_device *device = make_device(&fake, &plan);
    work(device, a);
    assert_answers(a, expected);
    uint64_t lost = call >= 6 ? 0 : forever ? (call < 2 ? (uint64_t)(3 - call) : 1) : 1;
    assert_stats(device, 3, lost);
    assert_int_equal(fake.residents, 0);
    eg_device_close(&device);
    assert_int_equal(fake.closed, 1);
    free(a);
}

static void test_any_call_may_fail(void **state)
{
    (void)state;
    answers *expected = expected_answers();
    for (long call = 0; call < 8; call++) {
        check_failure_at(call, false, expected);
        check_failure_at(call, true, expected);
    }
    free(expected);
}

static void test_missing_entries(void **state)
{
    (void)state;
    const eg_plan plan = eg_plan_all();
    answers *expected = expected_answers(), *a = malloc(sizeof *a);
    fake_backend fake;
    assert_non_null(a);
    fake_backend_init(&fake);
    fake.ops.encode = NULL;
    fake.ops.bundle = NULL;
    fake.ops.resident_append = NULL;
    eg_device *device = make_device(&fake, &plan);
    work(device, a);
    assert_answers(a, expected);
    assert_stats(device, 3, 3);
    assert_int_equal(fake.calls, 0);
    eg_device_close(&device);
    free(expected);
    free(a);
}

/* What the plan gives to the CPU is no fallback. */
static void test_plan_decides(void **state)
{
    (void)state;
    const eg_plan plan = {{UINT64_MAX, ROWS + 1, (uint64_t)ROWS * QUERIES}};
    answers *expected = expected_answers(), *a = malloc(sizeof *a);
    fake_backend fake;
    assert_non_null(a);
    fake_backend_init(&fake);
    eg_device *device = make_device(&fake, &plan);
    work(device, a);
    assert_answers(a, expected);
    assert_stats(device, 3, 0);
    assert_int_equal(fake.calls, 4); /* create, two appends, top_k */
    eg_device_close(&device);
    free(expected);
    free(a);
}

/* Any allocation may fail: the call says so, or the CPU did it; nothing leaks or crashes. */
static void test_memory_runs_out(void **state)
{
    (void)state;
    for (long n = 1; n < 14; n++) {
        const eg_plan plan = eg_plan_all();
        const eg_device_info info = {.spec = "fake:0"};
        engram_error error = {0};
        eg_device *device = NULL;
        eg_arena *arena = NULL;
        eg_hit hits[K];
        uint32_t count;
        fake_backend fake;
        fake_backend_init(&fake);
        eg_alloc_fail_at(n, false);
        engram_status status = eg_device_create(&fake.base, &plan, &info, 0, NULL, &device, &error);
        if (status == ENGRAM_OK)
            status = eg_arena_create(device, &arena, &error);
        if (status == ENGRAM_OK)
            status = eg_arena_append(arena, eg_rows(rows, ROWS), &error);
        if (status == ENGRAM_OK)
            status = eg_arena_top_k(arena, rows, 1, NULL, K, 0, hits, &count, &error);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        assert_true(status != ENGRAM_OK || (count == K && hits[0].row == 0));
        eg_arena_free(arena);
        eg_device_close(&device);
        assert_int_equal(fake.closed, 1);
    }
}

static void test_names(void **state)
{
    (void)state;
    eg_device_info infos[64];
    size_t count = eg_device_list(infos, 64);
    assert_true(count >= 1 && count <= 64);
    assert_string_equal(infos[0].spec, "scalar");
    assert_int_equal(eg_device_list(NULL, 0), count);
    for (size_t i = 0; i < count; i++) {
        eg_device *device = NULL;
        eg_device_stats stats;
        engram_error error = {0};
        assert_true(infos[i].name[0] != '\0');
        assert_int_equal(eg_device_open(infos[i].spec, NULL, &device, &error), ENGRAM_OK);
        assert_string_equal(eg_device_get_info(device)->spec, infos[i].spec);
        eg_device_get_stats(device, &stats);
        assert_memory_equal(stats.device_used, infos[i].spec, strlen(infos[i].spec));
        eg_device_close(&device);
    }
}

static void test_unknown_device(void **state)
{
    (void)state;
    static const char *const names[] = {"", "gpu", "AVX2", "opencl:", "opencl:99.99", "avx5120"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        eg_device *device = NULL;
        engram_error error = {0};
        assert_int_equal(eg_device_open(names[i], NULL, &device, &error), ENGRAM_NO_DEVICE);
        assert_null(device);
        assert_non_null(strstr(error.message, "scalar"));
    }
}

static void test_missing_instructions(void **state)
{
    (void)state;
    eg_backend *backend = NULL;
    engram_error error = {0};
    assert_int_equal(eg_backend_cpu_open(1u << 30, NULL, &backend, &error), ENGRAM_NO_DEVICE);
    assert_null(backend);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    const eg_plan plan = eg_plan_all();
    eg_device *device = make_device(NULL, &plan);
    eg_arena *arena;
    eg_hit hit;
    uint32_t count;
    engram_error error = {0};
    assert_int_equal(eg_arena_create(device, &arena, &error), ENGRAM_OK);
    assert_int_equal(eg_arena_append(arena, eg_rows(rows + 1, 1), &error), ENGRAM_INVALID);
    assert_int_equal(eg_arena_rows(arena), 0);
    assert_int_equal(eg_arena_top_k(arena, rows, 1, NULL, 0, 0, &hit, &count, &error),
                     ENGRAM_INVALID);
    assert_int_equal(eg_arena_top_k(arena, rows, 1, NULL, 65537, 0, &hit, &count, &error),
                     ENGRAM_INVALID);
    assert_int_equal(eg_arena_top_k(arena, rows, 1, NULL, 1, 0, &hit, &count, &error), ENGRAM_OK);
    assert_int_equal(count, 0);
    eg_arena_free(arena);
    eg_arena_free(NULL);
    eg_device_close(&device);
    eg_device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_call_may_fail),
        cmocka_unit_test(test_missing_entries),
        cmocka_unit_test(test_plan_decides),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unknown_device),
        cmocka_unit_test(test_missing_instructions),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, make_rows, free_rows);
}
