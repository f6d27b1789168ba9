/* Transactions beside each other: who conflicts with whom, and what engram_run makes of it. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/status.h"
#include "transactions/rig.h"

enum { THREADS = 100 };

static const engram_transaction_options snapshot_isolation = {.isolation =
                                                                  ENGRAM_SNAPSHOT_ISOLATION};

static engram_transaction *begin_with(rig *r, const engram_transaction_options *options)
{
    engram_transaction *tx = NULL;
    assert_ok(engram_begin(r->engram, options, &tx, E));
    return tx;
}

static void must_conflict(engram_transaction *tx, const char *words)
{
    assert_fails(engram_commit(&tx, NULL, E), ENGRAM_CONFLICT, words);
    assert_null(tx);
}

/* ---- two at a time ---- */

static void first_committer_wins(void **state)
{
    (void)state;
    rig r;
    char words[64];
    rig_init(&r, NULL);
    rig_mkdir(&r, "d");
    rig_text(&r, "d/f", "base");
    engram_transaction *a = rig_begin(&r), *b = rig_begin(&r), *c = rig_begin(&r);
    snprintf(words, sizeof words, "'d/f' after version %llu",
             (unsigned long long)engram_tx_version(b));
    assert_ok(engram_write(a, "d/f", "a", 1, NULL, E));
    assert_ok(engram_append(b, "d/f", "b", 1, NULL, E));
    assert_ok(engram_remove(c, "d/f", NULL, E));
    rig_commit(a);
    must_conflict(b, words);
    rig_commit(c); /* expects nothing of the content that it removes */
    rig_expect_absent(&r, "d/f");
    static const engram_expected none = {.what = ENGRAM_NONE};
    a = rig_begin(&r), b = rig_begin(&r);
    assert_ok(engram_write(a, "new", "a", 1, &none, E));
    assert_ok(engram_write(b, "new", "b", 1, NULL, E));
    rig_commit(b);
    must_conflict(a, "'new'");
    rig_expect_text(&r, "new", "b");
    engram_metrics m;
    engram_get_metrics(r.engram, &m);
    assert_int_equal(m.conflicts, 2);
    rig_fini(&r);
}

/* One call in each of two transactions: the second to commit conflicts, or not. Whichever it is,
 * the tree stays whole. */
typedef engram_status call(engram_transaction *tx, engram_error *E);
typedef struct couple {
    call *first, *second;
    bool conflict;
    const char *names; /* of what conflicts */
} couple;

#define CALL(name, what)                                                                           \
    static engram_status name(engram_transaction *tx, engram_error *E)                             \
    {                                                                                              \
        return what;                                                                               \
    }
CALL(write_f, engram_write(tx, "d/f", "new", 3, NULL, E))
CALL(append_f, engram_append(tx, "d/f", "new", 3, NULL, E))
CALL(update_f, engram_update_chunk(tx, "d/f", 0, "old", 3, NULL, E))
CALL(write_g, engram_write(tx, "d/g", "new", 3, NULL, E))
CALL(write_new, engram_write(tx, "d/new", "new", 3, NULL, E))
CALL(write_new2, engram_write(tx, "d/new2", "new", 3, NULL, E))
CALL(write_deep, engram_write(tx, "d/sub/new", "new", 3, NULL, E))
CALL(remove_f, engram_remove(tx, "d/f", NULL, E))
CALL(remove_g, engram_remove(tx, "d/g", NULL, E))
CALL(remove_link, engram_remove(tx, "link", NULL, E))
CALL(write_link, engram_write(tx, "link", "new", 3, NULL, E))
CALL(mode_f, engram_set_mode(tx, "d/f", 0600, E))
CALL(mode_d, engram_set_mode(tx, "d", 0700, E))
CALL(rename_f, engram_rename(tx, "d/f", "d/h", NULL, E))
CALL(rename_f_over, engram_rename(tx, "d/f", "d/g", NULL, E))
CALL(rename_g_over, engram_rename(tx, "d/g", "d/f", NULL, E))
CALL(rename_d, engram_rename(tx, "d", "e", NULL, E))
CALL(rename_d_below, engram_rename(tx, "d", "other/d", NULL, E))
CALL(rename_other_below, engram_rename(tx, "other", "d/sub/other", NULL, E))
CALL(rename_over_sub, engram_rename(tx, "other", "d/sub", NULL, E))
CALL(remove_d, engram_remove_all(tx, "d", NULL, E))
CALL(rmdir_sub, engram_rmdir(tx, "d/sub", E))
CALL(mkdir_new, engram_mkdir(tx, "d/new", 0755, E))
CALL(mkdir_same, engram_mkdir_all(tx, "d/new/er", 0755, E))
CALL(link_f, engram_link(tx, "d/f", "d/new", E))
CALL(symlink_new, engram_symlink(tx, "x", "d/new", E))

static engram_status write_and_remove_d(engram_transaction *tx, engram_error *E)
{
    EG_TRY(engram_write(tx, "d/f", "new", 3, NULL, E));
    return engram_remove_all(tx, "d", NULL, E);
}

/* Deep places move too. */
static void circles(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    for (int serializable = 0; serializable < 2; serializable++) {
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_mkdir_all(tx, "a/b/c", 0755, E));
        assert_ok(engram_mkdir_all(tx, "x/y/z", 0755, E));
        rig_commit(tx);
        const engram_transaction_options *o = serializable ? NULL : &snapshot_isolation;
        engram_transaction *one = begin_with(&r, o), *two = begin_with(&r, o),
                           *three = begin_with(&r, o);
        assert_ok(engram_rename(one, "a", "x/y/z/a", NULL, E));
        assert_ok(engram_rename(two, "x/y", "a/b/c/y", NULL, E));
        assert_ok(engram_rename(three, "x/y/z", "z", NULL, E)); /* into no circle, but of the way */
        rig_commit(one);
        must_conflict(two, serializable ? "'a'" : "the place of directory 'a'");
        rig_commit(three);
        rig_expect_names(&r, "", "x x/y z z/a z/a/b z/a/b/c");
        rig_remove(&r, "");
    }
    rig_verify(&r);
    rig_fini(&r);
}

static const couple couples[] = {
    {write_f, write_g, false, ""},
    {write_f, write_f, true, "link"},
    {write_f, append_f, true, "link"},
    {update_f, append_f, true, "link"},
    {write_f, mode_f, true, "link"},
    {mode_f, write_f, true, "link"},
    {write_f, write_link, true, "link"}, /* two names of one file */
    {write_link, write_f, true, "link"},
    {write_f, remove_f, false, ""},
    {remove_f, write_f, true, "d/f"},
    {remove_f, remove_f, true, "d/f"},
    {remove_f, remove_link, false, ""},
    {remove_f, remove_g, false, ""},
    {write_new, write_new2, false, ""},
    {write_new, write_new, true, "d/new"},
    {write_new, mkdir_new, true, "d/new"},
    {mkdir_new, mkdir_same, true, "d/new"},
    {mkdir_same, symlink_new, true, "d/new"},
    {link_f, symlink_new, true, "d/new"},
    {write_f, link_f, false, ""},
    {remove_f, link_f, true, "d/f"},
    {rename_f, write_f, true, "d/f"},
    {write_f, rename_f, false, ""},
    {rename_f, rename_f, true, "d/f"},
    {rename_f_over, rename_g_over, true, "d/"},
    {rename_f_over, write_g, true, "d/g"},
    {write_g, rename_f_over, false, ""},
    {rename_d, write_new, true, "d"},
    {write_new, rename_d, false, ""},
    {rename_d, write_f, true, "d"},
    {mode_d, write_f, false, ""},
    {mode_d, write_new, false, ""},
    {remove_d, write_new, true, "d"},
    {write_new, remove_d, true, "d"},
    {write_deep, remove_d, true, "d/sub"},
    {write_f, remove_d, false, ""},
    {remove_d, write_deep, true, "d"},
    {remove_d, mode_f, true, "d"},
    {rmdir_sub, write_deep, true, "d/sub"},
    {write_deep, rmdir_sub, true, "d/sub"},
    {rename_over_sub, write_deep, true, "d/sub"},
    {write_deep, rename_over_sub, true, "d/sub"},
    {rename_d_below, rename_other_below, true, "'d'"}, /* a circle */
    {rename_other_below, rename_d_below, true, "'other'"},
    {rename_d, write_and_remove_d, true, "'d'"},
};

static void fill_couple(rig *r)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_mkdir_all(tx, "d/sub", 0755, E));
    assert_ok(engram_mkdir(tx, "other", 0755, E));
    assert_ok(engram_write(tx, "d/f", "old", 3, NULL, E));
    assert_ok(engram_write(tx, "d/g", "old", 3, NULL, E));
    assert_ok(engram_link(tx, "d/f", "link", E));
    rig_commit(tx);
}

static void couples_with(const engram_transaction_options *options)
{
    rig r;
    rig_init(&r, NULL);
    for (size_t i = 0; i < sizeof couples / sizeof *couples; i++) {
        const couple *c = &couples[i];
        engram_error error = {0};
        fill_couple(&r);
        engram_transaction *first = begin_with(&r, options), *second = begin_with(&r, options);
        assert_ok(c->second(second, E));
        assert_ok(c->first(first, E));
        rig_commit(first);
        engram_status status = engram_commit(&second, NULL, &error);
        bool serializable = options == NULL;
        if (status != ENGRAM_OK && status != ENGRAM_CONFLICT)
            fail_msg("couple %zu: %s (%s)", i, engram_status_name(status), error.message);
        if (serializable && (status == ENGRAM_CONFLICT) != c->conflict)
            fail_msg("couple %zu: %s (%s)", i, engram_status_name(status), error.message);
        if (!serializable && status == ENGRAM_CONFLICT && !c->conflict)
            fail_msg("couple %zu: %s (%s)", i, engram_status_name(status), error.message);
        if (serializable && c->conflict && strstr(error.message, c->names) == NULL)
            fail_msg("couple %zu: '%s' does not name %s", i, error.message, c->names);
        rig_verify(&r);
        engram_transaction *tx = rig_begin(&r);
        assert_ok(engram_remove_all(tx, "", NULL, E));
        rig_commit(tx);
    }
    rig_crash(&r);
    rig_verify(&r);
    rig_fini(&r);
}

static void couples_serializable(void **state)
{
    (void)state;
    couples_with(NULL);
}

static void couples_snapshot(void **state)
{
    (void)state;
    couples_with(&snapshot_isolation);
}

/* Each reads what the other writes: at most one of two serializable ones gets through. */
static void write_skew(void **state)
{
    (void)state;
    for (int serializable = 0; serializable < 2; serializable++) {
        rig r;
        rig_init(&r, NULL);
        rig_text(&r, "a", "on");
        rig_text(&r, "b", "on");
        const engram_transaction_options *o = serializable ? NULL : &snapshot_isolation;
        engram_transaction *x = begin_with(&r, o), *y = begin_with(&r, o);
        tx_expect_text(x, "b", "on");
        tx_expect_text(y, "a", "on");
        assert_ok(engram_write(x, "a", "off", 3, NULL, E));
        assert_ok(engram_write(y, "b", "off", 3, NULL, E));
        rig_commit(x);
        if (serializable)
            must_conflict(y, "'a'");
        else
            rig_commit(y);
        rig_expect_text(&r, "b", serializable ? "on" : "off");
        rig_fini(&r);
    }
}

static void phantoms(void **state)
{
    (void)state;
    for (int serializable = 0; serializable < 2; serializable++) {
        rig r;
        rig_init(&r, NULL);
        rig_mkdir(&r, "d");
        rig_text(&r, "d/a", "x");
        rig_text(&r, "count", "1");
        const engram_transaction_options *o = serializable ? NULL : &snapshot_isolation;
        engram_transaction *tx = begin_with(&r, o), *gone = begin_with(&r, o);
        tx_expect_names(tx, "d", "d/a");
        tx_expect_absent(gone, "d/b");
        assert_ok(engram_write(tx, "count", "1", 1, NULL, E));
        assert_ok(engram_write(gone, "other", "b is not there", 14, NULL, E));
        rig_text(&r, "d/b", "phantom");
        if (serializable) {
            must_conflict(tx, "listing of directory 'd'");
            must_conflict(gone, "'d/b'");
        } else {
            rig_commit(tx);
            rig_commit(gone);
        }
        rig_fini(&r);
    }
}

/* A transaction that only reads needs no validation: it saw one version. */
static void readers_never_conflict(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    engram_transaction *tx = rig_begin(&r);
    tx_expect_text(tx, "a", "1");
    uint64_t version = engram_tx_version(tx);
    rig_text(&r, "a", "2");
    tx_expect_text(tx, "a", "1");
    assert_int_equal(rig_commit(tx), version);
    rig_fini(&r);
}

/* A file made by a commit between the beginnings of two transactions is as checked as any other. */
static void fresh_inodes_are_checked(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "1");
    engram_transaction *a = rig_begin(&r), *b = rig_begin(&r);
    assert_ok(engram_append(a, "f", "2", 1, NULL, E));
    assert_ok(engram_append(b, "f", "3", 1, NULL, E));
    rig_commit(a);
    must_conflict(b, "'f'");
    rig_fini(&r);
}

/* ---- engram_run ---- */

typedef struct job {
    rig *rig;
    int number, loops;
    const engram_run_options *options;
    const char *path;
    atomic_int *tries_most;
    engram_status status;
    engram_error error;
    int tries;
    uint64_t version;
} job;

static engram_status add_line(void *context, engram_transaction *tx, engram_error *error)
{
    job *j = context;
    char line[16];
    j->tries++;
    int size = snprintf(line, sizeof line, "%03d %05d\n", j->number, j->loops);
    return engram_append(tx, j->path, line, (size_t)size, NULL, error);
}

static void run_all(void *(*main_of)(void *), job *jobs, int count)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, main_of, &jobs[i]), 0);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < count; i++)
        if (jobs[i].status != ENGRAM_OK)
            fail_msg("thread %d: %s (%s)", i, engram_status_name(jobs[i].status),
                     jobs[i].error.message);
}

static void *append_lines(void *context)
{
    job *j = context;
    for (int loops = j->loops; loops > 0 && j->status == ENGRAM_OK; loops--) {
        j->loops = loops;
        j->tries = 0;
        j->status = engram_run(j->rig->engram, j->options, add_line, j, &j->version, &j->error);
        int most = atomic_load(j->tries_most);
        while (most < j->tries && !atomic_compare_exchange_weak(j->tries_most, &most, j->tries)) {
        }
    }
    return NULL;
}

/* Everybody wants one file: all get through, and nobody loses more often than the turn allows. */
static void one_file_for_all(void **state)
{
    (void)state;
    enum { LOOPS = 10, LINE = 10 };
    rig r;
    atomic_int tries_most = 0;
    static job jobs[THREADS];
    static char text[THREADS * LOOPS * LINE + 1];
    bool seen[THREADS][LOOPS + 1] = {{0}};
    size_t got;
    rig_init(&r, NULL);
    rig_text(&r, "log", "");
    for (int i = 0; i < THREADS; i++)
        jobs[i] =
            (job){.rig = &r, .number = i, .loops = LOOPS, .path = "log", .tries_most = &tries_most};
    run_all(append_lines, jobs, THREADS);
    print_message("most tries: %d\n", atomic_load(&tries_most));
    assert_true(atomic_load(&tries_most) <= 17);
    engram_view *view = NULL;
    assert_ok(engram_pin(r.engram, &view, E));
    assert_ok(engram_read(view, "log", 0, text, sizeof text, &got, E));
    engram_unpin(&view);
    assert_int_equal(got, THREADS * LOOPS * LINE);
    for (size_t i = 0; i < got; i += LINE) {
        int number = atoi(text + i), loop = atoi(text + i + 4);
        assert_true(number >= 0 && number < THREADS && loop >= 1 && loop <= LOOPS);
        assert_false(seen[number][loop]);
        seen[number][loop] = true;
    }
    rig_verify(&r);
    rig_fini(&r);
}

static void *write_apart(void *context)
{
    job *j = context;
    char path[32];
    engram_transaction *tx = NULL;
    for (int i = 0; i < j->loops && j->status == ENGRAM_OK; i++) {
        /* One that is made, and one that is there: nobody else's, in the same directory. */
        snprintf(path, sizeof path, "d/n%d-%d", j->number, i);
        j->status = engram_begin(j->rig->engram, NULL, &tx, &j->error);
        if (j->status == ENGRAM_OK)
            j->status = engram_write(tx, path, path, strlen(path),
                                     &(engram_expected){.what = ENGRAM_NONE}, &j->error);
        snprintf(path, sizeof path, "d/%d", j->number);
        if (j->status == ENGRAM_OK)
            j->status = engram_append(tx, path, "x", 1, NULL, &j->error);
        if (j->status == ENGRAM_OK)
            j->status = engram_commit(&tx, NULL, &j->error);
        engram_abort(&tx);
    }
    return NULL;
}

static void disjoint_never_conflict(void **state)
{
    (void)state;
    rig r;
    static job jobs[THREADS];
    char path[32];
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir(tx, "d", 0755, E));
    for (int i = 0; i < THREADS; i++) {
        snprintf(path, sizeof path, "d/%d", i);
        assert_ok(engram_write(tx, path, "", 0, NULL, E));
    }
    uint64_t version = rig_commit(tx);
    for (int i = 0; i < THREADS; i++)
        jobs[i] = (job){.rig = &r, .number = i, .loops = 10};
    run_all(write_apart, jobs, THREADS);
    engram_metrics m;
    engram_get_metrics(r.engram, &m);
    assert_int_equal(m.conflicts, 0);
    assert_int_equal(m.commits, 1 + THREADS * 10);
    assert_int_equal(rig_newest(&r), version + THREADS * 10);
    /* Groups are shared, and each says why it closed. */
    assert_true(m.groups <= m.commits && m.syncs <= m.groups);
    assert_int_equal(m.group_closed_sync_free + m.group_closed_full + m.group_closed_delay +
                         m.group_closed_asked,
                     m.groups);
    print_message("%llu commits in %llu groups, %llu syncs\n", (unsigned long long)m.commits,
                  (unsigned long long)m.groups, (unsigned long long)m.syncs);
    for (int i = 0; i < THREADS; i++) {
        snprintf(path, sizeof path, "d/%d", i);
        rig_expect_text(&r, path, "xxxxxxxxxx");
        snprintf(path, sizeof path, "d/n%d-9", i);
        rig_expect_text(&r, path, path);
    }
    rig_verify(&r);
    rig_fini(&r);
}

/* A body that commits something else under its own feet, so that it conflicts as often as wanted.
 */
typedef struct rival {
    rig *rig;
    int wanted, bodies, asked;
    bool answer;
    engram_on_conflict on_conflict;
} rival;

static engram_status write_beside(void *context, engram_transaction *tx, engram_error *error)
{
    rival *v = context;
    EG_TRY(engram_write(tx, "f", "mine", 4, NULL, error));
    if (v->bodies++ < v->wanted)
        rig_text(v->rig, "f", "other");
    return ENGRAM_OK;
}

static bool answer(void *context, uint32_t tries, const engram_error *conflict)
{
    rival *v = context;
    v->asked++;
    assert_int_equal(tries, v->asked);
    assert_int_equal(conflict->status, ENGRAM_CONFLICT);
    assert_non_null(strstr(conflict->message, "'f'"));
    return v->answer || tries < 3;
}

static void policies(void **state)
{
    (void)state;
    rig r;
    uint64_t version = 0;
    rig_init(&r, NULL);
    rig_text(&r, "f", "x");
    rival v = {.rig = &r, .wanted = 5};
    assert_ok(engram_run(r.engram, NULL, write_beside, &v, &version, E));
    assert_int_equal(v.bodies, 6);
    assert_int_equal(version, rig_newest(&r));
    rig_expect_text(&r, "f", "mine");
    v = (rival){.rig = &r, .wanted = 5};
    engram_run_options options = {.on_conflict = ENGRAM_FAIL};
    assert_fails(engram_run(r.engram, &options, write_beside, &v, NULL, E), ENGRAM_CONFLICT, "'f'");
    assert_int_equal(v.bodies, 1);
    v = (rival){.rig = &r, .wanted = 5};
    options = (engram_run_options){.tries_max = 3};
    assert_fails(engram_run(r.engram, &options, write_beside, &v, NULL, E), ENGRAM_CONFLICT, "'f'");
    assert_int_equal(v.bodies, 3);
    v = (rival){.rig = &r, .wanted = 5};
    options = (engram_run_options){.on_conflict = ENGRAM_LAST_WRITER_WINS};
    assert_ok(engram_run(r.engram, &options, write_beside, &v, NULL, E));
    assert_int_equal(v.bodies, 1);
    rig_expect_text(&r, "f", "mine");
    v = (rival){.rig = &r, .wanted = 5};
    options = (engram_run_options){.on_conflict = ENGRAM_ASK, .ask = answer};
    assert_fails(engram_run(r.engram, &options, write_beside, &v, NULL, E), ENGRAM_CONFLICT, "'f'");
    assert_true(v.bodies == 3 && v.asked == 3);
    v = (rival){.rig = &r, .wanted = 5, .answer = true};
    assert_ok(engram_run(r.engram, &options, write_beside, &v, NULL, E));
    assert_true(v.bodies == 6 && v.asked == 5);
    options.ask = NULL;
    v = (rival){.rig = &r, .wanted = 5};
    assert_fails(engram_run(r.engram, &options, write_beside, &v, NULL, E), ENGRAM_CONFLICT, "'f'");
    rig_verify(&r);
    rig_fini(&r);
}

/* Last writer wins is of one file's content: not of what was removed, and not where a token is
 * named. */
static engram_status write_removed(void *context, engram_transaction *tx, engram_error *error)
{
    rival *v = context;
    EG_TRY(engram_write(tx, "f", "mine", 4, NULL, error));
    if (v->bodies++ == 0)
        rig_remove(v->rig, "f");
    return ENGRAM_OK;
}

static void last_writer_wins(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "a rather long text, longer than the next");
    uint64_t inode = rig_stat(&r, "f").inode;
    engram_run_options options = {.on_conflict = ENGRAM_LAST_WRITER_WINS};
    rival v = {.rig = &r};
    assert_ok(engram_run(r.engram, &options, write_removed, &v, NULL, E));
    assert_int_equal(v.bodies, 2); /* the name had gone: from the newest version again */
    rig_expect_text(&r, "f", "mine");
    assert_true(rig_stat(&r, "f").inode != inode);
    rig_verify(&r);
    rig_fini(&r);
}

static engram_status refuse(void *context, engram_transaction *tx, engram_error *error)
{
    rival *v = context;
    v->bodies++;
    EG_TRY(engram_write(tx, "g", "x", 1, NULL, error));
    return v->wanted == 0
               ? ENGRAM_CANCELLED
               : engram_write(tx, "f", "x", 1, &(engram_expected){ENGRAM_TOKEN, 0, 1234567}, error);
}

/* What the body itself returns ends it, also when that is a conflict: another try would end the
 * same. */
static void bodies_that_fail(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    rig_text(&r, "f", "x");
    rival v = {.rig = &r};
    assert_fails(engram_run(r.engram, NULL, refuse, &v, NULL, E), ENGRAM_CANCELLED, "");
    assert_int_equal(v.bodies, 1);
    v = (rival){.rig = &r, .wanted = 1};
    engram_run_options options = {.tries_max = 5};
    assert_fails(engram_run(r.engram, &options, refuse, &v, NULL, E), ENGRAM_CONFLICT, "1234567");
    assert_int_equal(v.bodies, 1);
    rig_expect_absent(&r, "g");
    rig_fini(&r);
}

/* ---- durability and pins ---- */

static void durabilities(void **state)
{
    (void)state;
    static const engram_durability modes[] = {ENGRAM_DURABILITY_DEFAULT, ENGRAM_DURABILITY_GROUP,
                                              ENGRAM_DURABILITY_IMMEDIATE,
                                              ENGRAM_DURABILITY_RELAXED};
    rig r;
    engram_metrics before, after;
    rig_init(&r, NULL);
    for (size_t i = 0; i < 4; i++) {
        char path[8];
        engram_transaction *tx =
            begin_with(&r, &(engram_transaction_options){.durability = modes[i]});
        snprintf(path, sizeof path, "f%zu", i);
        assert_ok(engram_write(tx, path, path, 2, NULL, E));
        engram_get_metrics(r.engram, &before);
        uint64_t version = rig_commit(tx);
        engram_get_metrics(r.engram, &after);
        assert_int_equal(after.version, version);
        assert_int_equal(after.groups - before.groups, 1);
        if (modes[i] == ENGRAM_DURABILITY_IMMEDIATE)
            assert_int_equal(after.group_closed_asked - before.group_closed_asked, 1);
        if (modes[i] == ENGRAM_DURABILITY_RELAXED)
            assert_int_equal(after.syncs, before.syncs);
        else
            assert_true(after.syncs > before.syncs);
        rig_expect_text(&r, path, path);
    }
    rig_reopen(&r); /* closing makes relaxed commits durable */
    rig_expect_names(&r, "", "f0 f1 f2 f3");
    r.options.durability = ENGRAM_DURABILITY_RELAXED;
    rig_reopen(&r);
    engram_get_metrics(r.engram, &before);
    rig_text(&r, "relaxed", "x");
    engram_get_metrics(r.engram, &after);
    assert_int_equal(after.syncs, before.syncs);
    engram_transaction *tx =
        begin_with(&r, &(engram_transaction_options){.durability = ENGRAM_DURABILITY_GROUP});
    assert_ok(engram_write(tx, "durable", "x", 1, NULL, E));
    rig_commit(tx);
    rig_crash(&r);
    rig_expect_names(&r, "", "durable f0 f1 f2 f3 relaxed");
    rig_verify(&r);
    rig_fini(&r);
}

/* Each pin sees exactly its version, in whatever order they are let go, checkpoints or not. */
static void pins_stay(void **state)
{
    (void)state;
    enum { PINS = 50 };
    rig r;
    engram_view *views[PINS] = {NULL};
    char text[32];
    rig_init(&r, NULL);
    for (int i = 0; i < PINS; i++) {
        snprintf(text, sizeof text, "text %d", i);
        uint64_t version = rig_text(&r, "f", text);
        snprintf(text, sizeof text, "n%d", i);
        if (i % 2 == 0)
            rig_text(&r, text, text);
        else
            version = rig_newest(&r);
        assert_ok(engram_pin(r.engram, &views[i], E));
        assert_true(engram_view_version(views[i]) == version + (i % 2 == 0));
        if (i % 10 == 9)
            assert_ok(engram_checkpoint(r.engram, E));
    }
    rig_remove(&r, "");
    assert_ok(engram_checkpoint(r.engram, E));
    uint64_t state_of = 7;
    for (int left = PINS; left > 0; left--) {
        int i = (int)rig_below(&state_of, PINS);
        while (views[i] == NULL)
            i = (i + 1) % PINS;
        snprintf(text, sizeof text, "text %d", i);
        view_expect_text(views[i], "f", text);
        snprintf(text, sizeof text, "n%d", i - i % 2);
        view_expect_text(views[i], text, text);
        snprintf(text, sizeof text, "n%d", i - i % 2 + 2);
        view_expect_absent(views[i], text);
        engram_unpin(&views[i]);
    }
    rig_expect_names(&r, "", "");
    rig_verify(&r);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_committer_wins),
        cmocka_unit_test(couples_serializable),
        cmocka_unit_test(couples_snapshot),
        cmocka_unit_test(circles),
        cmocka_unit_test(write_skew),
        cmocka_unit_test(phantoms),
        cmocka_unit_test(readers_never_conflict),
        cmocka_unit_test(fresh_inodes_are_checked),
        cmocka_unit_test(one_file_for_all),
        cmocka_unit_test(disjoint_never_conflict),
        cmocka_unit_test(policies),
        cmocka_unit_test(last_writer_wins),
        cmocka_unit_test(bodies_that_fail),
        cmocka_unit_test(durabilities),
        cmocka_unit_test(pins_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
