/* What can go wrong around an OpenCL device: unknown ones, each call or allocation failing in turn,
 * several threads, and a cache of programs that is damaged or nowhere. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/test.h"
#include "fixture.h"

/* ---- devices and failures ---- */

static void test_list(void **state)
{
    (void)state;
    fixture_skip();
    eg_device_info infos[8];
    size_t count = eg_opencl_list(infos, 8);
    assert_string_equal(infos[0].spec, "opencl:0.0");
    assert_string_equal(infos[0].backend, "opencl");
    assert_true(infos[0].name[0] != 0 && infos[0].driver[0] != 0);
    assert_true(infos[0].compute_units > 0 && infos[0].allocation_max > 0);
    assert_int_equal(eg_opencl_list(infos, 0), count);
    eg_cl_fail_at(1); /* as without a loader or a platform */
    assert_int_equal(eg_opencl_list(infos, 8), 0);
    eg_cl_fail_at(0);
}

static void test_unknown_device(void **state)
{
    (void)state;
    engram_error error = {0};
    eg_backend *backend;
    assert_int_equal(eg_backend_opencl_open(99, 0, &backend, &error), ENGRAM_NO_DEVICE);
    assert_null(backend);
    assert_non_null(strstr(error.message, "99.0"));
    fixture_skip();
    error = (engram_error){0};
    assert_int_equal(eg_backend_opencl_open(0, 99, &backend, &error), ENGRAM_NO_DEVICE);
    assert_non_null(strstr(error.message, "0.99"));
}

/* Every call of opening fails in turn: a clean failure, or one that the cache made up for. */
static void test_open_survives_failing_calls(void **state)
{
    (void)state;
    fixture_skip();
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    eg_cl_fail_at(0);
    backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    long calls = eg_cl_call_count();
    assert_true(calls > 50);
    for (long n = 1; n <= calls; n += TEST_STRIDE) {
        engram_error error = {0};
        eg_cl_fail_at(n);
        engram_status status = eg_backend_opencl_open(0, 0, &backend, &error);
        if (status == ENGRAM_OK) {
            assert_non_null(backend);
            fixture_close(backend);
            continue;
        }
        assert_null(backend);
        assert_int_equal(eg_cl_live_count(), 0);
        assert_true(status == ENGRAM_DEVICE || status == ENGRAM_NO_DEVICE);
        assert_true(error.message[0] != 0);
    }
    eg_cl_fail_at(0);
}

/* The same for building without a cache. */
static void test_build_survives_failing_calls(void **state)
{
    (void)state;
    fixture_skip();
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    eg_cl_fail_at(0);
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    long calls = eg_cl_call_count();
    unsigned failures = 0;
    for (long n = 1; n <= calls && n < 40; n += TEST_STRIDE) {
        engram_error error = {0};
        eg_cl_fail_at(n);
        eg_log_set_level(EG_LOG_ERROR);
        if (eg_backend_opencl_open(0, 0, &backend, &error) == ENGRAM_OK)
            fixture_close(backend);
        else
            failures++;
    }
    eg_cl_fail_at(0);
    assert_true(failures > 10 / TEST_STRIDE);
    setenv("XDG_CACHE_HOME", fixture_cache, 1);
}

typedef struct batch { /* one call of each operation, with what it must give */
    engram_codebook codebook;
    eg_view chunks[20];
    uint8_t *vectors, *planes; /* the same */
    uint8_t encoded[20 * VECTOR];
    uint32_t spreads[20];
    uint32_t *counters;
    eg_resident *resident;
    eg_hit hits[4 * 30];
    uint32_t counts[4];
} batch;

enum { BATCH_ROWS = 600 };

/* A hundred rows: in rows and in planes by turns, then in planes as those before, then in rows. */
static eg_vectors batch_part(const batch *t, size_t i)
{
    eg_vectors v = eg_rows(t->vectors, BATCH_ROWS);
    if (i == 1 || i == 3 || i == 4)
        v = (eg_vectors){t->planes, BATCH_ROWS, 0, BATCH_ROWS, EG_LAYOUT_PLANES};
    return eg_vectors_part(v, i * 100, 100);
}

static engram_status run_batch(eg_backend *b, batch *t, int step, engram_error *error)
{
    switch (step) {
    case 0:
        return b->ops->encode(b, &t->codebook, t->chunks, 20, t->encoded, t->spreads, error);
    case 1:
        memset(t->counters, 0, COUNTERS * sizeof *t->counters);
        return b->ops->bundle(b, t->counters, t->vectors, BATCH_ROWS, 1, error);
    case 2:
        return b->ops->top_k(b, t->resident, t->vectors, 4, NULL, 30, 1, t->hits, t->counts, error);
    default:
        return b->ops->resident_append(b, t->resident, batch_part(t, (size_t)step - 3), error);
    }
}

static void check_batch(eg_backend *b, batch *t, size_t appended)
{
    engram_bundle *expected = eg_alloc_zero(1, sizeof *expected);
    fixture_check_encoded(&t->codebook, t->chunks, 20, t->encoded, t->spreads);
    engram_bundle_add(expected, t->vectors, BATCH_ROWS);
    assert_memory_equal(t->counters, expected->counters, sizeof expected->counters);
    const fixture_rows r = {.vectors = t->vectors, .count = appended, .resident = t->resident};
    fixture_check_top_k(b, &r, t->vectors, 4, NULL, 30, 1);
    eg_free(expected);
}

/* On one backend: each call of each operation fails in turn, the operation fails cleanly, and done
 * again it gives the right answer; a failed append leaves the rows as they were. */
static void operations_survive(eg_backend *b)
{
    batch *t = eg_alloc_zero(1, sizeof *t);
    engram_error none = {0};
    engram_codebook_init(&t->codebook, fixture_next());
    t->vectors = fixture_allocate(BATCH_ROWS * VECTOR);
    t->counters = eg_alloc_zero(COUNTERS, sizeof *t->counters);
    t->planes = fixture_allocate(BATCH_ROWS * VECTOR);
    fixture_fill(t->vectors, BATCH_ROWS * VECTOR, 3);
    for (size_t i = 0; i < BATCH_ROWS; i++)
        eg_planes_put(t->planes, BATCH_ROWS, i, t->vectors + i * VECTOR);
    for (size_t i = 0; i < 20; i++) /* not in order, so gathered */
        t->chunks[i] = (eg_view){t->vectors + (20 - i) * 997, i * 31};
    fixture_require(b->ops->resident_create(b, &t->resident, &none), &none);
    const int steps[] = {3, 4, 5, 6, 7, 8, 0, 1, 2};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        engram_status status = ENGRAM_DEVICE;
        long n = 0;
        while (status != ENGRAM_OK) {
            engram_error error = {0};
            eg_cl_fail_at(n += TEST_STRIDE);
            status = run_batch(b, t, steps[i], &error);
            assert_true(status == ENGRAM_OK || status == ENGRAM_DEVICE);
            assert_int_equal(error.status, status);
            assert_true(n < 10000);
        }
        assert_true(n > 1);
    }
    eg_cl_fail_at(0);
    check_batch(b, t, BATCH_ROWS);
    b->ops->resident_free(b, t->resident);
    eg_free(t->vectors);
    eg_free(t->planes);
    eg_free(t->counters);
    eg_free(t);
}

static void test_operations_survive_failing_calls(void **state)
{
    (void)state;
    fixture_with_backends(operations_survive);
}

/* The n-th allocation fails: no memory, or done without a cache. */
static void test_open_survives_failing_allocations(void **state)
{
    (void)state;
    fixture_skip();
    eg_alloc_fail_at(0, false);
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    long allocations = eg_alloc_count();
    for (long n = 1; n <= allocations; n += TEST_STRIDE) {
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        engram_status status = eg_backend_opencl_open(0, 0, &backend, &error);
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        if (status == ENGRAM_OK)
            fixture_close(backend);
    }
}

/* Several threads on one backend: each gets its own answers. */
typedef struct caller {
    eg_backend *backend;
    eg_resident *resident;
    const uint8_t *vectors;
    engram_codebook codebook;
    uint8_t encoded[VECTOR];
    uint32_t spread;
    eg_hit hits[5];
    uint32_t count;
    engram_status status;
} caller;

static void *call_often(void *context)
{
    caller *c = context;
    const eg_backend_ops *ops = c->backend->ops;
    eg_view chunk = {c->vectors, 5000};
    for (unsigned i = 0; i < 30 && c->status == ENGRAM_OK; i++) {
        c->status = ops->encode(c->backend, &c->codebook, &chunk, 1, c->encoded, &c->spread, NULL);
        if (c->status == ENGRAM_OK)
            c->status = ops->top_k(c->backend, c->resident, c->vectors, 1, NULL, 5, 0, c->hits,
                                   &c->count, NULL);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    fixture_skip();
    fixture_seed();
    enum { THREADS = 4 };
    caller callers[THREADS];
    pthread_t threads[THREADS];
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_rows r = fixture_rows_make(backend, 1000, 256, IN_BOTH);
    for (size_t i = 0; i < THREADS; i++) {
        callers[i] = (caller){
            .backend = backend, .resident = r.resident, .vectors = r.vectors + i * 7 * VECTOR};
        engram_codebook_init(&callers[i].codebook, i);
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(callers[i].status, ENGRAM_OK);
        assert_int_equal(callers[i].count, 5);
        assert_int_equal(callers[i].hits[0].row, i * 7);
        fixture_check_encoded(&callers[i].codebook, &(eg_view){callers[i].vectors, 5000}, 1,
                              callers[i].encoded, &callers[i].spread);
    }
    fixture_rows_free(backend, &r);
    fixture_close(backend);
}

/* ---- the cache of programs ---- */

typedef struct listing {
    char paths[16][512];
    uint64_t sizes[16];
    size_t count;
} listing;

static engram_status list_entry(void *context, const char *name)
{
    listing *l = context;
    uint64_t disk;
    assert_true(l->count < 16);
    snprintf(l->paths[l->count], sizeof l->paths[0], "%s/engram/%s", fixture_cache, name);
    assert_int_equal(
        eg_io_posix()->stat(eg_io_posix(), l->paths[l->count], &l->sizes[l->count], &disk, NULL),
        ENGRAM_OK);
    l->count++;
    return ENGRAM_OK;
}

static void list_cache(listing *l)
{
    char dir[300];
    snprintf(dir, sizeof dir, "%s/engram", fixture_cache);
    l->count = 0;
    assert_int_equal(eg_io_posix()->list(eg_io_posix(), dir, list_entry, l, NULL), ENGRAM_OK);
}

static void overwrite(const char *path, size_t offset, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static const char damage[2] = "\xA5\x5A";

/* After any damage the programs are built again and the file is whole again. */
static void check_rebuilt(const char *path, uint64_t size, size_t offset)
{
    uint64_t now = 0, disk;
    char head[8] = {0}, damaged[2] = {0};
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    assert_int_equal(eg_io_posix()->stat(eg_io_posix(), path, &now, &disk, NULL), ENGRAM_OK);
    assert_true(now > size / 2);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(damaged, 1, sizeof damaged, file), sizeof damaged);
    fclose(file);
    assert_memory_equal(head, "EGCLBIN1", sizeof head);
    assert_memory_not_equal(damaged, damage, sizeof damage);
}

static void test_cache_damage(void **state)
{
    (void)state;
    fixture_skip();
    listing l;
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    list_cache(&l);
    assert_int_equal(l.count, EG_CL_FILES);
    const size_t offsets[] = {0, 9, 17, 25, 40};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        overwrite(l.paths[i % l.count], offsets[i], damage, sizeof damage);
        check_rebuilt(l.paths[i % l.count], l.sizes[i % l.count], offsets[i]);
    }
    assert_int_equal(truncate(l.paths[0], 0), 0);
    check_rebuilt(l.paths[0], l.sizes[0], 0);
    assert_int_equal(truncate(l.paths[1], 31), 0);
    check_rebuilt(l.paths[1], l.sizes[1], 0);
    assert_int_equal(truncate(l.paths[2], 1000), 0);
    check_rebuilt(l.paths[2], l.sizes[2], 0);
}

/* Nowhere to keep programs is no failure. */
static void test_cache_unusable(void **state)
{
    (void)state;
    fixture_skip();
    const char *const places[] = {"/dev/null", "/proc/none/there", "relative", ""};
    char *home = getenv("HOME") ? eg_strdup(getenv("HOME")) : NULL;
    setenv("HOME", "/dev/null", 1);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        setenv("XDG_CACHE_HOME", places[i], 1);
        eg_backend *backend = fixture_open(EG_CL_AUTO, false);
        fixture_close(backend);
    }
    unsetenv("HOME");
    unsetenv("XDG_CACHE_HOME");
    eg_backend *backend = fixture_open(EG_CL_AUTO, false);
    fixture_close(backend);
    setenv("XDG_CACHE_HOME", fixture_cache, 1);
    if (home)
        setenv("HOME", home, 1);
    eg_free(home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_unknown_device),
        cmocka_unit_test(test_open_survives_failing_calls),
        cmocka_unit_test(test_build_survives_failing_calls),
        cmocka_unit_test(test_operations_survive_failing_calls),
        cmocka_unit_test(test_open_survives_failing_allocations),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_cache_damage),
        cmocka_unit_test(test_cache_unusable),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
