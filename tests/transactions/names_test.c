/* Names and attributes in transactions. */
#include "transactions/rig.h"

static void removes(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir(tx, "d", 0755, E));
    assert_ok(engram_write(tx, "d/f", "x", 1, NULL, E));
    assert_ok(engram_link(tx, "d/f", "g", E));
    assert_ok(engram_symlink(tx, "d/f", "l", E));
    rig_commit(tx);
    struct engram_stat stat = rig_stat(&r, "g");
    assert_int_equal(stat.links, 2);
    engram_expected old = {ENGRAM_TOKEN, stat.inode, stat.version - 1};
    engram_expected now = {ENGRAM_TOKEN, stat.inode, stat.version};
    tx = rig_begin(&r);
    assert_fails(engram_remove(tx, "d", NULL, E), ENGRAM_INVALID, "d");
    assert_fails(engram_remove(tx, "no", NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_remove(tx, "no", &now, E), ENGRAM_CONFLICT, "no");
    assert_fails(engram_remove(tx, "", NULL, E), ENGRAM_INVALID, "root");
    assert_fails(engram_remove(tx, "g", &old, E), ENGRAM_CONFLICT, "g");
    assert_fails(engram_remove(tx, "d/f/x", NULL, E), ENGRAM_INVALID, "d/f is a file");
    assert_ok(engram_remove(tx, "g", &now, E));
    tx_expect_absent(tx, "g");
    assert_int_equal(tx_stat(tx, "d/f").links, 1);
    tx_expect_text(tx, "d/f", "x");
    assert_ok(engram_remove(tx, "l", NULL, E));
    assert_ok(engram_remove(tx, "d/f", NULL, E));
    tx_expect_names(tx, "", "d");
    rig_commit(tx);
    rig_expect_names(&r, "", "d");
    rig_verify(&r);
    rig_fini(&r);
}

static void removes_directories(void **state)
{
    (void)state;
    rig r;
    uint64_t removed = 7;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_mkdir_all(tx, "a/b/c", 0755, E));
    assert_ok(engram_write(tx, "a/b/f", "x", 1, NULL, E));
    assert_ok(engram_write(tx, "a/b/c/g", "y", 1, NULL, E));
    assert_ok(engram_link(tx, "a/b/c/g", "kept", E));
    rig_commit(tx);
    tx = rig_begin(&r);
    assert_fails(engram_rmdir(tx, "a", E), ENGRAM_INVALID, "a is not empty");
    assert_fails(engram_rmdir(tx, "kept", E), ENGRAM_INVALID, "kept");
    assert_fails(engram_rmdir(tx, "no", E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_rmdir(tx, "", E), ENGRAM_INVALID, "root");
    assert_fails(engram_remove_all(tx, "no", &removed, E), ENGRAM_NOT_FOUND, "no");
    assert_int_equal(removed, 0);
    assert_ok(engram_write(tx, "a/mine", "z", 1, NULL, E));
    assert_ok(engram_remove_all(tx, "a/b/f", &removed, E));
    assert_int_equal(removed, 1);
    assert_ok(engram_remove_all(tx, "a", &removed, E));
    assert_int_equal(removed, 5);
    tx_expect_names(tx, "", "kept");
    assert_int_equal(tx_stat(tx, "kept").links, 1);
    assert_ok(engram_mkdir(tx, "a", 0700, E));
    assert_ok(engram_rmdir(tx, "a", E));
    assert_ok(engram_mkdir(tx, "a", 0700, E));
    rig_commit(tx);
    rig_expect_names(&r, "", "a kept");
    rig_expect_text(&r, "kept", "y");
    tx = rig_begin(&r);
    assert_ok(engram_remove_all(tx, "", &removed, E));
    assert_int_equal(removed, 2);
    tx_expect_names(tx, "", "");
    rig_commit(tx);
    rig_expect_names(&r, "", "");
    rig_crash(&r);
    rig_expect_names(&r, "", "");
    rig_verify(&r);
    rig_fini(&r);
}

static void renames(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write(tx, "f", "eff", 3, NULL, E));
    assert_ok(engram_write(tx, "g", "gee", 3, NULL, E));
    assert_ok(engram_mkdir_all(tx, "d/e", 0755, E));
    assert_ok(engram_write(tx, "d/e/x", "ex", 2, NULL, E));
    assert_ok(engram_mkdir(tx, "empty", 0755, E));
    assert_ok(engram_link(tx, "f", "same", E));
    rig_commit(tx);
    struct engram_stat f = rig_stat(&r, "f"), g = rig_stat(&r, "g");
    engram_expected none = {.what = ENGRAM_NONE}, of_g = {ENGRAM_TOKEN, g.inode, g.version};
    engram_expected of_f = {ENGRAM_TOKEN, f.inode, f.version};
    tx = rig_begin(&r);
    assert_fails(engram_rename(tx, "no", "x", NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_rename(tx, "f", "no/x", NULL, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_rename(tx, "f", "g/x", NULL, E), ENGRAM_INVALID, "g");
    assert_fails(engram_rename(tx, "", "x", NULL, E), ENGRAM_INVALID, "root");
    assert_fails(engram_rename(tx, "f", "", NULL, E), ENGRAM_INVALID, "root");
    assert_fails(engram_rename(tx, "f", "d", NULL, E), ENGRAM_INVALID, "d is a directory");
    assert_fails(engram_rename(tx, "empty", "f", NULL, E), ENGRAM_INVALID, "f is no directory");
    assert_fails(engram_rename(tx, "empty", "d", NULL, E), ENGRAM_INVALID, "d is not empty");
    assert_fails(engram_rename(tx, "d", "d/e/y", NULL, E), ENGRAM_INVALID,
                 "d cannot move below itself");
    assert_fails(engram_rename(tx, "d", "./d//e/y", NULL, E), ENGRAM_INVALID, "below itself");
    assert_fails(engram_rename(tx, "d", "d/e", NULL, E), ENGRAM_INVALID, "");
    assert_fails(engram_rename(tx, "d/e", "d", NULL, E), ENGRAM_INVALID, "d is not empty");
    assert_fails(engram_rename(tx, "f", "g", &none, E), ENGRAM_EXISTS, "g");
    assert_fails(engram_rename(tx, "f", "g", &of_f, E), ENGRAM_CONFLICT, "g");
    assert_fails(engram_rename(tx, "f", "new", &of_g, E), ENGRAM_CONFLICT, "new");
    assert_ok(engram_rename(tx, "f", "same", NULL, E)); /* two names of one file: nothing */
    assert_ok(engram_rename(tx, "f", "f", NULL, E));
    assert_ok(engram_rename(tx, "d", "d/", NULL, E));
    tx_expect_names(tx, "", "d d/e d/e/x empty f g same");
    assert_ok(engram_rename(tx, "f", "g", &of_g, E));
    tx_expect_text(tx, "g", "eff");
    assert_int_equal(tx_stat(tx, "g").inode, f.inode);
    assert_int_equal(tx_stat(tx, "g").links, 2);
    assert_ok(engram_rename(tx, "d/e", "empty", NULL, E));
    tx_expect_text(tx, "empty/x", "ex");
    assert_ok(engram_rename(tx, "empty", "d/back", &none, E));
    tx_expect_names(tx, "", "d d/back d/back/x g same");
    assert_fails(engram_rename(tx, "d", "d/back/d", NULL, E), ENGRAM_INVALID, "below itself");
    rig_commit(tx);
    rig_expect_names(&r, "", "d d/back d/back/x g same");
    rig_expect_text(&r, "d/back/x", "ex");
    assert_int_equal(rig_stat(&r, "g").version, f.version); /* a new name is no new content */
    rig_crash(&r);
    rig_expect_names(&r, "", "d d/back d/back/x g same");
    rig_verify(&r);
    rig_fini(&r);
}

static void makes_directories(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write(tx, "f", "x", 1, NULL, E));
    assert_ok(engram_mkdir(tx, "d", 01750, E));
    assert_fails(engram_mkdir(tx, "d", 0755, E), ENGRAM_EXISTS, "d");
    assert_fails(engram_mkdir(tx, "f", 0755, E), ENGRAM_EXISTS, "f");
    assert_fails(engram_mkdir(tx, "", 0755, E), ENGRAM_EXISTS, "");
    assert_fails(engram_mkdir(tx, "no/d", 0755, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_mkdir(tx, "f/d", 0755, E), ENGRAM_INVALID, "f");
    assert_fails(engram_mkdir_all(tx, "f", 0755, E), ENGRAM_EXISTS, "f");
    assert_fails(engram_mkdir_all(tx, "f/d", 0755, E), ENGRAM_EXISTS, "f");
    assert_fails(engram_mkdir_all(tx, "n/e/../w", 0755, E), ENGRAM_INVALID, "..");
    tx_expect_names(tx, "", "d f"); /* all or nothing */
    assert_ok(engram_mkdir_all(tx, "d", 0755, E));
    assert_ok(engram_mkdir_all(tx, "d/e//f/./g/", 0700, E));
    assert_ok(engram_mkdir_all(tx, "/top", 0700, E));
    assert_ok(engram_mkdir_all(tx, "", 0700, E));
    assert_int_equal(tx_stat(tx, "d").mode, 01750);
    assert_int_equal(tx_stat(tx, "d/e").mode, 0700);
    assert_int_equal(tx_stat(tx, "d/e").kind, ENGRAM_KIND_DIRECTORY);
    rig_commit(tx);
    rig_expect_names(&r, "", "d d/e d/e/f d/e/f/g f top");
    rig_verify(&r);
    rig_fini(&r);
}

static void links(void **state)
{
    (void)state;
    rig r;
    char target[5000];
    engram_view *view = NULL;
    rig_init(&r, NULL);
    memset(target, 'x', sizeof target);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_symlink(tx, "../out/of here", "l", E));
    assert_fails(engram_symlink(tx, "x", "l", E), ENGRAM_EXISTS, "l");
    assert_fails(engram_symlink(tx, "", "m", E), ENGRAM_INVALID, "target");
    target[4096] = 0;
    assert_fails(engram_symlink(tx, target, "m", E), ENGRAM_INVALID, "4095");
    target[4095] = 0;
    assert_ok(engram_symlink(tx, target, "m", E));
    assert_ok(engram_write(tx, "f", "one", 3, NULL, E));
    assert_ok(engram_mkdir(tx, "d", 0755, E));
    assert_ok(engram_link(tx, "f", "d/g", E));
    assert_ok(engram_link(tx, "l", "d/l", E));
    assert_fails(engram_link(tx, "d", "d2", E), ENGRAM_INVALID, "d");
    assert_fails(engram_link(tx, "f", "d", E), ENGRAM_EXISTS, "d");
    assert_fails(engram_link(tx, "no", "x", E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_link(tx, "f", "no/x", E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_link(tx, "f", "f/x", E), ENGRAM_INVALID, "f");
    assert_ok(engram_write(tx, "d/g", "two", 3, NULL, E)); /* through the other name */
    tx_expect_text(tx, "f", "two");
    assert_int_equal(tx_stat(tx, "f").links, 2);
    assert_int_equal(tx_stat(tx, "l").links, 2);
    assert_int_equal(tx_stat(tx, "l").size, 14);
    rig_commit(tx);
    assert_ok(engram_pin(r.engram, &view, E));
    assert_ok(engram_read_link(view, "d/l", target, sizeof target, E));
    assert_string_equal(target, "../out/of here");
    assert_ok(engram_read_link(view, "l", target, 15, E));
    assert_fails(engram_read_link(view, "l", target, 14, E), ENGRAM_INVALID, "14");
    assert_fails(engram_read_link(view, "f", target, 14, E), ENGRAM_INVALID, "f");
    assert_ok(engram_read_link(view, "m", target, sizeof target, E));
    assert_int_equal(strlen(target), 4095);
    engram_unpin(&view);
    tx = rig_begin(&r); /* names of one file, made and unmade */
    assert_ok(engram_remove(tx, "f", NULL, E));
    assert_ok(engram_rename(tx, "d/g", "f", NULL, E));
    assert_ok(engram_set_mode(tx, "l", 0700, E));
    rig_commit(tx);
    rig_expect_text(&r, "f", "two");
    assert_int_equal(rig_stat(&r, "f").links, 1);
    assert_int_equal(rig_stat(&r, "d/l").mode, 0700);
    rig_verify(&r);
    rig_fini(&r);
}

static void attributes(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    assert_ok(engram_write(tx, "f", "x", 1, NULL, E));
    assert_ok(engram_set_mode(tx, "f", 0107777, E));
    assert_ok(engram_set_mtime(tx, "f", -5, 999999999, E));
    assert_ok(engram_set_owner(tx, "f", 12, 4000000000u, E));
    assert_fails(engram_set_mtime(tx, "f", 1, 1000000000, E), ENGRAM_INVALID, "nanoseconds");
    assert_fails(engram_set_mode(tx, "no", 0, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_set_mtime(tx, "no", 1, 1, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_set_owner(tx, "no", 1, 1, E), ENGRAM_NOT_FOUND, "no");
    assert_ok(engram_set_mode(tx, "", 0711, E));
    uint64_t version = rig_commit(tx);
    for (int i = 0; i < 2; i++) {
        struct engram_stat stat = rig_stat(&r, "f");
        assert_int_equal(stat.mode, 07777);
        assert_true(stat.mtime_s == -5 && stat.mtime_ns == 999999999);
        assert_true(stat.uid == 12 && stat.gid == 4000000000u);
        assert_int_equal(stat.version, version);
        assert_int_equal(rig_stat(&r, "").mode, 0711);
        rig_expect_text(&r, "f", "x");
        rig_crash(&r);
    }
    tx = rig_begin(&r);
    assert_ok(engram_set_mode(tx, "f", 0400, E));
    version = rig_commit(tx);
    assert_int_equal(rig_stat(&r, "f").version, version);
    rig_verify(&r);
    rig_fini(&r);
}

static void odd_names(void **state)
{
    (void)state;
    rig r;
    char long_name[258];
    rig_init(&r, NULL);
    memset(long_name, 'n', 255);
    long_name[255] = 0;
    static const char *const fine[] = {"...",
                                       " ",
                                       ".a",
                                       "..a",
                                       "a\nb",
                                       "*?[]\\",
                                       "\xff\xfe\x80",
                                       "\x01",
                                       "-",
                                       "~",
                                       "\xc3\xa4\xe2\x82\xac"};
    engram_transaction *tx = rig_begin(&r);
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_ok(engram_write(tx, fine[i], fine[i], strlen(fine[i]), NULL, E));
    assert_ok(engram_write(tx, long_name, "long", 4, NULL, E));
    assert_fails(engram_write(tx, "..", "x", 1, NULL, E), ENGRAM_INVALID, "..");
    assert_fails(engram_write(tx, "a/../b", "x", 1, NULL, E), ENGRAM_INVALID, "..");
    assert_fails(engram_write(tx, "../b", "x", 1, NULL, E), ENGRAM_INVALID, "..");
    strcpy(long_name + 255, "n");
    assert_fails(engram_write(tx, long_name, "x", 1, NULL, E), ENGRAM_INVALID, "255");
    long_name[255] = 0;
    rig_commit(tx);
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        rig_expect_text(&r, fine[i], fine[i]);
    rig_expect_text(&r, "/.//...", "...");
    rig_expect_text(&r, "././.../.", "...");
    rig_verify(&r);
    rig_fini(&r);
}

/* As deep and as long as a path may be. */
static void long_paths(void **state)
{
    (void)state;
    rig r;
    char path[4200] = "", longer[4200];
    rig_init(&r, NULL);
    engram_transaction *tx = rig_begin(&r);
    for (int i = 0; i < 2047; i++)
        strcat(path, "d/");
    assert_int_equal(strlen(path), 4094);
    path[4093] = 0;
    assert_ok(engram_mkdir_all(tx, path, 0755, E));
    path[4093] = '/';
    strcat(path, "f");
    assert_ok(engram_write(tx, path, "deep", 4, NULL, E));
    size_t size = strlen(path);
    memcpy(longer, path, size);
    memcpy(longer + size, "f", 2);
    assert_fails(engram_write(tx, longer, "x", 1, NULL, E), ENGRAM_INVALID, "4095");
    assert_fails(engram_mkdir_all(tx, longer, 0755, E), ENGRAM_INVALID, "4095");
    tx_expect_text(tx, path, "deep");
    assert_fails(engram_rename(tx, "d", "d/d/x", NULL, E), ENGRAM_INVALID, "below itself");
    rig_commit(tx);
    rig_expect_text(&r, path, "deep");
    rig_verify(&r);
    rig_remove(&r, "d");
    rig_expect_names(&r, "", "");
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removes),   cmocka_unit_test(removes_directories),
        cmocka_unit_test(renames),   cmocka_unit_test(makes_directories),
        cmocka_unit_test(links),     cmocka_unit_test(attributes),
        cmocka_unit_test(odd_names), cmocka_unit_test(long_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
