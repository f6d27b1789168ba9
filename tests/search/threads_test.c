/* Queries of many threads at once, through one searcher, beside a writer: each answer is the one
 * that a searcher of its own gives for the same version. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engram/rig.h"
#include "search/query.h"

enum { FILE_SIZE = 9000, FILES = 24, THREADS = 8, TEXT_SIZE = 4000 };

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 3 };
#else
enum { ROUNDS = 20 };
#endif

static uint8_t content[FILES][FILE_SIZE];

typedef struct fixture {
    rig rig;
    eg_device *device;
    eg_searcher *searcher;
    atomic_bool is_over;
} fixture;

static void set_up(fixture *f)
{
    rig_init(&f->rig);
    atomic_store(&f->is_over, false);
    assert_ok(eg_device_open("auto", NULL, &f->device, E));
    assert_ok(rig_mkdir(&f->rig, "some", E));
    for (int i = 0; i < FILES; i++) {
        char path[32];
        rig_fill(content[i], FILE_SIZE, 77 + (uint64_t)i);
        snprintf(path, sizeof path, "%sf%02d", i % 2 ? "some/" : "", i);
        assert_ok(rig_put(&f->rig, path, content[i], FILE_SIZE, E));
    }
    assert_ok(eg_searcher_create(f->rig.engram, f->device, &f->searcher, E));
}

static void tear_down(fixture *f)
{
    eg_searcher_free(f->searcher);
    eg_device_close(&f->device);
    rig_fini(&f->rig);
}

/* An answer as text, or the status. */
static void answer(eg_searcher *searcher, const eg_version *version, const uint8_t *bytes,
                   size_t size, const eg_query_options *options, char text[TEXT_SIZE])
{
    eg_query_result result;
    engram_error error = {0};
    engram_status status =
        eg_searcher_query(searcher, version, bytes, size, options, &result, &error);
    int at = snprintf(text, TEXT_SIZE, "%d;", (int)status);
    if (status != ENGRAM_OK)
        return;
    at += snprintf(text + at, TEXT_SIZE - (size_t)at, "%llu %llu %llu;",
                   (unsigned long long)result.version, (unsigned long long)result.query_chunks,
                   (unsigned long long)result.chunks_live);
    for (size_t i = 0; i < result.hit_count && at < TEXT_SIZE; i++)
        at += snprintf(text + at, TEXT_SIZE - (size_t)at, "%s %.17g %llu %u;", result.hits[i].path,
                       result.hits[i].score, (unsigned long long)result.hits[i].pair.file_offset,
                       result.hits[i].pair.matches);
    eg_query_result_fini(&result);
}

typedef struct asker {
    fixture *fixture;
    unsigned number, wrong, asked;
    pthread_t thread;
} asker;

static void *ask(void *argument)
{
    static const eg_query_options options[] = {
        {.min = -1, .k = 20},
        {.min = -1, .k = 20, .prefix = "some"},
        {.min = -1, .k = 5, .by_chunk = true},
        {.min = 0.5, .by_chunk = true, .exclude_inode = 5},
        {.min = -1, .prefix = "nowhere"},
    };
    asker *a = argument;
    eg_engram *engram = a->fixture->rig.engram;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char got[TEXT_SIZE], right[TEXT_SIZE];
        eg_version version;
        eg_searcher *own = NULL;
        engram_error error = {0};
        unsigned file = (a->number * 5 + i) % FILES, at = i % 3 * 1000;
        const eg_query_options *o = &options[i % 5];
        if (eg_engram_pin(engram, &version, &error) != ENGRAM_OK ||
            eg_searcher_create(engram, a->fixture->device, &own, &error) != ENGRAM_OK)
            abort();
        answer(a->fixture->searcher, &version, content[file] + at, FILE_SIZE - at, o, got);
        answer(own, &version, content[file] + at, FILE_SIZE - at, o, right);
        a->wrong += strcmp(got, right) != 0;
        a->wrong += (strncmp(got, "0;", 2) == 0) != (i % 5 != 4); /* there is no "nowhere" */
        a->asked++;
        eg_searcher_free(own);
        eg_version_release(&version);
    }
    return NULL;
}

static void run_askers(fixture *f)
{
    asker askers[THREADS];
    eg_batcher_metrics before, after;
    uint64_t expected = 0;
    eg_searcher_get_metrics(f->searcher, EG_OPERATION_TOP_K, &before);
    for (unsigned i = 0; i < THREADS; i++) {
        askers[i] = (asker){.fixture = f, .number = i};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        assert_int_equal(askers[i].wrong, 0);
        expected += askers[i].asked - askers[i].asked / 5; /* without "nowhere" */
    }
    eg_searcher_get_metrics(f->searcher, EG_OPERATION_TOP_K, &after);
    assert_int_equal(after.calls - before.calls, expected);
    assert_true(after.batches - before.batches <= expected);
}

static void many_threads(void **state)
{
    (void)state;
    fixture f;
    set_up(&f);
    run_askers(&f);
    tear_down(&f);
}

static void *write_on(void *argument)
{
    fixture *f = argument;
    static uint8_t more[FILE_SIZE];
    for (uint64_t i = 0; !atomic_load(&f->is_over); i++) {
        engram_error error = {0};
        char path[32];
        rig_fill(more, sizeof more, 5000 + i);
        memcpy(more, content[i % FILES], FILE_SIZE / 2); /* like what is asked for */
        snprintf(path, sizeof path, "%sg%llu", i % 2 ? "some/" : "", (unsigned long long)i % 50);
        if (rig_put(&f->rig, path, more, sizeof more, &error) != ENGRAM_OK)
            abort();
    }
    return NULL;
}

static void beside_a_writer(void **state)
{
    (void)state;
    fixture f;
    pthread_t writer;
    set_up(&f);
    assert_int_equal(pthread_create(&writer, NULL, write_on, &f), 0);
    run_askers(&f);
    atomic_store(&f.is_over, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    tear_down(&f);
}

/* Bitmaps are kept for those who ask next: many filters by turns, so that some are dropped. */
static void many_filters(void **state)
{
    (void)state;
    fixture f;
    eg_version version;
    char first[12][TEXT_SIZE], again[TEXT_SIZE];
    set_up(&f);
    assert_ok(eg_engram_pin(f.rig.engram, &version, E));
    for (unsigned i = 0; i < 36; i++) {
        eg_query_options o = {.min = -1, .exclude_inode = i % 12};
        answer(f.searcher, &version, content[i % 12], FILE_SIZE, &o, i < 12 ? first[i] : again);
        assert_true(i < 12 || strcmp(first[i % 12], again) == 0);
    }
    eg_version_release(&version);
    tear_down(&f);
}

/* The same version before and after rows were added: its bitmap has to grow with them. */
static void old_version(void **state)
{
    (void)state;
    fixture f;
    eg_version old, newest;
    char before[TEXT_SIZE], after[TEXT_SIZE];
    const eg_query_options o = {.min = -1, .k = 20};
    static uint8_t more[FILE_SIZE];
    set_up(&f);
    assert_ok(eg_engram_pin(f.rig.engram, &old, E));
    answer(f.searcher, &old, content[3], FILE_SIZE, &o, before);
    for (uint64_t i = 0; i < 200; i++) { /* more rows than a word of the bitmap, or ten, has bits */
        char path[32];
        rig_fill(more, sizeof more, 9000 + i);
        memcpy(more, content[3], FILE_SIZE / 2);
        snprintf(path, sizeof path, "g%llu", (unsigned long long)i);
        assert_ok(rig_put(&f.rig, path, more, sizeof more, E));
    }
    assert_ok(eg_engram_pin(f.rig.engram, &newest, E));
    answer(f.searcher, &newest, content[3], FILE_SIZE, &o, after);
    assert_string_not_equal(before, after);
    answer(f.searcher, &old, content[3], FILE_SIZE, &o, after);
    assert_string_equal(before, after);
    eg_version_release(&old);
    eg_version_release(&newest);
    tear_down(&f);
}

/* Segments are merged, and chunks dropped, under a searcher: it answers as one that begins afterwards. */
static void merged_meanwhile(void **state)
{
    (void)state;
    fixture f;
    eg_version version;
    eg_searcher *fresh;
    engram_compacted done;
    const engram_retention only_newest = {.last = 1};
    const engram_compact_options options = {.garbage = 0.0001};
    char before[TEXT_SIZE], after[TEXT_SIZE];
    static uint8_t more[FILE_SIZE];
    const eg_query_options o = {.min = -1, .k = 20};
    set_up(&f);
    assert_ok(engram_set_retention(f.rig.engram, &only_newest, E));
    for (uint64_t i = 0; i < 9; i++) { /* three segments; every second file has no other content later */
        rig_fill(more, sizeof more, 9000 + i);
        memcpy(more, content[3], FILE_SIZE / 2);
        assert_ok(rig_put(&f.rig, i % 2 ? "odd" : "even", more, sizeof more, E));
        if (i % 3 == 2)
            assert_ok(eg_store_seal(eg_engram_store(f.rig.engram), E));
    }
    assert_ok(eg_engram_pin(f.rig.engram, &version, E));
    answer(f.searcher, &version, content[3], FILE_SIZE, &o, before);
    assert_ok(engram_compact(f.rig.engram, &options, &done, E));
    assert_true(done.chunks_dropped > 0 && done.segments_after < done.segments_before);
    answer(f.searcher, &version, content[3], FILE_SIZE, &o, after);
    assert_string_equal(before, after);
    assert_ok(eg_searcher_create(f.rig.engram, f.device, &fresh, E));
    answer(fresh, &version, content[3], FILE_SIZE, &o, after);
    assert_string_equal(before, after);
    eg_version_release(&version);
    assert_ok(rig_put(&f.rig, "even", content[3], FILE_SIZE, E));
    assert_ok(eg_engram_pin(f.rig.engram, &version, E));
    answer(f.searcher, &version, content[3], FILE_SIZE, &o, before);
    answer(fresh, &version, content[3], FILE_SIZE, &o, after);
    assert_string_equal(before, after);
    eg_searcher_free(fresh);
    eg_version_release(&version);
    tear_down(&f);
}

/* Whatever allocation fails, the query says so, and the next one knows nothing of it. */
static void memory_runs_out(void **state)
{
    (void)state;
    fixture f;
    eg_version version;
    char right[TEXT_SIZE], got[TEXT_SIZE];
    char no_memory[8];
    const eg_query_options o = {.min = -1, .prefix = "some"};
    long failed = 0;
    set_up(&f);
    snprintf(no_memory, sizeof no_memory, "%d;", (int)ENGRAM_NO_MEMORY);
    assert_ok(eg_engram_pin(f.rig.engram, &version, E));
    answer(f.searcher, &version, content[3], FILE_SIZE, &o, right);
    for (long n = 1; n < 60; n++) {
        eg_searcher *own = NULL;
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        if (eg_searcher_create(f.rig.engram, f.device, &own, &error) == ENGRAM_OK)
            answer(own, &version, content[3], FILE_SIZE, &o, got);
        else
            snprintf(got, sizeof got, "%d;", (int)error.status);
        eg_alloc_fail_at(0, false);
        failed += strcmp(got, no_memory) == 0;
        assert_true(strcmp(got, no_memory) == 0 || strcmp(got, right) == 0);
        if (own != NULL)
            answer(own, &version, content[3], FILE_SIZE, &o, got);
        assert_true(own == NULL || strcmp(got, right) == 0);
        eg_searcher_free(own);
    }
    assert_true(failed > 10);
    eg_version_release(&version);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),    cmocka_unit_test(beside_a_writer),
        cmocka_unit_test(many_filters),    cmocka_unit_test(old_version),
        cmocka_unit_test(merged_meanwhile),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
