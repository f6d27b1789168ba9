/* What the store says is durable, ids that are given, and chunks that stay in memory. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "store/shadow.h"

enum { SYNCS_MAX = 1000000 };

static rig *rig_with_shadow(uint64_t seed, uint64_t segment_size, uint64_t stride)
{
    rig *r = rig_create(seed, segment_size, 500);
    r->stride = stride;
    shadow_start(r, SYNCS_MAX);
    return r;
}

static void end_with_shadow(rig *r)
{
    shadow_end();
    rig_free(r);
}

static void check_states(const eg_segment_state *a, const eg_segment_state *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(a[i].id == b[i].id && a[i].chunk_count == b[i].chunk_count &&
                    a[i].payload_size == b[i].payload_size && a[i].level == b[i].level);
}

static void check_synced_states(rig *r, const known *k)
{
    eg_segment_state *states;
    size_t count;
    assert_ok(eg_store_get_synced_states(r->store, &states, &count, error));
    assert_int_equal(count, k->count);
    check_states(states, k->states, count);
    eg_free(states);
}

static void extents_follow_syncs(void **state)
{
    uint64_t seed = test_seed(0x5C), random = seed;
    size_t durable = 0;
    known k = {.count = 0};
    (void)state;
    rig *r = rig_with_shadow(seed, 6000, 3);
    rig_open(r);
    while (r->chunk_count < 300) {
        uint64_t x = test_random(&random);
        rig_append(r, 1 + x % 5);
        if ((x >> 8) % 3 == 0) {
            assert_ok(eg_store_sync(r->store, error));
            durable = r->chunk_count;
            assert_int_equal(eg_store_synced_id(r->store), rig_id(r, durable - 1));
        }
        if ((x >> 16) % 4 != 0)
            continue;
        known_take(&k, r->store);
        assert_true(known_chunks(&k) >= durable);
        durable = known_chunks(&k);
        shadow_check(r, &k);
        assert_true(durable == 0 || eg_store_synced_id(r->store) >= rig_id(r, durable - 1));
    }
    assert_ok(eg_store_seal(r->store, error));
    known_take(&k, r->store);
    assert_int_equal(known_chunks(&k), r->chunk_count);
    shadow_check(r, &k);
    check_synced_states(r, &k);
    end_with_shadow(r);
}

/* Nothing that is not synced is told, and what was there at open is not told again. */
static void nothing_new_is_nothing(void **state)
{
    known k = {.count = 0};
    (void)state;
    rig *r = rig_with_shadow(1, 1 << 20, 0);
    rig_open(r);
    known_take(&k, r->store);
    rig_append(r, 10);
    known_take(&k, r->store);
    assert_int_equal(k.count, 0);
    assert_int_equal(eg_store_synced_id(r->store), 0);
    check_synced_states(r, &k);
    assert_ok(eg_store_sync(r->store, error));
    assert_int_equal(eg_store_synced_id(r->store), 10);
    rig_close(r);
    rig_open(r); /* copies it */
    known_take(&k, r->store);
    assert_int_equal(k.count, 0);
    assert_int_equal(eg_store_synced_id(r->store), 10);
    rig_append(r, 1);
    assert_ok(eg_store_sync(r->store, error));
    known_take(&k, r->store);
    assert_int_equal(k.count, 1);
    assert_int_equal(k.states[0].chunk_count, 1);
    end_with_shadow(r);
}

static atomic_bool done;

static void *take_beside(void *context)
{
    rig *r = context;
    known k = {.count = 0};
    while (!atomic_load(&done)) {
        uint64_t id = eg_store_synced_id(r->store);
        known_take(&k, r->store);
        assert_true(known_chunks(&k) >= id);
        shadow_check(r, &k);
        assert_true(eg_store_synced_id(r->store) >= id);
    }
    known_take(&k, r->store);
    shadow_check(r, &k);
    return NULL;
}

static void *sync_beside(void *context)
{
    rig *r = context;
    while (!atomic_load(&done))
        assert_int_equal(eg_store_sync(r->store, NULL), ENGRAM_OK);
    return NULL;
}

/* The model belongs to the appending thread: others have one that is complete from the start. */
static rig *model_of(rig *r, size_t count)
{
    rig *model = rig_create(r->seed, r->options.segment_size, r->size_max);
    rig_open(model);
    rig_append(model, count);
    eg_store_close(&model->store);
    return model;
}

static void extents_hold_at_any_moment(void **state)
{
    enum { CHUNKS = 400 };
    pthread_t threads[3];
    (void)state;
    rig *r = rig_with_shadow(test_seed(0x5D), 8000, 0);
    rig_open(r);
    rig *model = model_of(r, CHUNKS);
    model->store = r->store;
    atomic_store(&done, false);
    pthread_create(&threads[0], NULL, take_beside, model);
    for (int i = 1; i < 3; i++)
        pthread_create(&threads[i], NULL, sync_beside, r);
    while (r->chunk_count < CHUNKS)
        rig_append(r, CHUNKS - r->chunk_count < 7 ? CHUNKS - r->chunk_count : 7);
    assert_ok(eg_store_seal(r->store, error));
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    model->store = NULL;
    rig_free(model);
    end_with_shadow(r);
}

/* A later segment's chunks are told only with all of those before. */
static void *take_and_compare(void *context)
{
    rig *r = context;
    known *k = calloc(1, sizeof *k);
    assert_non_null(k);
    while (!atomic_load(&done)) {
        eg_segment_state *all;
        size_t count;
        known_take(k, r->store);
        assert_int_equal(eg_store_get_states(r->store, &all, &count, NULL), ENGRAM_OK);
        for (size_t i = 0; i + 1 < k->count; i++)
            assert_int_equal(k->states[i].chunk_count, all[i].chunk_count);
        eg_free(all);
    }
    free(k);
    return NULL;
}

static void no_extent_stands_beyond_a_gap(void **state)
{
    pthread_t threads[2];
    (void)state;
    rig *r = rig_create(test_seed(0x5E), 600, 40);
    rig_open(r);
    atomic_store(&done, false);
    pthread_create(&threads[0], NULL, take_and_compare, r);
    pthread_create(&threads[1], NULL, sync_beside, r);
    rig_append(r, 6000);
    atomic_store(&done, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    rig_free(r);
}

/* ---- given ids ---- */

static void given_ids_leave_gaps(void **state)
{
    (void)state;
    rig *r = rig_create(test_seed(0x1D), 5000, 600);
    r->stride = 4;
    rig_open(r);
    rig_append(r, 200);
    rig_check_exactly(r, 200);
    rig_close(r);
    rig_open(r);
    rig_check_exactly(r, 200);
    rig_append(r, 50);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    rig_open_reader(r);
    rig_check_exactly(r, 250);
    rig_free(r);
}

static uint64_t append_one(rig *r, uint64_t id)
{
    static const uint8_t vector[256], bytes[8];
    const eg_new_chunk chunk = {.id = id,
                                .vector = vector,
                                .size = 8,
                                .kind = EG_CORRECTION_VERBATIM,
                                .correction = {bytes, 8}};
    assert_ok(eg_store_append(r->store, &chunk, 1, &id, error));
    return id;
}

static void next_id_rises(void **state)
{
    (void)state;
    rig *r = rig_create(1, 5000, 600);
    rig_open(r);
    assert_int_equal(append_one(r, 0), 1);
    assert_int_equal(append_one(r, 7), 7);
    assert_int_equal(append_one(r, 0), 8);
    eg_store_raise_next_id(r->store, 20);
    eg_store_raise_next_id(r->store, 3);
    assert_int_equal(eg_store_next_id(r->store), 20);
    assert_int_equal(append_one(r, 0), 20);
    rig_close(r);
    r->options.next_id = 0;
    assert_ok(eg_store_open(r->io, r->dir.path, r->states, r->state_count, &r->options, &r->store,
                            error));
    assert_int_equal(eg_store_next_id(r->store), 21);
    assert_int_equal(append_one(r, 0), 21);
    rig_free(r);
}

/* ---- in memory ---- */

static size_t count_files(rig *r)
{
    size_t count = 0;
    DIR *dir = opendir(r->dir.path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void a_reader_appends_in_memory(void **state)
{
    known k = {.count = 0};
    eg_segment_state *states;
    size_t count;
    (void)state;
    rig *r = rig_create(test_seed(0x3E), 9000, 600);
    rig_open(r);
    rig_append(r, 100);
    assert_ok(eg_store_seal(r->store, error));
    rig_close(r);
    size_t files = count_files(r);
    rig_open_reader(r);
    for (int i = 0; i < 12; i++) {
        rig_append(r, 17);
        rig_check_exactly(r, r->chunk_count);
    }
    assert_true(eg_store_segment_count(r->store) > r->state_count + 2);
    assert_ok(eg_store_sync(r->store, error));
    assert_int_equal(eg_store_synced_id(r->store), 100);
    known_take(&k, r->store);
    assert_int_equal(k.count, 0);
    assert_ok(eg_store_get_states(r->store, &states, &count, error));
    assert_int_equal(count, r->state_count);
    check_states(states, r->states, count);
    eg_free(states);
    assert_int_equal(count_files(r), files);
    rig_free(r);
}

/* An engram whose chunks are all in its journal. */
static void a_reader_of_nothing_appends(void **state)
{
    (void)state;
    rig *r = rig_create(1, 0, 600);
    r->stride = 2;
    rig_open_reader(r);
    rig_append(r, 30);
    rig_check_exactly(r, 30);
    assert_int_equal(count_files(r), 2);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_follow_syncs),
        cmocka_unit_test(nothing_new_is_nothing),
        cmocka_unit_test(extents_hold_at_any_moment),
        cmocka_unit_test(no_extent_stands_beyond_a_gap),
        cmocka_unit_test(given_ids_leave_gaps),
        cmocka_unit_test(next_id_rises),
        cmocka_unit_test(a_reader_appends_in_memory),
        cmocka_unit_test(a_reader_of_nothing_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
