/* What holds for every transaction: its own view, aborting, failing calls, ending. */
#include "transactions/rig.h"

#include "base/memory.h"

/* Each kind of change, seen by the transaction and by nobody else. */
static void reads_its_own_writes(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_mkdir(&r, "old");
    rig_text(&r, "old/f", "first");
    rig_text(&r, "old/g", "second");
    engram_transaction *tx = rig_begin(&r);
    engram_view *before = NULL;
    assert_ok(engram_pin(r.engram, &before, E));
    assert_int_equal(engram_tx_version(tx), engram_view_version(before));
    assert_ok(engram_write(tx, "old/f", "1st", 3, NULL, E));
    assert_ok(engram_append(tx, "old/f", "+", 1, NULL, E));
    assert_ok(engram_write_at(tx, "old/f", 1, "ST", 2, NULL, E));
    tx_expect_text(tx, "old/f", "1ST+");
    assert_ok(engram_rename(tx, "old", "new", NULL, E));
    tx_expect_absent(tx, "old/f");
    tx_expect_text(tx, "new/f", "1ST+");
    assert_ok(engram_mkdir(tx, "old", 0755, E)); /* another one under the name */
    assert_ok(engram_write(tx, "old/f", "other", 5, NULL, E));
    tx_expect_text(tx, "new/f", "1ST+");
    assert_ok(engram_remove(tx, "new/g", NULL, E));
    assert_ok(engram_link(tx, "new/f", "old/g", E));
    assert_ok(engram_truncate(tx, "old/g", 2, NULL, E));
    tx_expect_text(tx, "new/f", "1S");
    assert_ok(engram_symlink(tx, "x", "s", E));
    assert_ok(engram_set_mode(tx, "s", 0123, E));
    tx_expect_names(tx, "", "new new/f old old/f old/g s");
    assert_int_equal(tx_stat(tx, "s").mode, 0123);
    rig_expect_names(&r, "", "old old/f old/g");
    rig_expect_text(&r, "old/f", "first");
    uint64_t version = rig_commit(tx);
    assert_true(version > engram_view_version(before));
    rig_expect_names(&r, "", "new new/f old old/f old/g s");
    rig_expect_text(&r, "old/g", "1S");
    rig_names names = {{0}};
    assert_ok(engram_list(before, "", NULL, rig_names_visit, &names, E));
    assert_string_equal(names.text, "old old/f old/g");
    view_expect_text(before, "old/g", "second");
    engram_unpin(&before);
    rig_verify(&r);
    rig_fini(&r);
}

static void abort_leaves_nothing(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "first");
    uint64_t version = rig_newest(&r);
    for (int i = 0; i < 3; i++) {
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_write(tx, "f", "second", 6, NULL, E));
        assert_ok(engram_write(tx, "g", "second", 6, NULL, E));
        assert_ok(engram_mkdir_all(tx, "a/b", 0755, E));
        if (i != 0)
            tx_expect_text(tx, "f", "second");
        engram_abort(&tx);
        assert_null(tx);
    }
    engram_transaction *none = NULL;
    engram_abort(&none);
    assert_int_equal(rig_newest(&r), version);
    rig_expect_names(&r, "", "f");
    rig_expect_text(&r, "f", "first");
    rig_reopen(&r);
    assert_int_equal(rig_newest(&r), version);
    rig_verify(&r);
    rig_fini(&r);
}

/* Whatever fails leaves the transaction as it was, and of use. */
static void failed_calls_change_nothing(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_mkdir(&r, "d");
    rig_text(&r, "d/f", "kept");
    engram_transaction *tx = rig_begin(&r);
    engram_expected none = {.what = ENGRAM_NONE}, stale = {ENGRAM_TOKEN, 1, 1};
    assert_ok(engram_write(tx, "mine", "mine", 4, NULL, E));
    for (int i = 0; i < 2; i++) { /* with and without a view of its own */
        assert_fails(engram_write(tx, "d/f", "x", 1, &none, E), ENGRAM_EXISTS, "d/f");
        assert_fails(engram_write(tx, "mine", "x", 1, &stale, E), ENGRAM_CONFLICT, "mine");
        assert_fails(engram_write(tx, "no/f", "x", 1, NULL, E), ENGRAM_NOT_FOUND, "no");
        assert_fails(engram_write(tx, "d/f/g", "x", 1, NULL, E), ENGRAM_INVALID, "d/f");
        assert_fails(engram_append(tx, "d", "x", 1, NULL, E), ENGRAM_INVALID, "d");
        assert_fails(engram_truncate(tx, "no", 0, NULL, E), ENGRAM_NOT_FOUND, "no");
        assert_fails(engram_remove(tx, "d", NULL, E), ENGRAM_INVALID, "d");
        assert_fails(engram_rmdir(tx, "d", E), ENGRAM_INVALID, "d");
        assert_fails(engram_rename(tx, "d", "d/x", NULL, E), ENGRAM_INVALID, "d");
        assert_fails(engram_link(tx, "d/f", "mine", E), ENGRAM_EXISTS, "mine");
        assert_fails(engram_link(tx, "d/f", "mine/x", E), ENGRAM_INVALID, "mine");
        assert_fails(engram_mkdir_all(tx, "mine/x", 0755, E), ENGRAM_EXISTS, "mine");
        assert_fails(engram_mkdir_all(tx, "p/q/..", 0755, E), ENGRAM_INVALID, "..");
        tx_expect_names(tx, "", "d d/f mine");
    }
    assert_ok(engram_append(tx, "d/f", "!", 1, NULL, E));
    rig_commit(tx);
    rig_expect_names(&r, "", "d d/f mine");
    rig_expect_text(&r, "d/f", "kept!");
    rig_expect_text(&r, "mine", "mine");
    rig_verify(&r);
    rig_fini(&r);
}

/* Each allocation of a transaction fails once: an error, never a half-done commit. */
static void memory_runs_out(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "before");
    uint64_t version = rig_newest(&r);
    for (long n = 1;; n++) {
        engram_transaction *tx = NULL;
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        engram_status status = engram_begin(r.engram, NULL, &tx, &error);
        if (status == ENGRAM_OK)
            status = engram_write(tx, "f", "after", 5, NULL, &error);
        if (status == ENGRAM_OK)
            status = engram_append(tx, "f", "wards", 5, NULL, &error);
        if (status == ENGRAM_OK)
            status = engram_mkdir_all(tx, "a/b", 0755, &error);
        bool fired = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        if (status != ENGRAM_OK) {
            if (status != ENGRAM_NO_MEMORY)
                fail_msg("allocation %ld: %s (%s)", n, engram_status_name(status), error.message);
            assert_true(error.message[0] != 0);
        }
        if (status != ENGRAM_OK && tx != NULL) {
            struct engram_stat stat;
            assert_fails(engram_tx_stat(tx, "f", &stat, E), ENGRAM_NO_MEMORY, "abort");
            assert_fails(engram_commit(&tx, NULL, E), ENGRAM_NO_MEMORY, "abort");
        }
        engram_abort(&tx);
        assert_int_equal(rig_newest(&r), version);
        if (!fired)
            break;
    }
    rig_expect_text(&r, "f", "before");
    rig_text(&r, "f", "after");
    rig_verify(&r);
    rig_fini(&r);
}

static void nothing_written_is_no_version(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    uint64_t version = rig_text(&r, "f", "x");
    engram_transaction *tx = rig_begin(&r);
    tx_expect_text(tx, "f", "x");
    assert_ok(engram_rename(tx, "f", "f", NULL, E));
    assert_ok(engram_mkdir_all(tx, "", 0755, E));
    assert_int_equal(rig_commit(tx), version);
    assert_int_equal(rig_newest(&r), version);
    tx = rig_begin(&r);
    assert_ok(engram_commit(&tx, NULL, E));
    rig_fini(&r);
}

typedef struct remover {
    engram_transaction *tx;
    int count;
} remover;

static engram_status remove_what_is_listed(void *context, const char *path,
                                           const struct engram_stat *stat, engram_error *error)
{
    remover *m = context;
    m->count++;
    return stat->kind == ENGRAM_KIND_FILE ? engram_remove(m->tx, path, NULL, error) : ENGRAM_OK;
}

static engram_status remove_and_stop(void *context, const char *path,
                                     const struct engram_stat *stat, engram_error *error)
{
    (void)stat;
    assert_ok(engram_remove(context, path, NULL, E));
    assert_ok(engram_tx_stat(context, "b", &(struct engram_stat){0}, error));
    return ENGRAM_CANCELLED;
}

/* A walk shows the view as it was when the walk began, whatever the visits change. */
static void changes_during_a_walk(void **state)
{
    (void)state;
    rig r;
    char path[32];
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "d%02d/f%d", i / 10, i);
        if (i % 10 == 0) {
            char *slash = strchr(path, '/');
            *slash = 0;
            assert_ok(engram_mkdir(tx, path, 0755, E));
            *slash = '/';
        }
        assert_ok(engram_write(tx, path, path, strlen(path), NULL, E));
    }
    remover m = {.tx = tx};
    assert_ok(engram_tx_list(tx, "", NULL, remove_what_is_listed, &m, E));
    assert_int_equal(m.count, 330);
    engram_filter files = {.kinds = 1u << ENGRAM_KIND_FILE};
    rig_names names = {{0}};
    assert_ok(engram_tx_list(tx, "", &files, rig_names_visit, &names, E));
    assert_string_equal(names.text, "");
    /* One that ends the walk keeps what it did before. */
    assert_ok(engram_write(tx, "a", "x", 1, NULL, E));
    assert_ok(engram_write(tx, "b", "x", 1, NULL, E));
    assert_fails(engram_tx_list(tx, "", &files, remove_and_stop, tx, E), ENGRAM_CANCELLED, "");
    tx_expect_absent(tx, "a");
    tx_expect_text(tx, "b", "x");
    assert_ok(engram_append(tx, "b", "y", 1, NULL, E));
    rig_commit(tx);
    rig_expect_absent(&r, "a");
    rig_expect_text(&r, "b", "xy");
    rig_verify(&r);
    rig_fini(&r);
}

static void a_reader_writes_nothing(void **state)
{
    (void)state;
    rig r;
    struct engram *reader = NULL;
    engram_transaction *tx = NULL;
    rig_init(&r, NULL);
    rig_text(&r, "f", "x");
    assert_ok(engram_open(r.dir, &(engram_settings){.read_only = true}, &reader, E));
    assert_fails(engram_begin(reader, NULL, &tx, E), ENGRAM_INVALID, "read-only");
    assert_null(tx);
    assert_fails(engram_snapshot_create(reader, "s", NULL, E), ENGRAM_INVALID, "read-only");
    engram_view *view = NULL;
    assert_ok(engram_pin(reader, &view, E));
    view_expect_text(view, "f", "x");
    engram_unpin(&view);
    assert_ok(engram_close(&reader, E));
    rig_fini(&r);
}

static void public_life(void **state)
{
    (void)state;
    temp_dir temp;
    char dir[600], chunk[5000];
    struct engram *e = NULL;
    engram_view *view = NULL;
    engram_transaction *tx = NULL;
    engram_metrics m;
    assert_int_equal(temp_dir_init(&temp), 0);
    snprintf(dir, sizeof dir, "%s/a.engram", temp.path);
    assert_fails(engram_create(dir, &(engram_format){.chunk = "huge"}, E), ENGRAM_INVALID, "huge");
    assert_fails(engram_create(dir, &(engram_format){.level = 10}, E), ENGRAM_INVALID, "10");
    assert_fails(engram_open(dir, NULL, &e, E), ENGRAM_NOT_ENGRAM, dir);
    assert_ok(engram_create(dir, NULL, E));
    assert_fails(engram_create(dir, NULL, E), ENGRAM_EXISTS, dir);
    assert_ok(engram_open(dir, &(engram_settings){.memory = 8 << 20, .small_size = 1000}, &e, E));
    assert_ok(engram_pin(e, &view, E));
    assert_int_equal(engram_view_version(view), 0);
    assert_true(engram_view_time_ns(view) != 0);
    engram_unpin(&view);
    engram_unpin(&view);
    rig_fill(chunk, sizeof chunk, 1);
    for (int i = 0; i < 3; i++) { /* small ones in the record, larger ones not */
        assert_ok(engram_begin(e, NULL, &tx, E));
        assert_ok(engram_append(tx, "f", chunk, 900 + 2000 * (size_t)i, NULL, E));
        assert_ok(engram_commit(&tx, NULL, E));
    }
    engram_get_metrics(e, &m);
    assert_int_equal(m.version, 3);
    assert_int_equal(m.commits, 3);
    assert_int_equal(m.conflicts, 0);
    assert_true(m.groups == 3 && m.syncs >= 3 && m.journal_bytes > 0);
    assert_ok(engram_close(&e, E));
    assert_ok(engram_close(&e, E));
    temp_dir_fini(&temp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_its_own_writes),          cmocka_unit_test(abort_leaves_nothing),
        cmocka_unit_test(failed_calls_change_nothing),   cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(nothing_written_is_no_version), cmocka_unit_test(changes_during_a_walk),
        cmocka_unit_test(a_reader_writes_nothing),       cmocka_unit_test(public_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
