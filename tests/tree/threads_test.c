/* Readers over several versions beside an editor and a flusher. */
#include <pthread.h>
#include <stdatomic.h>

#include "tree/rig.h"

enum { READERS = 4, KEYS = 4000, EDITS = 400, PUBLISHED = 5 };

/* Of the second test: a tree that is large beside what may wait in memory for the next flush; that
 * again is more than what the other slots keep and no flush will write. */
enum { MANY_KEYS = 30000, WINDOW = 400, UNWRITTEN_MAX = 1280 << 10 };

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

/* Flushes what is newest, again and again, and changes nothing in the slots. */
static void *checkpointer(void *context)
{
    stage *s = context;
    while (!atomic_load(&s->done)) {
        version v = take(s, 0);
        eg_node_ref ref;
        must(eg_root_flush(v.root, &ref, NULL) == ENGRAM_OK, "flush");
        must(eg_nodes_sync(s->r.nodes, NULL) == ENGRAM_OK, "sync");
        drop(v);
    }
    return NULL;
}

/* Changes keys of one neighbourhood, always of the newest version. */
static void edit_window(stage *s, uint64_t *random)
{
    version base = take(s, 0);
    eg_edit *edit;
    eg_root *next;
    size_t first = rig_random(random) % (s->model.key_count - WINDOW);
    must(eg_edit_begin(base.root, &edit, NULL) == ENGRAM_OK, "begin");
    for (int i = 0; i < 50; i++) {
        size_t rank = first + rig_random(random) % WINDOW;
        if (rig_random(random) % 3)
            rig_put(edit, &s->model, rank, (uint32_t)rig_random(random) | 1);
        else
            rig_remove(edit, &s->model, rank);
    }
    must(eg_edit_finish(&edit, &next, NULL) == ENGRAM_OK, "finish");
    drop(base);
    publish(s, 1 + rig_random(random) % (PUBLISHED - 1), take(s, 0));
    publish(s, 0, (version){next, rig_model_snapshot(&s->model)});
}

static void init(stage *s, size_t key_count, int kind, uint32_t value_size_max)
{
    *s = (stage){0};
    rig_init(&s->r, 100 << 10);
    rig_model_init(&s->model, key_count, kind, value_size_max, 3);
    pthread_mutex_init(&s->lock, NULL);
}

static void open_slots(stage *s)
{
    for (size_t i = 0; i < PUBLISHED; i++)
        s->slots[i] = (version){eg_root_retain(s->r.root), rig_model_snapshot(&s->model)};
}

static void start(stage *s, pthread_t threads[READERS + 1], void *(*flushing)(void *))
{
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, s), 0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, flushing, s), 0);
}

static void stop(stage *s, pthread_t threads[READERS + 1])
{
    while (atomic_load(&s->reads) < 50)
        sched_yield();
    atomic_store(&s->done, true);
    for (size_t i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
}

static void close_slots(stage *s)
{
    for (size_t i = 0; i < PUBLISHED; i++) {
        rig_check(s->slots[i].root, &s->model, s->slots[i].stamps);
        drop(s->slots[i]);
    }
    pthread_mutex_destroy(&s->lock);
}

static void readers_see_their_version(void **state)
{
    (void)state;
    static stage s;
    uint64_t random = rig_seed(0x7EAD);
    pthread_t threads[READERS + 1];
    init(&s, KEYS, RIG_KEYS_MIXED, 3000);
    open_slots(&s);
    start(&s, threads, flusher);
    for (int i = 0; i < EDITS; i++)
        edit_once(&s, &random);
    stop(&s, threads);
    close_slots(&s);
    rig_model_fini(&s.model);
    rig_fini(&s.r);
}

/* With all threads gone and all but the newest version: one flush more, and the next edit keeps its
 * own path only. */
static void check_memory_returns(stage *s)
{
    eg_node_ref ref;
    assert_int_equal(eg_root_flush(s->r.root, &ref, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_sync(s->r.nodes, NULL), ENGRAM_OK);
    assert_int_equal(eg_nodes_unwritten_size(s->r.nodes), 0);
    eg_edit *edit = rig_edit(&s->r);
    rig_put(edit, &s->model, 7, 7);
    rig_finish(&s->r, &edit);
    assert_in_range(eg_nodes_made_size(s->r.nodes), 1, 200 << 10);
    rig_check(s->r.root, &s->model, s->model.stamps);
    eg_root_release(s->r.root);
    s->r.root = NULL;
    assert_int_equal(eg_nodes_made_size(s->r.nodes), 0);
}

/* One line of edits; they wait, as their caller would, only when too much is not yet written. */
static void checkpoints_beside_edits(void **state)
{
    (void)state;
    static stage s;
    uint64_t random = rig_seed(0xC4EC), made_max = 0;
    pthread_t threads[READERS + 1];
    init(&s, MANY_KEYS, RIG_KEYS_PLAIN, 60000);
    eg_edit *edit = rig_edit(&s.r);
    for (size_t i = 0; i < s.model.key_count; i++)
        rig_put(edit, &s.model, i, 1 + (uint32_t)i);
    rig_finish(&s.r, &edit);
    uint64_t whole = eg_nodes_made_size(s.r.nodes);
    rig_clean(&s.r);
    assert_int_equal(eg_nodes_made_size(s.r.nodes), 0);
    open_slots(&s);
    start(&s, threads, checkpointer);
    for (int i = 0; i < EDITS; i++) {
        edit_window(&s, &random);
        while (eg_nodes_unwritten_size(s.r.nodes) > UNWRITTEN_MAX)
            sched_yield();
        if (made_max < eg_nodes_made_size(s.r.nodes))
            made_max = eg_nodes_made_size(s.r.nodes);
    }
    stop(&s, threads);
    printf("tree %.1f MB, in memory at most %.1f MB\n", (double)whole / 1e6,
           (double)made_max / 1e6);
    assert_in_range(made_max, 1, whole / 2);
    eg_root_release(s.r.root);
    s.r.root = eg_root_retain(s.slots[0].root);
    close_slots(&s);
    check_memory_returns(&s);
    rig_model_fini(&s.model);
    rig_fini(&s.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_their_version),
        cmocka_unit_test(checkpoints_beside_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
