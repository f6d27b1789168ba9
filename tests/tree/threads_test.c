/* Readers over several versions beside an editor and a flusher. */
#include <pthread.h>
#include <stdatomic.h>

#include "tree/rig.h"

enum { READERS = 4, KEYS = 4000, EDITS = 400, PUBLISHED = 5 };

typedef struct version {
    eg_root *root;
    uint32_t *stamps;
} version;

/* The slots hold versions that readers take copies of; the lock covers slots, retaining and
 * replacing. */
typedef struct stage {
    rig r;
    rig_model model;
    pthread_mutex_t lock;
    version slots[PUBLISHED];
    atomic_bool done;
    atomic_int reads;
} stage;

static version take(stage *s, size_t slot)
{
    pthread_mutex_lock(&s->lock);
    version v = {eg_root_retain(s->slots[slot].root),
                 malloc(s->model.key_count * sizeof *v.stamps)};
    memcpy(v.stamps, s->slots[slot].stamps, s->model.key_count * sizeof *v.stamps);
    pthread_mutex_unlock(&s->lock);
    return v;
}

static void drop(version v)
{
    eg_root_release(v.root);
    free(v.stamps);
}

static void publish(stage *s, size_t slot, version v)
{
    pthread_mutex_lock(&s->lock);
    version old = s->slots[slot];
    s->slots[slot] = v;
    pthread_mutex_unlock(&s->lock);
    drop(old);
}

/* Asserting is for the main thread: here a difference ends the program. */
static void must(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "threads_test: %s\n", what);
        abort();
    }
}

static void read_one(stage *s, version v, size_t rank, eg_buffer *value)
{
    engram_status status = eg_root_get(v.root, s->model.keys[rank], value, NULL);
    must(status == (v.stamps[rank] ? ENGRAM_OK : ENGRAM_NOT_FOUND), "presence");
    if (status != ENGRAM_OK)
        return;
    eg_view want = rig_value(&s->model, v.stamps[rank]);
    must(value->size == want.size, "size of a value");
    must(want.size == 0 || memcmp(value->data, want.data, want.size) == 0, "a value");
}

static void walk_some(stage *s, version v, size_t rank)
{
    eg_cursor *cursor;
    must(eg_cursor_open(v.root, &cursor, NULL) == ENGRAM_OK, "cursor");
    engram_status status = eg_cursor_seek(cursor, s->model.keys[rank], NULL);
    for (int i = 0; i < 200; i++) {
        while (rank < s->model.key_count && !v.stamps[rank])
            rank++;
        must(status == (rank < s->model.key_count ? ENGRAM_OK : ENGRAM_NOT_FOUND), "walk");
        if (status != ENGRAM_OK)
            break;
        eg_view key = eg_cursor_key(cursor), want = s->model.keys[rank++];
        must(key.size == want.size && memcmp(key.data, want.data, want.size) == 0, "a key");
        status = eg_cursor_next(cursor, NULL);
    }
    eg_cursor_close(&cursor);
}

static void *reader(void *context)
{
    stage *s = context;
    uint64_t random = (uint64_t)atomic_fetch_add(&s->reads, 1);
    eg_buffer value = {0};
    while (!atomic_load(&s->done)) {
        version v = take(s, rig_random(&random) % PUBLISHED);
        for (int i = 0; i < 100; i++)
            read_one(s, v, rig_random(&random) % s->model.key_count, &value);
        walk_some(s, v, rig_random(&random) % s->model.key_count);
        drop(v);
        atomic_fetch_add(&s->reads, 1);
    }
    eg_buffer_fini(&value);
    return NULL;
}

/* Slot 0 is the newest version; the flusher puts what it stored of it into slot 1. */
static void *flusher(void *context)
{
    stage *s = context;
    while (!atomic_load(&s->done)) {
        version v = take(s, 0);
        eg_node_ref ref;
        eg_root *stored;
        must(eg_root_flush(v.root, &ref, NULL) == ENGRAM_OK, "flush");
        must(eg_nodes_sync(s->r.nodes, NULL) == ENGRAM_OK, "sync");
        must(eg_root_open(s->r.nodes, ref, &stored, NULL) == ENGRAM_OK, "open");
        eg_root_release(v.root);
        publish(s, 1, (version){stored, v.stamps});
    }
    return NULL;
}

/* Edits start from the version in memory, or from what the flusher stored. */
static void edit_once(stage *s, uint64_t *random)
{
    version base = take(s, rig_random(random) % 8 ? 0 : 1);
    eg_edit *edit;
    eg_root *next;
    must(eg_edit_begin(base.root, &edit, NULL) == ENGRAM_OK, "begin");
    memcpy(s->model.stamps, base.stamps, s->model.key_count * sizeof *base.stamps);
    for (int i = 0; i < 200; i++) {
        size_t rank = rig_random(random) % s->model.key_count;
        if (rig_random(random) % 3)
            rig_put(edit, &s->model, rank, (uint32_t)rig_random(random) | 1);
        else
            rig_remove(edit, &s->model, rank);
    }
    must(eg_edit_finish(&edit, &next, NULL) == ENGRAM_OK, "finish");
    drop(base);
    publish(s, 2 + rig_random(random) % (PUBLISHED - 2), take(s, 0));
    publish(s, 0, (version){next, rig_model_snapshot(&s->model)});
}

static void readers_see_their_version(void **state)
{
    (void)state;
    static stage s;
    uint64_t random = rig_seed(0x7EAD);
    pthread_t threads[READERS + 1];
    rig_init(&s.r, 100 << 10);
    rig_model_init(&s.model, KEYS, RIG_KEYS_MIXED, 3000, 3);
    pthread_mutex_init(&s.lock, NULL);
    for (size_t i = 0; i < PUBLISHED; i++)
        s.slots[i] = (version){eg_root_retain(s.r.root), rig_model_snapshot(&s.model)};
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &s), 0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, flusher, &s), 0);
    for (int i = 0; i < EDITS; i++)
        edit_once(&s, &random);
    while (atomic_load(&s.reads) < 50)
        sched_yield();
    atomic_store(&s.done, true);
    for (size_t i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < PUBLISHED; i++) {
        rig_check(s.slots[i].root, &s.model, s.slots[i].stamps);
        drop(s.slots[i]);
    }
    pthread_mutex_destroy(&s.lock);
    rig_model_fini(&s.model);
    rig_fini(&s.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_their_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
