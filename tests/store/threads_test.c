/* Readers, finders and a syncer beside the thread that appends. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "store/rig.h"

enum { CHUNKS = 3000, READERS = 4 };

static rig *shared;
static rig as_started; /* shared, before threads ran */
static atomic_size_t published;
static atomic_bool done;

/* A view of the rig with buffers of its own. */
static rig view_make(void)
{
    rig view = as_started;
    view.bytes = malloc(10000);
    view.other = malloc(10000);
    assert_true(view.bytes != NULL && view.other != NULL);
    return view;
}

static void view_end(rig *view)
{
    free(view->bytes);
    free(view->other);
}

static void *read_chunks(void *context)
{
    uint64_t state = (uint64_t)(uintptr_t)context;
    rig view = view_make();
    while (!atomic_load(&done)) {
        size_t count = atomic_load(&published);
        if (count > 0)
            rig_check(&view, test_random(&state) % count);
        if (count > 0 && test_random(&state) % 4 == 0)
            rig_check(&view, count - 1);
    }
    view_end(&view);
    return NULL;
}

static void check_span(rig *view, const eg_vector_span *span)
{
    for (size_t k = 0; k < span->count; k += 17) {
        uint8_t expected[256];
        rig_vector(view, (size_t)span->ids[k] - 1, expected);
        assert_memory_equal(span->vectors + k * 256, expected, 256);
    }
}

static void *scan(void *context)
{
    rig view = view_make();
    (void)context;
    while (!atomic_load(&done)) {
        size_t count = atomic_load(&published), seen = 0;
        size_t segments = eg_store_segment_count(view.store);
        for (size_t s = 0; s < segments; s++) {
            eg_vector_span span;
            assert_int_equal(eg_store_get_vectors(view.store, s, &span, NULL), ENGRAM_OK);
            check_span(&view, &span);
            seen += span.count;
        }
        assert_true(seen >= count);
    }
    view_end(&view);
    return NULL;
}

/* What was published before a sync is durable after it: the states of then say so. */
static void *sync_often(void *context)
{
    (void)context;
    while (!atomic_load(&done)) {
        size_t count = atomic_load(&published);
        eg_segment_state *states;
        size_t segments, chunks = 0;
        assert_int_equal(eg_store_get_states(shared->store, &states, &segments, NULL), ENGRAM_OK);
        assert_int_equal(eg_store_sync(shared->store, NULL), ENGRAM_OK);
        for (size_t s = 0; s < segments; s++)
            chunks += (size_t)states[s].chunk_count;
        assert_true(chunks >= count);
        eg_free(states);
    }
    return NULL;
}

static void append_all(void)
{
    while (shared->chunk_count < CHUNKS) {
        rig_append(shared, 10);
        atomic_store(&published, shared->chunk_count);
        if (shared->chunk_count % 700 == 0)
            assert_ok(eg_store_seal(shared->store, error));
    }
}

static void readers_beside_an_appender(void **state)
{
    pthread_t threads[READERS + 3];
    (void)state;
    shared = rig_create(test_seed(0x7EAD), 60000, 900);
    rig_open(shared);
    as_started = *shared;
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, read_chunks, (void *)(uintptr_t)(i + 1));
    pthread_create(&threads[READERS], NULL, scan, NULL);
    pthread_create(&threads[READERS + 1], NULL, scan, NULL);
    pthread_create(&threads[READERS + 2], NULL, sync_often, NULL);
    append_all();
    atomic_store(&done, true);
    for (int i = 0; i < READERS + 3; i++)
        pthread_join(threads[i], NULL);
    rig_check_exactly(shared, CHUNKS);
    rig_close(shared);
    rig_open_reader(shared);
    rig_check_exactly(shared, CHUNKS);
    rig_free(shared);
}

static void *read_once(void *context)
{
    rig view = view_make();
    for (size_t i = (size_t)(uintptr_t)context; i < CHUNKS; i += READERS)
        rig_check(&view, i);
    view_end(&view);
    return NULL;
}

/* The first access to sealed segments from many threads at once, and verify in a pool. */
static void sealed_segments_are_loaded_once(void **state)
{
    pthread_t threads[READERS];
    eg_pool *pool;
    (void)state;
    shared = rig_create(0x10AD, 60000, 900);
    rig_open(shared);
    rig_append(shared, CHUNKS);
    rig_close(shared);
    rig_open(shared);
    assert_ok(eg_pool_create(3, &pool, error));
    shared->pool = pool;
    as_started = *shared;
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, read_once, (void *)(uintptr_t)i);
    assert_int_equal(rig_verify(shared, NULL), 0);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    eg_pool_free(pool);
    rig_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_beside_an_appender),
        cmocka_unit_test(sealed_segments_are_loaded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
