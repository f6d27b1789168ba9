/* Readers, finders and a syncer beside the thread that appends; several that append. */
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
    for (size_t k = 0; k < span->vectors.count; k += 17) {
        uint8_t expected[256];
        rig_vector(view, (size_t)span->ids[k] - 1, expected);
        uint8_t vector[256];
        eg_vectors_get(&span->vectors, k, vector);
        assert_memory_equal(vector, expected, 256);
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
            seen += span.vectors.count;
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

/* ---- several append ---- */

enum { APPENDERS = 3, EACH = 600, TAGGED_SIZE = 300 };

static eg_store *store;
static uint64_t id_of_tag[APPENDERS * EACH]; /* each by the thread that appended it */

/* What is stored for a tag, which is in the chunk's version. */
static void fill_tagged(uint64_t tag, uint8_t bytes[TAGGED_SIZE], uint8_t vector[256])
{
    uint64_t state = test_mix(tag + 1);
    for (size_t i = 0; i < TAGGED_SIZE; i++)
        bytes[i] = (uint8_t)test_random(&state);
    for (size_t i = 0; i < 256; i++)
        vector[i] = (uint8_t)test_random(&state);
}

static void append_tagged(uint64_t tag, size_t count)
{
    static _Thread_local uint8_t bytes[16][TAGGED_SIZE], vectors[16][256];
    eg_new_chunk chunks[16] = {0};
    uint64_t ids[16];
    for (size_t i = 0; i < count; i++) {
        fill_tagged(tag + i, bytes[i], vectors[i]);
        chunks[i] = (eg_new_chunk){.fingerprint = eg_fingerprint_of(bytes[i], TAGGED_SIZE),
                                   .version = tag + i,
                                   .vector = vectors[i],
                                   .size = TAGGED_SIZE,
                                   .kind = EG_CORRECTION_VERBATIM,
                                   .correction = {bytes[i], TAGGED_SIZE}};
    }
    assert_int_equal(eg_store_append(store, chunks, count, ids, NULL), ENGRAM_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ids[i], ids[0] + i); /* side by side */
        id_of_tag[tag + i] = ids[i];
    }
}

static void check_tagged(uint64_t id)
{
    uint8_t bytes[TAGGED_SIZE], vector[256], expected[TAGGED_SIZE], expected_vector[256];
    uint64_t ids[EG_STORE_CANDIDATES];
    eg_chunk_info info;
    size_t size;
    assert_int_equal(eg_store_get_info(store, id, &info, NULL), ENGRAM_OK);
    fill_tagged(info.version, expected, expected_vector);
    assert_int_equal(eg_store_read(store, id, bytes, sizeof bytes, &size, NULL), ENGRAM_OK);
    assert_int_equal(size, TAGGED_SIZE);
    assert_memory_equal(bytes, expected, TAGGED_SIZE);
    assert_int_equal(eg_store_get_vector(store, id, vector, NULL), ENGRAM_OK);
    assert_memory_equal(vector, expected_vector, 256);
    assert_int_equal(eg_store_find(store, &info.fingerprint, TAGGED_SIZE, ids), 1);
    assert_int_equal(ids[0], id);
}

static void *append_many(void *context)
{
    uint64_t first = (uint64_t)(uintptr_t)context * EACH, state = test_mix(first + 7);
    for (size_t n = 0; n < EACH;) {
        size_t count = 1 + test_random(&state) % 16;
        count = count < EACH - n ? count : EACH - n;
        append_tagged(first + n, count);
        check_tagged(id_of_tag[first + n]);
        n += count;
    }
    return NULL;
}

static void *read_tagged(void *context)
{
    uint64_t state = test_mix((uintptr_t)context);
    while (!atomic_load(&done)) {
        uint64_t next = eg_store_next_id(store);
        if (next > 1)
            check_tagged(1 + test_random(&state) % (next - 1));
    }
    return NULL;
}

static void *sync_and_seal(void *context)
{
    uint64_t synced = 0;
    for (size_t n = 0; !atomic_load(&done); n++) {
        uint64_t next = eg_store_next_id(store);
        eg_segment_state *states;
        size_t count;
        assert_int_equal(n % 8 == 7 && context != NULL ? eg_store_seal(store, NULL)
                                                       : eg_store_sync(store, NULL),
                         ENGRAM_OK);
        assert_true(eg_store_synced_id(store) + 1 >= next);
        assert_true(eg_store_synced_id(store) >= synced);
        synced = eg_store_synced_id(store);
        if (context == NULL)
            continue;
        assert_int_equal(eg_store_take_synced(store, &states, &count, NULL), ENGRAM_OK);
        eg_free(states);
        assert_int_equal(eg_store_sweep(store, NULL), ENGRAM_OK);
    }
    return NULL;
}

static void check_all_tagged(void)
{
    eg_store_totals totals;
    for (size_t tag = 0; tag < APPENDERS * EACH; tag++) {
        eg_chunk_info info;
        assert_int_equal(eg_store_get_info(store, id_of_tag[tag], &info, NULL), ENGRAM_OK);
        assert_int_equal(info.version, tag);
        check_tagged(id_of_tag[tag]);
    }
    assert_ok(eg_store_get_totals(store, &totals, error));
    assert_int_equal(totals.chunks, APPENDERS * EACH);
    assert_true(eg_store_validate(store));
}

static void several_append(void **state)
{
    pthread_t threads[APPENDERS + 4];
    (void)state;
    rig *r = rig_create(1, 40000, 100);
    rig_open(r);
    store = r->store;
    atomic_store(&done, false);
    for (size_t i = 0; i < APPENDERS; i++)
        pthread_create(&threads[i], NULL, append_many, (void *)(uintptr_t)i);
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[APPENDERS + i], NULL, read_tagged, (void *)(uintptr_t)i);
    pthread_create(&threads[APPENDERS + 2], NULL, sync_and_seal, NULL);
    pthread_create(&threads[APPENDERS + 3], NULL, sync_and_seal, r);
    for (size_t i = 0; i < APPENDERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&done, true);
    for (size_t i = APPENDERS; i < APPENDERS + 4; i++)
        pthread_join(threads[i], NULL);
    check_all_tagged();
    rig_close(r);
    r->chunk_count = APPENDERS * EACH;
    rig_open(r);
    store = r->store;
    check_all_tagged();
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_beside_an_appender),
        cmocka_unit_test(sealed_segments_are_loaded_once),
        cmocka_unit_test(several_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
