/* A power cut at any sync, with chunks that only a journal has: the store is opened with the
 * extents that were known to be durable, and gets the rest again under the ids it had. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>

#include "base/memory.h"
#include "store/internal.h"
#include "store/shadow.h"

enum { SEGMENT_SIZE = 4000, SYNCS_MAX = 1000000 };

static size_t count_files(const rig *r)
{
    size_t count = 0;
    struct dirent *entry;
    DIR *dir = opendir(r->dir.path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* What is known to be durable is there; the journal has all of r's chunks. */
static void recover(rig *r, known *k)
{
    rig view = shadow_view(r, k);
    size_t durable = known_chunks(k);
    view.chunk_count = durable;
    rig_open(&view);
    rig_check_exactly(&view, durable);
    assert_int_equal(eg_store_synced_id(view.store), durable);
    view.states = NULL; /* k's */
    rig_append(&view, r->chunk_count - durable);
    rig_check_exactly(&view, r->chunk_count);
    assert_ok(eg_store_sweep(view.store, error));
    assert_ok(eg_store_seal(view.store, error));
    rig_close(&view);
    assert_int_equal(count_files(&view), view.state_count);
    rig_open(&view);
    rig_check_exactly(&view, r->chunk_count);
    eg_store_close(&view.store);
    eg_free(view.states);
}

static void work(rig *r, known *k, uint64_t random)
{
    for (int i = 0; i < 40; i++) {
        uint64_t x = test_random(&random);
        rig_append(r, 1 + x % 9);
        if ((x >> 8) % 4 == 0)
            assert_ok(eg_store_sync(r->store, error));
        known before = *k;
        known_take(k, r->store);
        if (shadow_is_cut())
            *k = before; /* the journal was cut off too */
    }
}

static void power_cut_at_any_sync(void **state)
{
    uint64_t seed = test_seed(0xC4A5);
    bool is_cut = true;
    (void)state;
    for (long n = 1; is_cut; n++) {
        known k = {.count = 0};
        rig *r = rig_create(seed, SEGMENT_SIZE, 500);
        r->stride = 1;
        shadow_start(r, n);
        rig_open(r);
        work(r, &k, seed + (uint64_t)n);
        is_cut = shadow_is_cut();
        eg_store_close(&r->store);
        recover(r, &k);
        assert_true(is_cut || n > 20);
        shadow_end();
        rig_free(r);
    }
}

static size_t count_waiting(eg_store *store)
{
    pthread_mutex_lock(&store->sealer.lock);
    size_t count = store->sealer.waiting_count;
    pthread_mutex_unlock(&store->sealer.lock);
    return count;
}

static bool has_spare(eg_store *store)
{
    pthread_mutex_lock(&store->sealer.lock);
    bool has = store->sealer.spare != NULL;
    pthread_mutex_unlock(&store->sealer.lock);
    return has;
}

/* Two segments wait, or are in work, and the third is filling up; the appending thread has made
 * their files, since the sealer was busy. */
static void fill_while_held(rig *r)
{
    shadow_hold(SHADOW_SECTIONS);
    while (count_waiting(r->store) < 2)
        rig_append(r, 1);
    rig_append(r, 5);
}

static void crash_before_anything_is_sealed(void **state)
{
    (void)state;
    for (int synced = 0; synced < 2; synced++) {
        known k = {.count = 0};
        rig *r = rig_create(test_seed(0xC4A6), SEGMENT_SIZE, 500);
        r->stride = 1;
        shadow_start(r, SYNCS_MAX);
        rig_open(r);
        fill_while_held(r);
        rig_check_exactly(r, r->chunk_count);
        if (synced)
            assert_ok(eg_store_sync(r->store, error));
        known_take(&k, r->store);
        shadow_cut();
        assert_true(!synced || known_chunks(&k) == r->chunk_count);
        assert_true(!synced || k.count == 3);
        shadow_release();
        eg_store_close(&r->store);
        recover(r, &k);
        shadow_end();
        rig_free(r);
    }
}

/* The sealed sections are synced, the header that names them is not written. */
static void crash_in_the_middle_of_a_seal(void **state)
{
    known k = {.count = 0};
    (void)state;
    rig *r = rig_create(test_seed(0xC4A7), SEGMENT_SIZE, 500);
    r->stride = 1;
    shadow_start(r, SYNCS_MAX);
    rig_open(r);
    shadow_hold(SHADOW_SEALED_HEADER);
    while (count_waiting(r->store) < 2)
        rig_append(r, 1);
    while (!shadow_is_waited_for())
        sched_yield();
    known_take(&k, r->store);
    shadow_cut();
    shadow_release();
    eg_store_close(&r->store);
    recover(r, &k);
    shadow_end();
    rig_free(r);
}

static void *read_and_release(void *context)
{
    rig *view = context;
    for (int round = 0; round < 20; round++)
        rig_check_all(view, view->chunk_count);
    assert_int_equal(count_waiting(view->store), 2);
    shadow_release();
    return NULL;
}

/* A third full segment waits until the sealer goes on; what is there can be read meanwhile. */
static void append_waits_when_two_wait(void **state)
{
    pthread_t reader;
    (void)state;
    rig *r = rig_create(1, SEGMENT_SIZE, 500);
    shadow_start(r, SYNCS_MAX);
    rig_open(r);
    fill_while_held(r);
    rig view = *r;
    view.bytes = malloc(RIG_BYTES_MAX + 1);
    view.other = malloc(RIG_BYTES_MAX + 1);
    pthread_create(&reader, NULL, read_and_release, &view);
    rig_append(r, 40);
    pthread_join(reader, NULL);
    assert_ok(eg_store_seal(r->store, error));
    assert_int_equal(count_waiting(r->store), 0);
    rig_check_exactly(r, r->chunk_count);
    free(view.bytes);
    free(view.other);
    shadow_end();
    rig_free(r);
}

/* An empty file that was made ready is not left behind by a seal, and is swept after a crash. */
static void the_spare_goes(void **state)
{
    known k = {.count = 0};
    (void)state;
    rig *r = rig_create(1, 100000, 500);
    r->stride = 1;
    shadow_start(r, SYNCS_MAX);
    rig_open(r);
    while (!has_spare(r->store))
        rig_append(r, 1);
    assert_ok(eg_store_sync(r->store, error));
    known_take(&k, r->store);
    assert_int_equal(k.count, 1);
    assert_int_equal(count_files(r), 2);
    recover(r, &k);
    assert_ok(eg_store_seal(r->store, error));
    assert_int_equal(count_files(r), 1);
    rig_append(r, 5);
    rig_check_exactly(r, r->chunk_count);
    shadow_end();
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut_at_any_sync),
        cmocka_unit_test(crash_before_anything_is_sealed),
        cmocka_unit_test(crash_in_the_middle_of_a_seal),
        cmocka_unit_test(append_waits_when_two_wait),
        cmocka_unit_test(the_spare_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
