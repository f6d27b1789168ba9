/* Subscriptions: every change comes, in the order of versions, from wherever one starts; or a gap
 * says that it does not. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "transactions/rig.h"

enum { MANY = 65537, NAMES = 12, WRITERS = 3, FOLLOWERS = 4, COMMITS = 100, PATIENCE_MS = 3600000 };

/* "2+a 2=b. 3>a>c." : the version, the kind, the path; a point behind the last of a version;
 * "[1-4]" a gap. */
static void expect_events(engram_subscription *s, const char *expected)
{
    static const char signs[] = " +-=@>";
    char text[8192] = "";
    engram_event event;
    engram_status status;
    while ((status = engram_next_event(s, 0, &event, NULL)) == ENGRAM_OK) {
        size_t used = strlen(text);
        if (event.what == ENGRAM_EVENT_GAP)
            snprintf(text + used, sizeof text - used, "%s[%d-%d]", used != 0 ? " " : "",
                     (int)event.from, (int)event.version);
        else
            snprintf(text + used, sizeof text - used, "%s%d%c%s%s%s%s", used != 0 ? " " : "",
                     (int)event.version, signs[event.change.what],
                     event.change.old_path != NULL ? event.change.old_path : "",
                     event.change.old_path != NULL ? ">" : "", event.change.path,
                     event.last ? "." : "");
        assert_true(event.from < event.version || event.what == ENGRAM_EVENT_GAP);
        assert_true(event.time_ns != 0);
    }
    assert_int_equal(status, ENGRAM_BUSY);
    assert_string_equal(text, expected);
}

static engram_subscription *subscribe(rig *r, uint64_t after)
{
    engram_subscription *s = NULL;
    assert_ok(engram_subscribe(r->engram, after, &s, E));
    return s;
}

static void keep_nothing(rig *r)
{
    const engram_retention none = {.last = 1};
    assert_ok(engram_set_retention(r->engram, &none, E));
    assert_ok(engram_checkpoint(r->engram, E));
}

static void in_order(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "before", "b");
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST), *other;
    assert_int_equal(engram_subscription_version(s), 1);
    expect_events(s, "");
    rig_text(&r, "a", "one");
    rig_text(&r, "a", "two");
    expect_events(s, "2+a. 3=a.");
    other = subscribe(&r, 2);
    rig_rename(&r, "a", "c");
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_set_mode(tx, "c", 0600, E));
    assert_ok(engram_mkdir(tx, "d", 0755, E));
    assert_ok(engram_remove(tx, "before", NULL, E));
    rig_commit(tx);
    assert_ok(engram_snapshot_create(r.engram, "name", NULL, E)); /* changes nothing */
    rig_text(&r, "d/e", "x");
    expect_events(s, "4>a>c. 5-before 5@c 5+d. 7+d/e.");
    expect_events(s, "");
    expect_events(other, "3=a. 4>a>c. 5-before 5@c 5+d. 7+d/e.");
    assert_int_equal(engram_subscription_version(s), 7);
    engram_unsubscribe(&s);
    assert_null(s);
    engram_unsubscribe(&s);
    engram_unsubscribe(&other);
    rig_fini(&r);
}

/* In the middle of a version, all was told up to the one before. */
static void known_version(void **state)
{
    engram_event event;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "x", "x");
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write(tx, "a", "a", 1, NULL, E));
    assert_ok(engram_write(tx, "b", "b", 1, NULL, E));
    rig_commit(tx);
    assert_ok(engram_next_event(s, 0, &event, E));
    assert_false(event.last);
    assert_int_equal(event.change.after.version, 2);
    assert_int_equal(engram_subscription_version(s), 1);
    engram_unsubscribe(&s);
    s = subscribe(&r, 1);
    expect_events(s, "2+a 2+b.");
    assert_int_equal(engram_subscription_version(s), 2);
    engram_unsubscribe(&s);
    rig_fini(&r);
}

static void from_the_history(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    rig_text(&r, "b", "2");
    assert_ok(engram_checkpoint(r.engram, E)); /* into the catalog */
    rig_text(&r, "c", "3");
    rig_text(&r, "d", "4");
    engram_subscription *s = subscribe(&r, 1);
    expect_events(s, "2+b. 3+c. 4+d.");
    engram_unsubscribe(&s);
    rig_reopen(&r);
    rig_text(&r, "e", "5");
    s = subscribe(&r, 2);
    expect_events(s, "3+c. 4+d. 5+e.");
    engram_unsubscribe(&s);
    rig_reopen(&r);
    s = subscribe(&r, 4);
    expect_events(s, "5+e.");
    engram_unsubscribe(&s);
    rig_crash(&r);
    s = subscribe(&r, 3);
    expect_events(s, "4+d. 5+e.");
    engram_unsubscribe(&s);
    rig_fini(&r);
}

/* A subscription that lags has its own version pinned: what goes meanwhile only makes its steps
 * larger. */
static void versions_between_go(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST);
    rig_text(&r, "b", "2");
    rig_text(&r, "gone", "3");
    rig_remove(&r, "gone");
    rig_rename(&r, "b", "c");
    keep_nothing(&r);
    expect_events(s, "5+c.");
    rig_text(&r, "d", "6");
    expect_events(s, "6+d.");
    engram_unsubscribe(&s);
    rig_fini(&r);
}

static void gaps(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    rig_text(&r, "b", "2");
    rig_text(&r, "c", "3");
    keep_nothing(&r);
    engram_subscription *s = subscribe(&r, 1), *future = subscribe(&r, 70);
    assert_int_equal(engram_subscription_version(s), 1);
    rig_text(&r, "d", "4");
    expect_events(s, "[1-3] 4+d.");
    expect_events(future, "[70-3] 4+d.");
    engram_unsubscribe(&s);
    engram_unsubscribe(&future);
    rig_fini(&r);
}

/* More changes in one version than are held. */
static void too_large_a_step(void **state)
{
    char path[32];
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST);
    engram_transaction *tx = rig_begin(&r);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "f%05d", i);
        assert_ok(engram_write(tx, path, "", 0, NULL, E));
    }
    rig_commit(tx);
    rig_text(&r, "b", "3");
    expect_events(s, "[1-2] 3+b.");
    engram_unsubscribe(&s);
    rig_fini(&r);
}

static void waits_no_longer_than_told(void **state)
{
    engram_event event;
    rig r;
    (void)state;
    rig_init(&r, NULL);
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST);
    assert_fails(engram_next_event(s, 1, &event, E), ENGRAM_BUSY, "nothing was committed");
    rig_text(&r, "a", "1");
    assert_ok(engram_next_event(s, 1, &event, E));
    engram_unsubscribe(&s);
    rig_fini(&r);
}

/* ---- memory ---- */

static void without_memory(void **state)
{
    rig r;
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "a", "1");
    engram_subscription *s = subscribe(&r, ENGRAM_NEWEST);
    rig_text(&r, "b", "2");
    bool done = false;
    for (long i = 1; !done; i++) {
        engram_event event;
        engram_error error = {0};
        eg_alloc_fail_at(i, false);
        engram_status status = engram_next_event(s, 0, &event, &error);
        eg_alloc_fail_at(0, false);
        done = status == ENGRAM_OK;
        assert_true(done || status == ENGRAM_NO_MEMORY);
        assert_true(!done || (strcmp(event.change.path, "b") == 0 && i > 1));
    }
    expect_events(s, "");
    engram_unsubscribe(&s);
    rig_fini(&r);
}

/* ---- followers ---- */

/* A tree of a few names, "f0", "f1", ..., kept by its events alone. */
typedef struct follower {
    rig *r;
    uint64_t inodes[NAMES]; /* 0: not there */
    struct {
        size_t gone, come; /* names; NAMES: none */
        uint64_t inode;
    } step[4 * NAMES];
    size_t step_size;
    uint64_t until, told;
    useconds_t pause;
    unsigned wrong;
    pthread_t thread;
} follower;

static size_t name_of(const char *path)
{
    return (size_t)atoi(path + 1);
}

static void add_to_step(follower *f, const engram_change *c)
{
    bool goes = c->what == ENGRAM_REMOVED || c->what == ENGRAM_RENAMED;
    f->step[f->step_size].gone =
        !goes ? NAMES : name_of(c->old_path != NULL ? c->old_path : c->path);
    f->step[f->step_size].come = c->what != ENGRAM_REMOVED ? name_of(c->path) : NAMES;
    f->step[f->step_size++].inode = c->after.inode;
}

/* The names that go first, then those that come. */
static void take_step(follower *f)
{
    for (size_t i = 0; i < f->step_size; i++)
        if (f->step[i].gone != NAMES) {
            f->wrong += f->inodes[f->step[i].gone] == 0;
            f->inodes[f->step[i].gone] = 0;
        }
    for (size_t i = 0; i < f->step_size; i++)
        if (f->step[i].come != NAMES)
            f->inodes[f->step[i].come] = f->step[i].inode;
    f->step_size = 0;
}

static void *follow(void *argument)
{
    follower *f = argument;
    engram_subscription *s = NULL;
    engram_event event;
    if (engram_subscribe(f->r->engram, 1, &s, NULL) != ENGRAM_OK)
        abort();
    while (f->told < f->until && f->wrong == 0) {
        bool come = engram_next_event(s, PATIENCE_MS, &event, NULL) == ENGRAM_OK;
        f->wrong += !come || event.what != ENGRAM_EVENT_CHANGE || event.from < f->told;
        if (f->wrong != 0)
            break;
        add_to_step(f, &event.change);
        if (event.last) {
            take_step(f);
            f->told = event.version;
        }
        if (f->pause != 0)
            usleep(f->pause);
    }
    engram_unsubscribe(&s);
    return NULL;
}

typedef struct writer {
    rig *r;
    uint64_t random;
    pthread_t thread;
} writer;

static engram_status change_something(void *context, engram_transaction *tx, engram_error *error)
{
    char a[16], b[16];
    uint64_t *random = context;
    struct engram_stat stat;
    snprintf(a, sizeof a, "f%d", (int)rig_below(random, NAMES - 1));
    snprintf(b, sizeof b, "f%d", (int)rig_below(random, NAMES - 1));
    bool there = engram_tx_stat(tx, a, &stat, NULL) == ENGRAM_OK;
    uint64_t what = rig_below(random, 4);
    if (there && what == 0)
        return engram_remove(tx, a, NULL, error);
    if (there && what == 1 && strcmp(a, b) != 0)
        return engram_rename(tx, a, b, NULL, error);
    return engram_write(tx, a, random, sizeof *random, NULL, error);
}

static void *write_often(void *argument)
{
    writer *w = argument;
    for (int i = 0; i < COMMITS; i++) {
        if (engram_run(w->r->engram, NULL, change_something, &w->random, NULL, NULL) != ENGRAM_OK)
            abort();
        if (i % 50 == 49 && engram_checkpoint(w->r->engram, NULL) != ENGRAM_OK)
            abort();
    }
    return NULL;
}

static void followers_know_the_tree(void **state)
{
    rig r;
    follower followers[FOLLOWERS];
    writer writers[WRITERS];
    (void)state;
    rig_init(&r, NULL);
    rig_text(&r, "f0", "first");
    for (size_t i = 0; i < FOLLOWERS; i++) {
        followers[i] =
            (follower){.r = &r, .pause = i == 0 ? 3000 : 0, .until = WRITERS * COMMITS + 2};
        followers[i].inodes[0] = rig_stat(&r, "f0").inode;
        followers[i].told = 1;
        assert_int_equal(pthread_create(&followers[i].thread, NULL, follow, &followers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.r = &r, .random = 1000 + i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_often, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    char last[16];
    snprintf(last, sizeof last, "f%d", NAMES - 1); /* which nobody writes */
    assert_int_equal(rig_text(&r, last, "last"), WRITERS * COMMITS + 2);
    for (size_t i = 0; i < FOLLOWERS; i++) {
        pthread_join(followers[i].thread, NULL);
        assert_int_equal(followers[i].wrong, 0);
    }
    engram_view *view = NULL;
    assert_ok(engram_pin(r.engram, &view, E));
    for (size_t n = 0; n < NAMES; n++) {
        char path[16];
        struct engram_stat stat = {0};
        snprintf(path, sizeof path, "f%zu", n);
        bool there = engram_stat(view, path, &stat, NULL) == ENGRAM_OK;
        for (size_t i = 0; i < FOLLOWERS; i++)
            assert_int_equal(followers[i].inodes[n], there ? stat.inode : 0);
    }
    engram_unpin(&view);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),
        cmocka_unit_test(known_version),
        cmocka_unit_test(from_the_history),
        cmocka_unit_test(versions_between_go),
        cmocka_unit_test(gaps),
        cmocka_unit_test(too_large_a_step),
        cmocka_unit_test(waits_no_longer_than_told),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(followers_know_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
