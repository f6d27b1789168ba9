/* How versions differ, and going back. */
#include "transactions/rig.h"

typedef struct changes {
    char text[8192];
} changes;

static engram_status note_change(void *context, const engram_change *change, engram_error *error)
{
    static const char signs[] = " +-=@>";
    changes *c = context;
    size_t used = strlen(c->text);
    (void)error;
    bool renamed = change->what == ENGRAM_RENAMED;
    snprintf(c->text + used, sizeof c->text - used, "%s%c%s%s%s", used != 0 ? " " : "",
             signs[change->what], renamed ? change->old_path : "", renamed ? ">" : "",
             change->path);
    assert_true((change->old_path != NULL) == renamed);
    assert_true((change->before.inode != 0) == (change->what != ENGRAM_ADDED));
    assert_true((change->after.inode != 0) == (change->what != ENGRAM_REMOVED));
    return ENGRAM_OK;
}

static engram_view *pin(rig *r, const char *at)
{
    engram_view *view = NULL;
    assert_ok(engram_pin_at(r->engram, at, &view, E));
    return view;
}

/* + added, - removed, = content, @ attributes, >old>new renamed. */
static void expect_diff(rig *r, const char *from, const char *to, const char *prefix,
                        const char *expected)
{
    engram_view *a = pin(r, from), *b = pin(r, to);
    changes c = {{0}};
    assert_ok(engram_diff(a, b, prefix, note_change, &c, E));
    engram_unpin(&a);
    engram_unpin(&b);
    assert_string_equal(c.text, expected);
}

/* The base of most tests: version 1. */
static void fill(rig *r)
{
    static uint8_t data[100000];
    rig_init(r, NULL);
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_mkdir_all(tx, "d/e", 0755, E));
    assert_ok(engram_write(tx, "d/f", "eff", 3, NULL, E));
    assert_ok(engram_write(tx, "d/e/g", "gee", 3, NULL, E));
    assert_ok(engram_write(tx, "h", "aitch", 5, NULL, E));
    assert_ok(engram_link(tx, "h", "d/link", E));
    assert_ok(engram_symlink(tx, "h", "s", E));
    rig_fill(data, sizeof data, 1);
    assert_ok(engram_write(tx, "large", data, sizeof data, NULL, E));
    assert_ok(engram_mkdir(tx, "empty", 0700, E));
    assert_int_equal(rig_commit(tx), 1);
}

typedef void change_call(engram_transaction *tx);
typedef struct change_case {
    change_call *call;
    const char *diff, *back; /* and from the changed version to the first */
} change_case;

#define CHANGE(name, ...)                                                                          \
    static void name(engram_transaction *tx)                                                       \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
CHANGE(add_file, assert_ok(engram_write(tx, "d/new", "x", 1, NULL, E)))
CHANGE(remove_file, assert_ok(engram_remove(tx, "d/f", NULL, E)))
CHANGE(change_file, assert_ok(engram_write(tx, "d/f", "EFF", 3, NULL, E)))
CHANGE(append_file, assert_ok(engram_append(tx, "large", "x", 1, NULL, E)))
CHANGE(change_inside, assert_ok(engram_write_at(tx, "large", 50000, "x", 1, NULL, E)))
CHANGE(empty_file, assert_ok(engram_truncate(tx, "h", 0, NULL, E)))
CHANGE(change_mode, assert_ok(engram_set_mode(tx, "d/f", 0600, E)))
CHANGE(change_mode_directory, assert_ok(engram_set_mode(tx, "d", 0700, E)))
CHANGE(change_mode_root, assert_ok(engram_set_mode(tx, "", 0700, E)))
CHANGE(change_mtime, assert_ok(engram_set_mtime(tx, "s", 5, 5, E)))
CHANGE(change_owner, assert_ok(engram_set_owner(tx, "d/f", 5, 6, E)))
CHANGE(mode_to_what_it_is, assert_ok(engram_set_mode(tx, "d/f", 0644, E)))
CHANGE(rename_file, assert_ok(engram_rename(tx, "d/f", "new", NULL, E)))
CHANGE(rename_and_change, assert_ok(engram_rename(tx, "d/f", "new", NULL, E));
       assert_ok(engram_append(tx, "new", "x", 1, NULL, E)))
CHANGE(rename_directory, assert_ok(engram_rename(tx, "d", "n", NULL, E)))
CHANGE(rename_over, assert_ok(engram_rename(tx, "d/f", "s", NULL, E)))
CHANGE(add_link, assert_ok(engram_link(tx, "d/f", "d/f2", E)))
CHANGE(add_link_and_change, assert_ok(engram_link(tx, "d/f", "d/f2", E));
       assert_ok(engram_append(tx, "d/f2", "x", 1, NULL, E)))
CHANGE(remove_link, assert_ok(engram_remove(tx, "d/link", NULL, E)))
CHANGE(rename_link, assert_ok(engram_rename(tx, "d/link", "d/linked", NULL, E)))
CHANGE(add_directory, assert_ok(engram_mkdir_all(tx, "a/b", 0755, E)))
CHANGE(remove_directory, assert_ok(engram_remove_all(tx, "d", NULL, E)))
CHANGE(remove_all, assert_ok(engram_remove_all(tx, "", NULL, E)))
CHANGE(swap, assert_ok(engram_rename(tx, "h", "x", NULL, E));
       assert_ok(engram_rename(tx, "s", "h", NULL, E));
       assert_ok(engram_rename(tx, "x", "s", NULL, E)))
CHANGE(turn_inside_out, assert_ok(engram_rename(tx, "d/e", "e", NULL, E));
       assert_ok(engram_rename(tx, "d", "e/d", NULL, E)))
CHANGE(file_to_directory, assert_ok(engram_remove(tx, "d/f", NULL, E));
       assert_ok(engram_mkdir(tx, "d/f", 0755, E));
       assert_ok(engram_write(tx, "d/f/x", "x", 1, NULL, E)))
CHANGE(other_link, assert_ok(engram_remove(tx, "d/link", NULL, E));
       assert_ok(engram_link(tx, "d/f", "d/link", E)))
CHANGE(several, assert_ok(engram_rename(tx, "d/e", "e", NULL, E));
       assert_ok(engram_remove(tx, "d/link", NULL, E));
       assert_ok(engram_write(tx, "e/g", "new", 3, NULL, E));
       assert_ok(engram_write(tx, "d/e", "now a file", 10, NULL, E));
       assert_ok(engram_set_mode(tx, "empty", 0, E));
       assert_ok(engram_remove(tx, "large", NULL, E)))

static const change_case cases[] = {
    {add_file, "+d/new", "-d/new"},
    {remove_file, "-d/f", "+d/f"},
    {change_file, "=d/f", "=d/f"},
    {append_file, "=large", "=large"},
    {change_inside, "=large", "=large"},
    {empty_file, "=d/link =h", "=d/link =h"},
    {change_mode, "@d/f", "@d/f"},
    {change_mode_directory, "@d", "@d"},
    {change_mode_root, "@", "@"},
    {change_mtime, "@s", "@s"},
    {change_owner, "@d/f", "@d/f"},
    {mode_to_what_it_is, "", ""},
    {rename_file, ">d/f>new", ">new>d/f"},
    {rename_and_change, "=new >d/f>new", "=d/f >new>d/f"},
    {rename_directory, ">d>n", ">n>d"},
    {rename_over, "-d/f =s", "+d/f =s"},
    {add_link, "+d/f2", "-d/f2"},
    {add_link_and_change, "=d/f +d/f2", "=d/f -d/f2"},
    {remove_link, "-d/link", "+d/link"},
    {rename_link, ">d/link>d/linked", ">d/linked>d/link"},
    {add_directory, "+a +a/b", "-a -a/b"},
    {remove_directory, "-d -d/e -d/e/g -d/f -d/link", "+d +d/e +d/e/g +d/f +d/link"},
    {remove_all, "-d -d/e -d/e/g -d/f -d/link -empty -h -large -s",
     "+d +d/e +d/e/g +d/f +d/link +empty +h +large +s"},
    {swap, "=h =s", "=h =s"},
    {turn_inside_out, ">d/e>e >d>e/d", ">e/d>d >e>d/e"},
    {file_to_directory, "=d/f +d/f/x", "=d/f -d/f/x"},
    {other_link, "=d/link", "=d/link"},
    {several, "=d/e -d/link =e/g @empty -large", "=d/e =d/e/g +d/link -e @empty +large"},
};

static void differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        fill(&r);
        expect_diff(&r, "1", "1", "", "");
        engram_transaction *tx = rig_begin(&r);
        cases[i].call(tx);
        rig_commit(tx);
        if (i + 1 < sizeof cases / sizeof *cases) {
            expect_diff(&r, "1", "", "", cases[i].diff);
            expect_diff(&r, "", "1", "", cases[i].back);
        }
        rig_crash(&r);
        if (i + 1 < sizeof cases / sizeof *cases)
            expect_diff(&r, "1", "", "", cases[i].diff);
        rig_fini(&r);
    }
}

static void below_a_prefix(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write(tx, "d/f", "x", 1, NULL, E));
    assert_ok(engram_write(tx, "h", "x", 1, NULL, E)); /* d/link is its other name */
    assert_ok(engram_write(tx, "d2", "x", 1, NULL, E));
    assert_ok(engram_rename(tx, "d/e/g", "g", NULL, E));
    assert_ok(engram_rename(tx, "s", "d/e/s", NULL, E));
    assert_ok(engram_set_mode(tx, "d", 0700, E));
    rig_commit(tx);
    expect_diff(&r, "1", "", "d", "@d >s>d/e/s =d/f =d/link >d/e/g>g");
    expect_diff(&r, "1", "", "/d/", "@d >s>d/e/s =d/f =d/link >d/e/g>g");
    expect_diff(&r, "1", "", "d/e", ">s>d/e/s >d/e/g>g");
    expect_diff(&r, "1", "", "d/f", "=d/f");
    expect_diff(&r, "1", "", "d2", "+d2");
    expect_diff(&r, "1", "", "no", "");
    rig_fini(&r);
}

static engram_status stop(void *context, const engram_change *change, engram_error *error)
{
    (void)context, (void)change, (void)error;
    return ENGRAM_BUSY;
}

static void odd_diffs(void **state)
{
    (void)state;
    rig r, other;
    fill(&r);
    fill(&other);
    engram_transaction *tx = rig_begin(&r);
    remove_all(tx);
    rig_commit(tx);
    engram_view *a = pin(&r, "1"), *b = pin(&r, ""), *c = pin(&other, "");
    assert_fails(engram_diff(a, b, "", stop, NULL, E), ENGRAM_BUSY, "");
    assert_fails(engram_diff(a, c, "", stop, NULL, E), ENGRAM_INVALID, "one engram");
    engram_unpin(&a);
    engram_unpin(&b);
    engram_unpin(&c);
    rig_fini(&other);
    rig_fini(&r);
}

/* Many entries change at once: what was moved is found without trying all against all. */
static void many_renames(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static char text[64];
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir(tx, "a", 0755, E));
    assert_ok(engram_mkdir(tx, "b", 0755, E));
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "a/%05d", i);
        assert_ok(engram_symlink(tx, "x", text, E));
    }
    rig_commit(tx);
    tx = rig_begin(&r);
    for (int i = 0; i < MANY; i++) {
        char to[64];
        snprintf(text, sizeof text, "a/%05d", i);
        snprintf(to, sizeof to, "b/%05d", MANY - 1 - i);
        assert_ok(engram_rename(tx, text, to, NULL, E));
    }
    rig_commit(tx);
    engram_view *a = pin(&r, "1"), *b = pin(&r, "2");
    changes c = {{0}};
    assert_ok(engram_diff(a, b, "b/00000", note_change, &c, E));
    assert_string_equal(c.text, ">a/19999>b/00000");
    engram_unpin(&a);
    engram_unpin(&b);
    rig_fini(&r);
}

/* ---- going back ---- */

static engram_status compare_visit(void *context, const char *path, const struct engram_stat *stat,
                                   engram_error *error)
{
    engram_view *other = context;
    struct engram_stat found;
    (void)error;
    assert_ok(engram_stat(other, path, &found, E));
    found.inode = stat->inode;
    found.version = stat->version;
    found.modified_ns = stat->modified_ns;
    found.created_version = stat->created_version;
    found.created_ns = stat->created_ns;
    if (memcmp(&found, stat, sizeof found) != 0)
        fail_msg("%s is not what it was", path);
    return ENGRAM_OK;
}

static uint64_t roll_back(rig *r, const char *to, const char *path, uint64_t *changed)
{
    engram_view *view = pin(r, to);
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_rollback(tx, view, path, changed, E));
    engram_unpin(&view);
    return rig_commit(tx);
}

static void expect_same(rig *r, const char *one, const char *other)
{
    engram_view *a = pin(r, one), *b = pin(r, other);
    assert_ok(engram_list(a, "", NULL, compare_visit, b, E));
    assert_ok(engram_list(b, "", NULL, compare_visit, a, E));
    engram_unpin(&a);
    engram_unpin(&b);
    expect_diff(r, one, other, "", "");
    expect_diff(r, other, one, "", "");
}

/* Whatever was changed: going back makes all as it was, as a new version, and there again. */
static void back_and_forth(void **state)
{
    size_t unchanged = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        uint64_t changed = 0;
        fill(&r);
        engram_transaction *tx = rig_begin(&r);
        cases[i].call(tx);
        assert_int_equal(rig_commit(tx), 2);
        uint64_t back = roll_back(&r, "1", "", &changed);
        if (changed == 0) { /* removed and made again as it was: it stays */
            assert_int_equal(back, 2);
            expect_same(&r, "1", "2");
            rig_fini(&r);
            unchanged++;
            continue;
        }
        assert_int_equal(back, 3);
        expect_same(&r, "1", "3");
        rig_verify(&r);
        assert_int_equal(roll_back(&r, "2", "", NULL), 4);
        expect_same(&r, "2", "4");
        rig_verify(&r);
        assert_int_equal(roll_back(&r, "4", "", &changed), 4); /* nothing to do, no version */
        assert_int_equal(changed, 0);
        rig_crash(&r);
        expect_same(&r, "1", "3");
        expect_same(&r, "2", "4");
        rig_verify(&r);
        rig_fini(&r);
    }
    assert_in_range(unchanged, 1, 3);
}

/* What is gone comes back as other inodes: the second time there is nothing to do, and tokens stay. */
static void back_twice(void **state)
{
    (void)state;
    rig r;
    uint64_t changed;
    fill(&r);
    rig_remove(&r, "d");
    uint64_t back = roll_back(&r, "1", "", &changed);
    assert_true(changed > 0);
    assert_int_equal(roll_back(&r, "1", "", &changed), back);
    assert_int_equal(changed, 0);
    assert_int_equal(roll_back(&r, "1", "d/e", &changed), back);
    assert_int_equal(changed, 0);
    rig_text(&r, "d/f", "new");
    assert_true(roll_back(&r, "1", "", &changed) > back);
    assert_true(changed > 0);
    rig_expect_text(&r, "d/f", "eff");
    rig_verify(&r);
    rig_fini(&r);
}

static void back_with_one_path(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    rig_text(&r, "d/f", "new");
    rig_text(&r, "h", "new");
    rig_text(&r, "more", "new");
    roll_back(&r, "1", "d/f", NULL);
    rig_expect_text(&r, "d/f", "eff");
    rig_expect_text(&r, "h", "new");
    roll_back(&r, "1", "more", NULL); /* it was not there */
    rig_expect_absent(&r, "more");
    rig_remove(&r, "d/e");
    roll_back(&r, "1", "d/e/", NULL);
    rig_expect_text(&r, "d/e/g", "gee");
    rig_expect_text(&r, "h", "new");
    rig_remove(&r, "d");
    roll_back(&r, "1", "d", NULL); /* d/link was another name of h, which stays as it is */
    rig_expect_text(&r, "d/link", "aitch");
    rig_expect_text(&r, "h", "new");
    engram_view *view = pin(&r, "1");
    engram_transaction *tx = rig_begin(&r);
    assert_fails(engram_rollback(tx, view, "never", NULL, E), ENGRAM_NOT_FOUND, "never");
    assert_fails(engram_rollback(tx, view, "h/never", NULL, E), ENGRAM_INVALID, "h is a file");
    assert_ok(engram_remove_all(tx, "d", NULL, E));
    assert_fails(engram_rollback(tx, view, "d/f", NULL, E), ENGRAM_NOT_FOUND, "d");
    assert_ok(engram_rollback(tx, view, "d", NULL, E)); /* with what the transaction did itself */
    tx_expect_text(tx, "d/e/g", "gee");
    assert_ok(engram_write(tx, "d/f", "after", 5, NULL, E));
    rig_commit(tx);
    rig_expect_text(&r, "d/f", "after");
    /* A file where a directory is now. */
    rig_remove(&r, "h");
    rig_mkdir(&r, "h");
    rig_text(&r, "h/x", "x");
    tx = rig_begin(&r);
    assert_ok(engram_rollback(tx, view, "h", NULL, E));
    rig_commit(tx);
    rig_expect_text(&r, "h", "aitch");
    engram_unpin(&view);
    rig_verify(&r);
    rig_fini(&r);
}

/* A rollback looked at all of its base: any other commit is in its way. Snapshots stay. */
static void back_alone(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    assert_ok(engram_snapshot_create(r.engram, "s", NULL, E));
    rig_text(&r, "d/f", "new");
    engram_view *view = pin(&r, "1");
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_rollback(tx, view, "d/f", NULL, E));
    rig_text(&r, "unrelated", "x");
    assert_fails(engram_commit(&tx, NULL, E), ENGRAM_CONFLICT, "another commit");
    engram_unpin(&view);
    roll_back(&r, "s", "", NULL);
    expect_same(&r, "1", "");
    roll_back(&r, "s", "", NULL);
    roll_back(&r, "1", "", NULL);
    view = pin(&r, "s");
    view_expect_text(view, "d/f", "eff");
    engram_unpin(&view);
    rig_verify(&r);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences),    cmocka_unit_test(below_a_prefix),
        cmocka_unit_test(odd_diffs),      cmocka_unit_test(many_renames),
        cmocka_unit_test(back_and_forth), cmocka_unit_test(back_twice), cmocka_unit_test(back_with_one_path),
        cmocka_unit_test(back_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
