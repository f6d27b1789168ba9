/* Versions over time: pinning old ones, snapshots, retention, the log of a path, copies. */
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/internal.h"
#include "transactions/rig.h"

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static engram_view *pin_at(rig *r, const char *text)
{
    engram_view *view = NULL;
    assert_ok(engram_pin_at(r->engram, text, &view, E));
    return view;
}

static void cannot_pin(rig *r, const char *text, const char *words)
{
    engram_view *view = NULL;
    assert_fails(engram_pin_at(r->engram, text, &view, E), ENGRAM_NOT_FOUND, words);
    assert_null(view);
}

static void expect_at(rig *r, const char *at, const char *path, const char *text)
{
    engram_view *view = pin_at(r, at);
    if (text != NULL)
        view_expect_text(view, path, text);
    else
        view_expect_absent(view, path);
    engram_unpin(&view);
}

static void keep_only(rig *r, engram_retention retention)
{
    assert_ok(engram_set_retention(r->engram, &retention, E));
}

/* "1 2* 5!": the versions that can be pinned; * named by a snapshot, ! the newest. */
static engram_status versions_visit(void *context, const engram_retained *retained,
                                    engram_error *error)
{
    rig_names *names = context;
    size_t used = strlen(names->text);
    (void)error;
    snprintf(names->text + used, sizeof names->text - used, "%s%llu%s%s%s", used != 0 ? " " : "",
             (unsigned long long)retained->version, retained->snapshot[0] != 0 ? "*" : "",
             retained->label[0] != 0 ? "#" : "", retained->newest ? "!" : "");
    assert_true(retained->time_ns != 0);
    return ENGRAM_OK;
}

static void expect_versions(rig *r, const char *expected)
{
    rig_names names = {{0}};
    assert_ok(engram_versions(r->engram, versions_visit, &names, E));
    assert_string_equal(names.text, expected);
}

static engram_status snapshots_visit(void *context, const char *name, uint64_t version,
                                     uint64_t time_ns, engram_error *error)
{
    rig_names *names = context;
    size_t used = strlen(names->text);
    (void)error;
    snprintf(names->text + used, sizeof names->text - used, "%s%s=%llu", used != 0 ? " " : "", name,
             (unsigned long long)version);
    assert_true(time_ns != 0);
    return ENGRAM_OK;
}

static void expect_snapshots(rig *r, const char *expected)
{
    rig_names names = {{0}};
    assert_ok(engram_snapshots(r->engram, snapshots_visit, &names, E));
    assert_string_equal(names.text, expected);
}

/* ---- pinning ---- */

static void iso(char *out, size_t size, uint64_t time_ns)
{
    time_t seconds = (time_t)(time_ns / 1000000000u);
    struct tm tm;
    char front[32];
    gmtime_r(&seconds, &tm);
    strftime(front, sizeof front, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%09lluZ", front, (unsigned long long)(time_ns % 1000000000u));
}

static void pins_by_number_and_time(void **state)
{
    (void)state;
    rig r;
    char text[64];
    uint64_t times[7];
    rig_init(&r, NULL);
    expect_versions(&r, "0!");
    engram_view *view = pin_at(&r, "0");
    assert_int_equal(engram_view_version(view), 0);
    engram_unpin(&view);
    for (int i = 1; i <= 6; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(rig_text(&r, "f", text), i);
        view = pin_at(&r, NULL);
        times[i] = engram_view_time_ns(view);
        engram_unpin(&view);
        wait_a_little();
        if (i == 3)
            assert_ok(engram_checkpoint(r.engram, E));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i <= 6; i++) {
            snprintf(text, sizeof text, "%d", i);
            expect_at(&r, text, "f", text);
            char at[64];
            iso(at, sizeof at, times[i]);
            expect_at(&r, at, "f", text);
            iso(at, sizeof at, times[i] + 1000000);
            expect_at(&r, at, "f", text);
            iso(at, sizeof at, times[i] - 1);
            snprintf(text, sizeof text, "%d", i - 1);
            if (i > 1)
                expect_at(&r, at, "f", text);
        }
        expect_at(&r, "", "f", "6");
        expect_at(&r, "now", "f", "6");
        cannot_pin(&r, "1 day ago", "1 day ago");
        cannot_pin(&r, "yesterday", "yesterday");
        cannot_pin(&r, "7", "the one before it is 6");
        cannot_pin(&r, "nonsense", "'nonsense'");
        if (round == 0)
            rig_crash(&r);
        else
            rig_reopen(&r);
    }
    rig_verify(&r);
    rig_fini(&r);
}

static void what_is_not_retained(void **state)
{
    (void)state;
    rig r;
    char text[32];
    rig_init(&r, NULL);
    for (int i = 1; i <= 9; i++) {
        snprintf(text, sizeof text, "%d", i);
        rig_text(&r, "f", text);
    }
    assert_ok(engram_snapshot_create_at(r.engram, "three", "3", NULL, E)); /* 10 */
    engram_view *pinned = pin_at(&r, "5");
    keep_only(&r, (engram_retention){.last = 3});
    assert_ok(engram_checkpoint(r.engram, E));
    expect_versions(&r, "3* 8 9 10!");
    cannot_pin(&r, "5", "version 5 is not retained: the one before it is 3, the one after it is 8");
    cannot_pin(&r, "1", "the one after it is 3");
    cannot_pin(&r, "11", "the one before it is 10");
    view_expect_text(pinned, "f", "5"); /* who holds it keeps it */
    engram_unpin(&pinned);
    expect_at(&r, "three", "f", "3");
    rig_reopen(&r);
    expect_versions(&r, "3* 8 9 10!");
    rig_verify(&r);
    rig_fini(&r);
}

/* ---- snapshots ---- */

static void snapshots(void **state)
{
    (void)state;
    rig r;
    uint64_t version = 0;
    char name[300];
    rig_init(&r, NULL);
    rig_text(&r, "f", "one");
    assert_ok(engram_snapshot_create(r.engram, "first", &version, E));
    assert_int_equal(version, rig_newest(&r));
    rig_text(&r, "f", "two");
    assert_ok(engram_snapshot_create_at(r.engram, "back", "1", &version, E));
    assert_int_equal(version, 1);
    assert_ok(engram_snapshot_create_at(r.engram, "again", "first", &version, E));
    assert_ok(engram_snapshot_create_at(r.engram, "top", "", &version, E));
    expect_snapshots(&r, "again=2 back=1 first=2 top=5");
    assert_fails(engram_snapshot_create(r.engram, "first", NULL, E), ENGRAM_EXISTS, "'first'");
    assert_fails(engram_snapshot_create_at(r.engram, "first", "1", NULL, E), ENGRAM_EXISTS,
                 "'first'");
    assert_fails(engram_snapshot_create_at(r.engram, "x", "77", NULL, E), ENGRAM_NOT_FOUND, "77");
    assert_fails(engram_snapshot_create_at(r.engram, "x", "none", NULL, E), ENGRAM_NOT_FOUND,
                 "none");
    assert_fails(engram_snapshot_delete(r.engram, "none", E), ENGRAM_NOT_FOUND, "'none'");
    static const char *const bad[] = {"",  "a/b", "17", "2026-11-27", "yesterday", "3 hours ago",
                                      ".", "..",  "now"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(engram_snapshot_create(r.engram, bad[i], NULL, E), ENGRAM_INVALID,
                     "names no snapshot");
    memset(name, 'n', sizeof name);
    name[256] = 0;
    assert_fails(engram_snapshot_create(r.engram, name, NULL, E), ENGRAM_INVALID, "255");
    name[255] = 0;
    assert_ok(engram_snapshot_create(r.engram, name, NULL, E));
    assert_ok(engram_snapshot_delete(r.engram, name, E));
    keep_only(&r, (engram_retention){0});
    for (int round = 0; round < 4; round++) {
        expect_snapshots(&r, "again=2 back=1 first=2 top=5");
        expect_at(&r, "first", "f", "one");
        expect_at(&r, "back", "f", "one");
        expect_at(&r, "again", "f", "one");
        expect_at(&r, "top", "f", "two");
        if (round == 0)
            rig_crash(&r);
        else if (round == 1)
            assert_ok(engram_checkpoint(r.engram, E));
        else
            rig_reopen(&r);
    }
    assert_ok(engram_snapshot_delete(r.engram, "first", E));
    assert_ok(engram_snapshot_delete(r.engram, "back", E));
    assert_fails(engram_snapshot_delete(r.engram, "back", E), ENGRAM_NOT_FOUND, "'back'");
    assert_ok(engram_checkpoint(r.engram, E));
    expect_snapshots(&r, "again=2 top=5");
    expect_versions(&r, "2* 5* 10!");
    cannot_pin(&r, "back", "'back'");
    expect_at(&r, "again", "f", "one");
    rig_verify(&r);
    rig_fini(&r);
}

/* A snapshot's commit may itself be the one that makes a checkpoint due. */
static void snapshots_when_a_checkpoint_is_due(void **state)
{
    (void)state;
    for (int by_hand = 0; by_hand < 2; by_hand++) {
        rig r;
        char name[32];
        rig_init(&r, NULL);
        r.options.journal_size = 1; /* every commit */
        r.options.by_hand = by_hand;
        rig_reopen(&r);
        for (int i = 0; i < 20; i++) {
            rig_text(&r, "f", "x");
            snprintf(name, sizeof name, "s%d", i);
            assert_ok(engram_snapshot_create_at(r.engram, name, "", NULL, E));
            snprintf(name, sizeof name, "t%d", i);
            assert_ok(engram_snapshot_create(r.engram, name, NULL, E));
        }
        rig_verify(&r);
        rig_fini(&r);
    }
}

/* An old version that is named late: what keeps it in memory is not in the journal at its place. */
static void named_late_and_crashed(void **state)
{
    (void)state;
    enum { MANY = 2500 };
    rig r;
    char text[32];
    rig_init(&r, NULL);
    r.options.by_hand = true;
    r.options.journal_size = 1 << 30;
    r.options.journal_file_size = 4 << 20;
    r.options.durability = ENGRAM_DURABILITY_RELAXED;
    rig_reopen(&r);
    for (int i = 1; i <= MANY; i++) {
        snprintf(text, sizeof text, "%d", i);
        uint64_t version = rig_text(&r, "f", text);
        if (i == 501 || i == 502) { /* whichever of two thinning lets go of first */
            char name[32], at[32];
            snprintf(name, sizeof name, "s%d", i);
            snprintf(at, sizeof at, "%llu", (unsigned long long)version);
            rig_text(&r, "g", "x");
            assert_ok(engram_snapshot_create_at(r.engram, name, at, NULL, E));
        }
    }
    for (int round = 0; round < 3; round++) {
        expect_at(&r, "s501", "f", "501");
        expect_at(&r, "s502", "f", "502");
        if (round == 0)
            rig_crash(&r);
        else
            rig_reopen(&r);
    }
    rig_verify(&r);
    rig_fini(&r);
}

/* ---- a checkpoint beside a commit whose sync takes long ---- */

static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;
    int waiting;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

static engram_status gated_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io;
    const char *name = eg_file_name(file);
    size_t size = strlen(name);
    pthread_mutex_lock(&gate.lock);
    if (size > 4 && strcmp(name + size - 4, ".wal") == 0) {
        gate.waiting++;
        pthread_cond_broadcast(&gate.changed);
        while (gate.closed)
            pthread_cond_wait(&gate.changed, &gate.lock);
        gate.waiting--;
    }
    pthread_mutex_unlock(&gate.lock);
    return eg_io_posix()->sync(eg_io_posix(), file, error);
}

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void *make_snapshot(void *context)
{
    rig *r = context;
    return (void *)(intptr_t)engram_snapshot_create(r->engram, "slow", NULL, NULL);
}

static void *make_checkpoint(void *context)
{
    rig *r = context;
    return (void *)(intptr_t)engram_checkpoint(r->engram, NULL);
}

/* What a checkpoint's tree names must be in its catalog, though it was not yet published. */
static void checkpoint_beside_a_slow_sync(void **state)
{
    (void)state;
    rig r;
    pthread_t maker, checkpointer;
    void *made = NULL, *checkpointed = NULL;
    eg_io io = *eg_io_posix();
    io.sync = gated_sync;
    rig_init(&r, NULL);
    assert_ok(engram_close(&r.engram, E));
    r.options.by_hand = true;
    assert_ok(eg_engram_open(&io, r.dir, &r.options, &r.engram, E));
    rig_text(&r, "f", "x");
    keep_only(&r, (engram_retention){0});
    set_gate(true);
    assert_int_equal(pthread_create(&maker, NULL, make_snapshot, &r), 0);
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    assert_int_equal(pthread_create(&checkpointer, NULL, make_checkpoint, &r), 0);
    for (int i = 0; i < 50; i++) /* as far as it gets */
        wait_a_little();
    set_gate(false);
    pthread_join(maker, &made);
    pthread_join(checkpointer, &checkpointed);
    assert_int_equal((intptr_t)made, ENGRAM_OK);
    assert_int_equal((intptr_t)checkpointed, ENGRAM_OK);
    rig_crash(&r);
    rig_text(&r, "f", "y");
    expect_snapshots(&r, "slow=2");
    expect_at(&r, "slow", "f", "x");
    rig_verify(&r);
    rig_fini(&r);
}

/* ---- retention ---- */

static void retention_is_kept(void **state)
{
    (void)state;
    rig r;
    char text[32];
    engram_retention got;
    rig_init(&r, NULL);
    engram_get_retention(r.engram, &got);
    assert_int_equal(got.every_s, 3600);
    assert_true(got.last == 0 && got.hourly == 0 && got.yearly == 0);
    engram_retention wanted = {1, 2, 3, 4, 5, 6, 7, 8};
    keep_only(&r, wanted);
    rig_reopen(&r);
    engram_get_retention(r.engram, &got);
    assert_true(got.every_s == 1 && got.last == 2 && got.hourly == 3 && got.daily == 4);
    assert_true(got.weekly == 5 && got.monthly == 6 && got.yearly == 7 && got.runs == 8);
    keep_only(&r, (engram_retention){.last = 4});
    rig_crash(&r);
    engram_get_retention(r.engram, &got);
    assert_true(got.last == 4 && got.every_s == 0);
    for (int i = 1; i <= 30; i++) {
        snprintf(text, sizeof text, "%d", i);
        rig_text(&r, "f", text);
        if (i % 7 == 0)
            assert_ok(engram_checkpoint(r.engram, E));
    }
    /* Rules are applied at checkpoints: those since are there too. */
    expect_versions(&r, "25 26 27 28 29 30!");
    assert_ok(engram_checkpoint(r.engram, E));
    expect_versions(&r, "27 28 29 30!");
    rig_reopen(&r);
    expect_versions(&r, "27 28 29 30!");
    expect_at(&r, "27", "f", "27");
    keep_only(&r, (engram_retention){0});
    rig_reopen(&r);
    expect_versions(&r, "30!");
    rig_text(&r, "f", "31");
    rig_crash(&r);
    expect_versions(&r, "31!");
    rig_verify(&r);
    rig_fini(&r);
}

/* ---- log ---- */

static engram_status log_visit(void *context, const engram_log_entry *entry, engram_error *error)
{
    rig_names *names = context;
    size_t used = strlen(names->text);
    (void)error;
    snprintf(names->text + used, sizeof names->text - used, "%s%llu:", used != 0 ? " " : "",
             (unsigned long long)entry->version);
    used = strlen(names->text);
    if (entry->present)
        snprintf(names->text + used, sizeof names->text - used, "%llu",
                 (unsigned long long)entry->stat.size);
    else
        snprintf(names->text + used, sizeof names->text - used, "-");
    return ENGRAM_OK;
}

static void logs(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_mkdir(&r, "d");          /* 1 */
    rig_text(&r, "d/f", "1");    /* 2 */
    rig_text(&r, "other", "x");  /* 3 */
    rig_text(&r, "d/f", "22");   /* 4 */
    rig_rename(&r, "d", "e");    /* 5 */
    rig_mkdir(&r, "d");          /* 6 */
    rig_text(&r, "d/f", "333");  /* 7 */
    rig_text(&r, "e/f", "4444"); /* 8 */
    rig_remove(&r, "d");         /* 9 */
    rig_rename(&r, "e", "d");    /* 10 */
    for (int round = 0; round < 2; round++) {
        rig_names names = {{0}};
        assert_ok(engram_log(r.engram, "d/f", log_visit, &names, E));
        assert_string_equal(names.text, "10:4 9:- 7:3 5:- 4:2 2:1");
        names.text[0] = 0;
        assert_ok(engram_log(r.engram, "/e/./f/", log_visit, &names, E));
        assert_string_equal(names.text, "10:- 8:4 5:2");
        assert_fails(engram_log(r.engram, "never", log_visit, &names, E), ENGRAM_NOT_FOUND,
                     "never");
        rig_crash(&r);
    }
    rig_fini(&r);
}

/* ---- copies ---- */

static engram_status compare_visit(void *context, const char *path, const struct engram_stat *stat,
                                   engram_error *error)
{
    engram_view *copy = context;
    struct engram_stat other;
    (void)error;
    assert_ok(engram_stat(copy, path, &other, E));
    assert_memory_equal(&other, stat, sizeof other);
    return ENGRAM_OK;
}

static void copies(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    rig r, c;
    char path[700];
    uint8_t *data = eg_alloc(SIZE);
    rig_init(&r, NULL);
    for (uint64_t i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "f%llu", (unsigned long long)i);
        rig_fill(data, SIZE, i);
        rig_put(&r, path, data, i % 10 == 0 ? SIZE : i * 7);
    }
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir_all(tx, "a/b/c", 0700, E));
    assert_ok(engram_symlink(tx, "target", "a/b/l", E));
    assert_ok(engram_link(tx, "f10", "a/b/c/ten", E));
    assert_ok(engram_set_mtime(tx, "f10", 12345, 678, E));
    rig_commit(tx);
    assert_ok(engram_snapshot_create(r.engram, "s", NULL, E));
    engram_view *view = pin_at(&r, NULL);
    rig_remove(&r, "");
    rig_put(&r, "later", data, SIZE);
    memset(&c, 0, sizeof c);
    snprintf(c.dir, sizeof c.dir, "%s/copy.engram", r.temp.path);
    assert_fails(engram_copy(view, r.temp.path, E), ENGRAM_INVALID, r.temp.path);
    snprintf(path, sizeof path, "%s.part", c.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(engram_copy(view, c.dir, E), ENGRAM_EXISTS, path);
    assert_int_equal(rmdir(path), 0);
    assert_ok(engram_copy(view, c.dir, E));
    assert_fails(engram_copy(view, c.dir, E), ENGRAM_EXISTS, c.dir);
    assert_int_not_equal(rmdir(path), 0);
    c.options = r.options;
    rig_open(&c);
    rig_verify(&c);
    snprintf(path, sizeof path, "%llu!", (unsigned long long)engram_view_version(view));
    expect_versions(&c, path);
    expect_snapshots(&c, "");
    engram_view *same = pin_at(&c, NULL);
    assert_int_equal(engram_view_time_ns(same), engram_view_time_ns(view));
    assert_ok(engram_list(view, "", NULL, compare_visit, same, E));
    assert_ok(engram_list(same, "", NULL, compare_visit, view, E));
    for (uint64_t i = 0; i < 200; i += 10) {
        snprintf(path, sizeof path, "f%llu", (unsigned long long)i);
        rig_fill(data, SIZE, i);
        view_expect(same, path, data, SIZE);
    }
    engram_unpin(&same);
    engram_unpin(&view);
    /* It goes on, and neither knows of the other. */
    uint64_t version = rig_text(&c, "new", "x");
    rig_fill(data, SIZE, 1000);
    rig_put(&c, "f10", data, SIZE);
    assert_int_equal(rig_newest(&c), version + 1);
    rig_crash(&c);
    rig_expect_text(&c, "new", "x");
    rig_expect(&c, "a/b/c/ten", data, SIZE);
    rig_verify(&c);
    rig_expect_names(&r, "", "later");
    rig_verify(&r);
    assert_ok(engram_close(&c.engram, E));
    /* Of nothing. */
    snprintf(c.dir, sizeof c.dir, "%s/empty.engram", r.temp.path);
    rig_remove(&r, "");
    view = pin_at(&r, NULL);
    assert_ok(engram_copy(view, c.dir, E));
    engram_unpin(&view);
    rig_open(&c);
    rig_verify(&c);
    rig_expect_names(&c, "", "");
    assert_ok(engram_close(&c.engram, E));
    eg_free(data);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_by_number_and_time),
        cmocka_unit_test(what_is_not_retained),
        cmocka_unit_test(snapshots),
        cmocka_unit_test(snapshots_when_a_checkpoint_is_due),
        cmocka_unit_test(named_late_and_crashed),
        cmocka_unit_test(checkpoint_beside_a_slow_sync),
        cmocka_unit_test(retention_is_kept),
        cmocka_unit_test(logs),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
