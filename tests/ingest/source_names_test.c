/* Paths as they are stored, and excludes. */
#include <string.h>

#include "base/test.h"
#include "ingest/source_parts.h"

static void expect_stored(const char *given, const char *stored)
{
    eg_buffer out = {0};
    engram_error error = {0};
    engram_status status = eg_stored_path(given, &out, &error);
    if (stored == NULL) {
        assert_int_equal(status, ENGRAM_INVALID);
        assert_true(error.message[0] != 0);
    } else {
        assert_int_equal(status, ENGRAM_OK);
        assert_string_equal((const char *)out.data, stored);
        assert_int_equal(out.size, strlen(stored));
    }
    eg_buffer_fini(&out);
}

static void test_stored_paths(void **state)
{
    (void)state;
    expect_stored("a", "a");
    expect_stored("/a/b/", "a/b");
    expect_stored("./a//./b", "a/b");
    expect_stored("../../a", "a");
    expect_stored("a/../b/c", "b/c");
    expect_stored("..a/b..", "..a/b..");
    expect_stored("\xff\n", "\xff\n");
    expect_stored("", NULL);
    expect_stored(".", NULL);
    expect_stored("/", NULL);
    expect_stored("a/..", NULL);
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    expect_stored(name, name);
    name[255] = 'n';
    name[256] = 0;
    expect_stored(name, NULL);
    char path[4200];
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 2 ? '/' : 'p';
    path[4095] = 0; /* a path of 4,095 bytes */
    expect_stored(path, path);
    path[4095] = '/';
    path[4097] = 0;
    expect_stored(path, NULL);
}

static bool excluded(const char *glob, const char *path, bool is_directory)
{
    eg_excludes excludes;
    engram_error error = {0};
    assert_int_equal(eg_excludes_init(&excludes, &glob, 1, &error), ENGRAM_OK);
    bool matches = eg_excludes_match(&excludes, path, is_directory);
    eg_excludes_fini(&excludes);
    return matches;
}

static void test_excludes(void **state)
{
    (void)state;
    assert_true(excluded("*.o", "a.o", false));
    assert_true(excluded("*.o", "dir/a.o", false));
    assert_false(excluded("*.o", "a.o/b", false));
    assert_true(excluded("build/", "x/build", true));
    assert_false(excluded("build/", "x/build", false));
    assert_true(excluded("/top", "top", false));
    assert_false(excluded("/top", "x/top", false));
    assert_true(excluded("a/b", "a/b", false));
    assert_true(excluded("a/b", "x/a/b", false));
    assert_false(excluded("a/b", "xa/b", false));
    assert_true(excluded("/a/*.c", "a/x.c", false));
    assert_false(excluded("/a/*.c", "a/b/x.c", false));
    assert_true(excluded("[ab]?", "x/b1", false));
    assert_false(excluded("[ab]?", "x/c1", false));
}

static void test_excludes_above(void **state)
{
    const char *globs[] = {"skip/", "*.tmp"};
    char path[] = "a/skip/b/c", other[] = "a/skipped/b.tmp", third[] = "a/skip";
    eg_excludes excludes;
    (void)state;
    assert_int_equal(eg_excludes_init(&excludes, globs, 2, NULL), ENGRAM_OK);
    assert_true(eg_excludes_match_any(&excludes, path, false));
    assert_string_equal(path, "a/skip/b/c");
    assert_true(eg_excludes_match_any(&excludes, other, false));
    assert_false(eg_excludes_match_any(&excludes, third, false));
    assert_true(eg_excludes_match_any(&excludes, third, true));
    eg_excludes_fini(&excludes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stored_paths),
                                       cmocka_unit_test(test_excludes),
                                       cmocka_unit_test(test_excludes_above)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
