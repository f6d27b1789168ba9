/* gc and compact by the public interface: what is kept stays readable, what is not returns its space. */
#include <pthread.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/internal.h"
#include "transactions/rig.h"
#include "vsa/random.h"

enum { SIZE = 60000 };

static const engram_retention only_newest = {.last = 1};

static engram_compacted collect(rig *r, bool merges)
{
    engram_compacted done;
    engram_compact_options options = {.garbage = 0.0001};
    assert_ok(merges ? engram_compact(r->engram, &options, &done, E)
                     : engram_gc(r->engram, &options, &done, E));
    return done;
}

static void put(rig *r, const char *path, uint64_t seed)
{
    static uint8_t bytes[SIZE];
    rig_fill(bytes, SIZE, seed);
    rig_put(r, path, bytes, SIZE);
}

static void view_expects(engram_view *view, const char *path, uint64_t seed)
{
    static uint8_t bytes[SIZE];
    rig_fill(bytes, SIZE, seed);
    view_expect(view, path, bytes, SIZE);
}

static void expects(rig *r, const char *path, uint64_t seed)
{
    engram_view *view;
    assert_ok(engram_pin(r->engram, &view, E));
    view_expects(view, path, seed);
    engram_unpin(&view);
}

static uint64_t on_disk(rig *r)
{
    uint64_t size, disk_size;
    assert_ok(eg_engram_disk_usage(r->engram, &size, &disk_size, E));
    return size;
}

static bool has_segment(const rig *r, unsigned number)
{
    char path[700];
    snprintf(path, sizeof path, "%s/segments/%08u.seg", r->dir, number);
    return access(path, F_OK) == 0;
}

static unsigned count_segments(const rig *r)
{
    unsigned count = 0;
    for (unsigned number = 1; number < 50; number++)
        count += has_segment(r, number);
    return count;
}

/* Sealed segments of their own: a.. in the first, and so on. */
static void make(rig *r)
{
    rig_init(r, NULL);
    assert_ok(engram_set_retention(r->engram, &only_newest, E));
    for (uint64_t i = 0; i < 4; i++) {
        char path[2] = {(char)('a' + i), 0};
        put(r, path, i + 1);
        rig_reopen(r);
    }
}

static void what_nobody_holds_goes(void **state)
{
    rig r;
    (void)state;
    make(&r);
    rig_remove(&r, "b");
    rig_remove(&r, "d");
    engram_compacted done = collect(&r, false);
    assert_true(done.chunks_dropped > 0 && done.chunks_dropped == done.chunks_garbage);
    assert_true(done.bytes_after + 2 * SIZE <= done.bytes_before && done.segments_after == 2);
    assert_int_equal(count_segments(&r), 2);
    expects(&r, "a", 1);
    expects(&r, "c", 3);
    rig_verify(&r);
    done = collect(&r, false);
    assert_true(done.chunks_dropped == 0 && done.segments_written == 0);
    rig_crash(&r);
    rig_verify(&r);
    put(&r, "again", 2); /* what went is stored anew */
    expects(&r, "again", 2);
    rig_verify(&r);
    rig_fini(&r);
}

static void compact_leaves_one_segment(void **state)
{
    rig r;
    (void)state;
    make(&r);
    engram_compacted done = collect(&r, true);
    assert_true(done.segments_before == 4 && done.segments_after == 1);
    assert_true(done.chunks_dropped == 0 && done.segments_read == 4 && done.segments_written == 1);
    rig_reopen(&r);
    for (uint64_t i = 0; i < 4; i++)
        expects(&r, (char[]){(char)('a' + i), 0}, i + 1);
    rig_verify(&r);
    rig_fini(&r);
}

static void a_dry_run_changes_nothing(void **state)
{
    rig r;
    engram_compacted done;
    engram_compact_options options = {.dry_run = true, .garbage = 0.001};
    (void)state;
    make(&r);
    rig_remove(&r, "b");
    uint64_t before = on_disk(&r);
    assert_ok(engram_gc(r.engram, &options, &done, E));
    assert_true(done.chunks_garbage > 0 && done.chunks_dropped == 0);
    assert_true(done.bytes_after + SIZE / 2 < done.bytes_before && done.segments_after == 3);
    assert_true(on_disk(&r) == before);
    rig_fini(&r);
}

/* ---- what holds chunks ---- */

static unsigned node_file(const rig *r)
{
    char path[700];
    for (unsigned number = 1; number < 9; number++) {
        snprintf(path, sizeof path, "%s/tree/%08u.nodes", r->dir, number);
        if (access(path, F_OK) == 0)
            return number;
    }
    return 0;
}

/* Nodes of versions that were let go of; a version that is kept, and the newest, read as before. */
static void the_tree_is_written_anew(void **state)
{
    rig r;
    engram_view *view;
    char path[32];
    (void)state;
    make(&r);
    for (int i = 0; i < 600; i++) {
        snprintf(path, sizeof path, "small-%d", i % 300);
        rig_text(&r, path, i % 2 == 0 ? "even" : "odd");
        if (i % 10 == 0)
            assert_ok(engram_checkpoint(r.engram, E));
        if (i == 400)
            assert_ok(engram_snapshot_create(r.engram, "kept", NULL, E));
    }
    rig_remove(&r, "a");
    engram_compacted done = collect(&r, false);
    assert_true(done.tree_bytes_kept < done.tree_bytes / 2);
    assert_int_equal(node_file(&r), 1);
    rig_reopen(&r);
    assert_int_equal(node_file(&r), 2);
    rig_verify(&r);
    assert_ok(engram_pin_at(r.engram, "kept", &view, E));
    view_expects(view, "a", 1);
    view_expect_text(view, "small-0", "even");
    engram_unpin(&view);
    rig_text(&r, "small-0", "new");
    rig_crash(&r);
    rig_expect_text(&r, "small-0", "new");
    rig_verify(&r);
    collect(&r, true);
    rig_reopen(&r);
    rig_verify(&r);
    engram_repaired repaired = {0};
    assert_ok(engram_close(&r.engram, E));
    assert_ok(engram_repair(r.dir, NULL, &repaired, E));
    assert_false(repaired.needed);
    rig_open(&r);
    rig_verify(&r);
    rig_fini(&r);
}

static void snapshots_and_rules_hold(void **state)
{
    rig r;
    engram_view *view;
    (void)state;
    make(&r);
    assert_ok(engram_snapshot_create(r.engram, "kept", NULL, E));
    rig_remove(&r, "b");
    assert_true(collect(&r, true).chunks_dropped == 0);
    assert_ok(engram_pin_at(r.engram, "kept", &view, E));
    view_expects(view, "b", 2);
    engram_unpin(&view);
    assert_ok(engram_snapshot_delete(r.engram, "kept", E));
    assert_true(collect(&r, false).chunks_dropped > 0);
    rig_verify(&r);
    rig_fini(&r);
}

/* Of a version that no rule keeps any more: one pinned when it was the newest, one from the catalog. */
static void a_view_holds(void **state)
{
    rig r;
    engram_view *newest, *older;
    (void)state;
    make(&r);
    assert_ok(engram_snapshot_create(r.engram, "kept", NULL, E));
    rig_remove(&r, "a");
    assert_ok(engram_checkpoint(r.engram, E));
    assert_ok(engram_pin_at(r.engram, "kept", &older, E));
    assert_ok(engram_snapshot_delete(r.engram, "kept", E));
    assert_ok(engram_pin(r.engram, &newest, E));
    rig_remove(&r, "b");
    rig_text(&r, "other", "text");
    assert_true(collect(&r, true).chunks_dropped == 0);
    view_expects(older, "a", 1);
    view_expects(newest, "b", 2);
    engram_unpin(&older);
    assert_true(collect(&r, true).chunks_dropped > 0);
    view_expects(newest, "b", 2);
    engram_unpin(&newest);
    assert_true(collect(&r, true).chunks_dropped > 0);
    rig_verify(&r);
    rig_fini(&r);
}

/* It found chunks that have become garbage since, or were it all along. */
static void a_transaction_holds_what_it_found(void **state)
{
    rig r;
    static uint8_t bytes[SIZE];
    (void)state;
    make(&r);
    rig_remove(&r, "b");
    engram_transaction *tx = rig_begin(&r);
    rig_fill(bytes, SIZE, 2);
    assert_ok(engram_write(tx, "found", bytes, SIZE, NULL, E));
    rig_remove(&r, "c");
    rig_fill(bytes, SIZE, 3);
    engram_transaction *other = rig_begin(&r);
    assert_ok(engram_write(other, "aborted", bytes, SIZE, NULL, E));
    collect(&r, true);
    rig_commit(tx);
    engram_abort(&other);
    expects(&r, "found", 2);
    rig_verify(&r);
    assert_true(collect(&r, true).chunks_dropped > 0);
    rig_reopen(&r);
    expects(&r, "found", 2);
    rig_verify(&r);
    rig_fini(&r);
}

/* The version to which it goes back is let go of before it commits. */
static void a_rollback_holds_what_it_brings_back(void **state)
{
    rig r;
    engram_view *view;
    (void)state;
    make(&r);
    assert_ok(engram_snapshot_create(r.engram, "kept", NULL, E));
    rig_remove(&r, "b");
    assert_ok(engram_pin_at(r.engram, "kept", &view, E));
    assert_ok(engram_snapshot_delete(r.engram, "kept", E));
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_rollback(tx, view, "b", NULL, E));
    engram_unpin(&view);
    collect(&r, true);
    rig_commit(tx);
    expects(&r, "b", 2);
    rig_verify(&r);
    rig_fini(&r);
}

/* A reader of its own, as another process has it. */
static void a_reader_keeps_its_files(void **state)
{
    rig r;
    eg_engram *reader = NULL;
    eg_engram_options options = {.read_only = true};
    (void)state;
    make(&r);
    assert_ok(eg_engram_open(eg_io_posix(), r.dir, &options, &reader, E));
    rig_remove(&r, "b");
    assert_true(collect(&r, true).chunks_dropped > 0);
    assert_true(has_segment(&r, 1) && has_segment(&r, 2));
    engram_view *view;
    assert_ok(engram_pin(reader, &view, E));
    view_expects(view, "b", 2);
    engram_unpin(&view);
    assert_ok(eg_engram_close(&reader, E));
    rig_text(&r, "other", "text");
    assert_ok(engram_checkpoint(r.engram, E));
    assert_false(has_segment(&r, 1) || has_segment(&r, 2));
    rig_verify(&r);
    rig_fini(&r);
}

/* ---- many things at random, against a model ---- */

enum { PATHS = 12, VIEWS = 4, SEEDS = 20 / TEST_STRIDE };

typedef struct model {
    uint64_t seeds[PATHS]; /* 0: not there */
} model;

typedef struct world {
    rig r;
    uint64_t random;
    model now, snapshots[VIEWS], pinned[VIEWS];
    bool has_snapshot[VIEWS];
    engram_view *views[VIEWS];
    engram_transaction *tx; /* under way, with the content of one path that is its own */
    uint64_t tx_seed;
} world;

static const char *path_of(size_t i, char text[8])
{
    snprintf(text, 8, "p%zu", i);
    return text;
}

static void check_view(engram_view *view, const model *m)
{
    char text[8];
    for (size_t i = 0; i < PATHS; i++)
        if (m->seeds[i] != 0)
            view_expects(view, path_of(i, text), m->seeds[i]);
        else
            view_expect_absent(view, path_of(i, text));
}

static void check_world(world *w)
{
    engram_view *view;
    char name[8];
    assert_ok(engram_pin(w->r.engram, &view, E));
    check_view(view, &w->now);
    engram_unpin(&view);
    for (size_t i = 0; i < VIEWS; i++) {
        if (w->views[i] != NULL)
            check_view(w->views[i], &w->pinned[i]);
        if (!w->has_snapshot[i])
            continue;
        snprintf(name, sizeof name, "s%zu", i);
        assert_ok(engram_pin_at(w->r.engram, name, &view, E));
        check_view(view, &w->snapshots[i]);
        engram_unpin(&view);
    }
}

static void end_all(world *w)
{
    for (size_t i = 0; i < VIEWS; i++)
        engram_unpin(&w->views[i]);
    engram_abort(&w->tx);
}

static void change_file(world *w)
{
    char text[8];
    size_t i = rig_below(&w->random, PATHS);
    bool removes = rig_below(&w->random, 3) == 0;
    if (removes && w->now.seeds[i] != 0)
        rig_remove(&w->r, path_of(i, text));
    w->now.seeds[i] = removes ? 0 : 1 + rig_below(&w->random, SEEDS);
    if (!removes)
        put(&w->r, path_of(i, text), w->now.seeds[i]);
}

static void change_snapshot(world *w)
{
    char name[8];
    size_t i = rig_below(&w->random, VIEWS);
    snprintf(name, sizeof name, "s%zu", i);
    if (w->has_snapshot[i])
        assert_ok(engram_snapshot_delete(w->r.engram, name, E));
    else
        assert_ok(engram_snapshot_create(w->r.engram, name, NULL, E));
    w->has_snapshot[i] = !w->has_snapshot[i];
    w->snapshots[i] = w->now;
}

static void change_view(world *w)
{
    size_t i = rig_below(&w->random, VIEWS);
    if (w->views[i] != NULL) {
        engram_unpin(&w->views[i]);
        return;
    }
    assert_ok(engram_pin(w->r.engram, &w->views[i], E));
    w->pinned[i] = w->now;
}

static void change_transaction(world *w)
{
    static uint8_t bytes[SIZE];
    if (w->tx != NULL) {
        rig_commit(w->tx);
        expects(&w->r, "own", w->tx_seed);
        w->tx = NULL;
        return;
    }
    w->tx = rig_begin(&w->r);
    w->tx_seed = 1 + rig_below(&w->random, SEEDS);
    rig_fill(bytes, SIZE, w->tx_seed);
    assert_ok(engram_write(w->tx, "own", bytes, SIZE, NULL, E));
}

static void do_one(world *w)
{
    uint64_t what = rig_below(&w->random, 100);
    if (what < 40)
        change_file(w);
    else if (what < 50)
        change_snapshot(w);
    else if (what < 62)
        change_view(w);
    else if (what < 72)
        change_transaction(w);
    else if (what < 92)
        collect(&w->r, what % 2 == 0);
    else if (what < 97) {
        end_all(w);
        rig_reopen(&w->r);
    } else {
        end_all(w);
        rig_crash(&w->r);
    }
}

static void anything_in_any_order(void **state)
{
    enum { STEPS = 250 / TEST_STRIDE };
    uint64_t seed = test_seed(0xC0AC);
    (void)state;
    for (uint64_t round = 0; round < 3; round++) {
        world w = {.random = seed + round};
        rig_init(&w.r, NULL);
        w.r.options.segment_size = 100000;
        rig_reopen(&w.r);
        assert_ok(engram_set_retention(w.r.engram, &only_newest, E));
        for (int i = 0; i < STEPS; i++) {
            do_one(&w);
            if (i % 10 == 0)
                check_world(&w);
        }
        end_all(&w);
        collect(&w.r, true);
        check_world(&w);
        rig_verify(&w.r);
        rig_fini(&w.r);
    }
}

/* ---- beside others ---- */

typedef struct beside {
    rig r;
    atomic_bool ends;
    atomic_int bad;
} beside;

/* Writes what others have written and removed: mostly found. */
static void *write_on(void *context)
{
    beside *b = context;
    static _Thread_local uint8_t bytes[SIZE];
    uint64_t random = (uintptr_t)&random;
    while (!atomic_load(&b->ends)) {
        char path[16];
        uint64_t seed = 1 + rig_below(&random, 6);
        engram_transaction *tx;
        snprintf(path, sizeof path, "t%llu", (unsigned long long)rig_below(&random, 8));
        rig_fill(bytes, SIZE, seed);
        if (engram_begin(b->r.engram, NULL, &tx, NULL) != ENGRAM_OK ||
            (rig_below(&random, 3) == 0 ? engram_remove(tx, path, NULL, NULL)
                                        : engram_write(tx, path, bytes, SIZE, NULL, NULL)) ==
                ENGRAM_IO)
            atomic_fetch_add(&b->bad, 1);
        engram_status status = engram_commit(&tx, NULL, NULL);
        if (status != ENGRAM_OK && status != ENGRAM_CONFLICT)
            atomic_fetch_add(&b->bad, 1);
    }
    return NULL;
}

static engram_status read_one(void *context, const char *path, const struct engram_stat *stat,
                              engram_error *error)
{
    static _Thread_local uint8_t bytes[SIZE], again[SIZE];
    size_t got;
    EG_TRY(engram_read(context, path, 0, bytes, sizeof bytes, &got, error));
    EG_TRY(engram_read(context, path, 0, again, sizeof again, &got, error));
    return got == stat->size && memcmp(bytes, again, got) == 0 ? ENGRAM_OK : ENGRAM_DAMAGED;
}

static void *read_on(void *context)
{
    beside *b = context;
    while (!atomic_load(&b->ends)) {
        engram_view *view;
        engram_pin(b->r.engram, &view, NULL);
        for (int i = 0; i < 3; i++)
            if (engram_list(view, "", NULL, read_one, view, NULL) != ENGRAM_OK)
                atomic_fetch_add(&b->bad, 1);
        engram_unpin(&view);
    }
    return NULL;
}

static void beside_readers_and_writers(void **state)
{
    enum { ROUNDS = 25 };
    static beside b;
    pthread_t threads[4];
    (void)state;
    rig_init(&b.r, NULL);
    b.r.options.segment_size = 200000;
    b.r.options.small_size = 20000; /* the rest spills */
    rig_reopen(&b.r);
    assert_ok(engram_set_retention(b.r.engram, &only_newest, E));
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i < 2 ? write_on : read_on, &b);
    for (int i = 0; i < ROUNDS; i++)
        collect(&b.r, i % 3 == 0);
    atomic_store(&b.ends, true);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&b.bad), 0);
    rig_verify(&b.r);
    rig_reopen(&b.r);
    collect(&b.r, true);
    rig_verify(&b.r);
    rig_fini(&b.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_holds_goes),
        cmocka_unit_test(compact_leaves_one_segment),
        cmocka_unit_test(a_dry_run_changes_nothing),
        cmocka_unit_test(the_tree_is_written_anew),
        cmocka_unit_test(snapshots_and_rules_hold),
        cmocka_unit_test(a_view_holds),
        cmocka_unit_test(a_transaction_holds_what_it_found),
        cmocka_unit_test(a_rollback_holds_what_it_brings_back),
        cmocka_unit_test(a_reader_keeps_its_files),
        cmocka_unit_test(anything_in_any_order),
        cmocka_unit_test(beside_readers_and_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
