/* What the store says is durable, ids that are given, and chunks that stay in memory.
 *
 * The disk here forgets what was not synced: each sync copies the file into a shadow directory, which
 * is what a power cut would leave. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/rig.h"

static eg_io shadowing;
static temp_dir shadow;

static engram_status copy_on_sync(eg_io *io, eg_file *file, engram_error *unused)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    eg_io *real = eg_io_posix();
    uint8_t *bytes;
    size_t size;
    char path[700];
    (void)io, (void)unused;
    snprintf(path, sizeof path, "%s%s", shadow.path, strrchr(eg_file_name(file), '/'));
    pthread_mutex_lock(&lock);
    assert_ok(eg_io_read_file(real, eg_file_name(file), 1 << 28, &bytes, &size, error));
    assert_ok(eg_io_replace_file(rig_io(), path, bytes, size, error));
    pthread_mutex_unlock(&lock);
    eg_free(bytes);
    return ENGRAM_OK;
}

static rig *rig_with_shadow(uint64_t seed, uint64_t segment_size, uint64_t stride)
{
    rig *r = rig_create(seed, segment_size, 500);
    shadowing = *rig_io();
    shadowing.sync = copy_on_sync;
    assert_int_equal(temp_dir_init(&shadow), 0);
    r->io = &shadowing;
    r->stride = stride;
    return r;
}

static void end_with_shadow(rig *r)
{
    temp_dir_fini(&shadow);
    rig_free(r);
}

/* What its owner knows of the store from the extents that it took. */
typedef struct known {
    eg_segment_state states[200];
    size_t count;
} known;

static void take(rig *r, known *k)
{
    eg_segment_state *taken;
    size_t count;
    assert_ok(eg_store_take_synced(r->store, &taken, &count, error));
    assert_int_equal(taken == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        eg_segment_state *last = &k->states[k->count - 1];
        if (k->count > 0 && last->id == taken[i].id) {
            assert_true(taken[i].chunk_count > last->chunk_count);
            *last = taken[i];
            continue;
        }
        assert_true(k->count < 200);
        assert_true(k->count == 0 || taken[i].id > last->id);
        k->states[k->count++] = taken[i];
    }
    eg_free(taken);
}

static size_t chunks_of(const known *k)
{
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++)
        count += (size_t)k->states[i].chunk_count;
    return count;
}

/* What is known is in the shadow: exactly the first count chunks. */
static void check_shadow(rig *r, const known *k, size_t count)
{
    rig view = *r;
    snprintf(view.dir.path, sizeof view.dir.path, "%s", shadow.path);
    view.io = rig_io();
    view.options.dedup = false;
    view.states = (eg_segment_state *)k->states;
    view.state_count = k->count;
    rig_open_reader(&view);
    rig_check_exactly(&view, count);
    eg_store_close(&view.store);
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
        take(r, &k);
        assert_true(chunks_of(&k) >= durable);
        durable = chunks_of(&k);
        check_shadow(r, &k, durable);
        assert_true(durable == 0 || eg_store_synced_id(r->store) == rig_id(r, durable - 1));
    }
    assert_ok(eg_store_seal(r->store, error));
    take(r, &k);
    check_shadow(r, &k, r->chunk_count);
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
    take(r, &k);
    rig_append(r, 10);
    take(r, &k);
    assert_int_equal(k.count, 0);
    assert_int_equal(eg_store_synced_id(r->store), 0);
    check_synced_states(r, &k);
    assert_ok(eg_store_sync(r->store, error));
    assert_int_equal(eg_store_synced_id(r->store), 10);
    rig_close(r);
    rig_open(r); /* copies it */
    take(r, &k);
    assert_int_equal(k.count, 0);
    assert_int_equal(eg_store_synced_id(r->store), 10);
    rig_append(r, 1);
    assert_ok(eg_store_sync(r->store, error));
    take(r, &k);
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
        take(r, &k);
        assert_true(chunks_of(&k) >= id);
        check_shadow(r, &k, chunks_of(&k));
        assert_true(eg_store_synced_id(r->store) >= id);
    }
    take(r, &k);
    check_shadow(r, &k, chunks_of(&k));
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
    take(r, &k);
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
        cmocka_unit_test(extents_follow_syncs),       cmocka_unit_test(nothing_new_is_nothing),
        cmocka_unit_test(extents_hold_at_any_moment), cmocka_unit_test(given_ids_leave_gaps),
        cmocka_unit_test(next_id_rises),              cmocka_unit_test(a_reader_appends_in_memory),
        cmocka_unit_test(a_reader_of_nothing_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
