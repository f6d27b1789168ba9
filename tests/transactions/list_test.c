/* Walking the tree: order, filters, prefixes. */
#include "transactions/rig.h"

static void fill(rig *r)
{
    engram_transaction *tx = rig_begin(r);
    assert_ok(engram_mkdir_all(tx, "src/lib", 0755, E));
    assert_ok(engram_write(tx, "src/main.c", "12345", 5, NULL, E));
    assert_ok(engram_write(tx, "src/lib/a.c", "", 0, NULL, E));
    assert_ok(engram_write(tx, "src/lib/b.h", "123456789", 9, NULL, E));
    assert_ok(engram_symlink(tx, "main.c", "src/link", E));
    assert_ok(engram_write(tx, "src-more", "x", 1, NULL, E));
    assert_ok(engram_write(tx, "READ", "x", 1, NULL, E));
    assert_ok(engram_set_mtime(tx, "src/main.c", 1000, 5, E));
    assert_ok(engram_set_mtime(tx, "src/lib/a.c", 2000, 0, E));
    rig_commit(tx);
}

typedef struct selection {
    const char *prefix;
    engram_filter filter;
    const char *names;
} selection;

static const selection selections[] = {
    {"", {0}, "READ src src/lib src/lib/a.c src/lib/b.h src/link src/main.c src-more"},
    {"src", {0}, "src/lib src/lib/a.c src/lib/b.h src/link src/main.c"},
    {"/src/", {0}, "src/lib src/lib/a.c src/lib/b.h src/link src/main.c"},
    {"./src/./lib/.", {0}, "src/lib/a.c src/lib/b.h"},
    {"src//lib", {0}, "src/lib/a.c src/lib/b.h"},
    {".", {.depth_max = 1}, "READ src src-more"},
    {"READ", {0}, "READ"},
    {"src/link", {0}, "src/link"},
    {"src/lib", {.depth_max = 1}, "src/lib/a.c src/lib/b.h"},
    {"", {.depth_max = 2}, "READ src src/lib src/link src/main.c src-more"},
    {"", {.glob = "*"}, "READ src src-more"},
    {"", {.glob = "**/*.c"}, "src/lib/a.c src/main.c"},
    {"src", {.glob = "*.c"}, "src/main.c"},
    {"src", {.glob = "lib/*"}, "src/lib/a.c src/lib/b.h"},
    {"src", {.glob = "src/**"}, ""},
    {"", {.kinds = 1u << ENGRAM_KIND_FILE}, "READ src/lib/a.c src/lib/b.h src/main.c src-more"},
    {"",
     {.kinds = 1u << ENGRAM_KIND_DIRECTORY | 1u << ENGRAM_KIND_SYMLINK},
     "src src/lib src/link"},
    {"", {.size_min = 5, .kinds = 1u << ENGRAM_KIND_FILE}, "src/lib/b.h src/main.c"},
    {"", {.size_min = 5, .size_max = 8, .kinds = 1u << ENGRAM_KIND_FILE}, "src/main.c"},
    {"", {.mtime_after_s = 1000, .mtime_before_s = 2000}, "src/main.c"},
    {"", {.mtime_before_s = 2001}, "src/lib/a.c src/main.c"},
    {"", {.version_after = 1}, ""},
    {"", {.after = "READ"}, "src src/lib src/lib/a.c src/lib/b.h src/link src/main.c src-more"},
    {"", {.after = "src"}, "src/lib src/lib/a.c src/lib/b.h src/link src/main.c src-more"},
    {"", {.after = "src/lib/a.c"}, "src/lib/b.h src/link src/main.c src-more"},
    {"", {.after = "src/lib/b.h"}, "src/link src/main.c src-more"},
    {"", {.after = "src/lib/zzz"}, "src/link src/main.c src-more"},
    {"", {.after = "src/gone/x"}, "src/lib src/lib/a.c src/lib/b.h src/link src/main.c src-more"},
    {"", {.after = "src-more"}, ""},
    {"src", {.after = "src/lib"}, "src/lib/a.c src/lib/b.h src/link src/main.c"},
    {"/src/", {.after = "src/link"}, "src/main.c"},
    {"src", {.after = "src/lib", .depth_max = 1}, "src/link src/main.c"},
    {"src", {.after = "src/lib", .glob = "**/*.c"}, "src/lib/a.c src/main.c"},
    {"READ", {.after = "READ"}, ""},
};

static void filters(void **state)
{
    (void)state;
    rig r;
    rig_init(&r, NULL);
    fill(&r);
    engram_view *view = NULL;
    assert_ok(engram_pin(r.engram, &view, E));
    engram_transaction *tx = rig_begin(&r);
    for (int written = 0; written < 2; written++) {
        for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
            const selection *s = &selections[i];
            rig_names names = {{0}};
            assert_ok(written
                          ? engram_tx_list(tx, s->prefix, &s->filter, rig_names_visit, &names, E)
                          : engram_list(view, s->prefix, &s->filter, rig_names_visit, &names, E));
            if (strcmp(names.text, s->names) != 0)
                fail_msg("selection %zu: %s", i, names.text);
        }
    }
    rig_names names = {{0}};
    assert_fails(engram_list(view, "no", NULL, rig_names_visit, &names, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_list(view, "READ/x", NULL, rig_names_visit, &names, E), ENGRAM_NOT_FOUND,
                 "READ/x");
    assert_fails(engram_tx_list(tx, "no", NULL, rig_names_visit, &names, E), ENGRAM_NOT_FOUND,
                 "no");
    engram_abort(&tx);
    engram_unpin(&view);
    uint64_t version = rig_text(&r, "src/main.c", "new");
    assert_ok(engram_pin(r.engram, &view, E));
    engram_filter changed = {.version_after = version - 1};
    assert_ok(engram_list(view, "", &changed, rig_names_visit, &names, E));
    assert_string_equal(names.text, "src/main.c");
    engram_unpin(&view);
    rig_fini(&r);
}

static engram_status stop(void *context, const char *path, const struct engram_stat *stat,
                          engram_error *error)
{
    (void)path, (void)stat, (void)error;
    return ++*(int *)context == 3 ? ENGRAM_BUSY : ENGRAM_OK;
}

static void a_visit_ends_the_walk(void **state)
{
    (void)state;
    rig r;
    int count = 0;
    engram_view *view = NULL;
    rig_init(&r, NULL);
    fill(&r);
    assert_ok(engram_pin(r.engram, &view, E));
    assert_fails(engram_list(view, "", NULL, stop, &count, E), ENGRAM_BUSY, "");
    assert_int_equal(count, 3);
    engram_unpin(&view);
    rig_fini(&r);
}

/* Any part of a file, and beyond its end. */
static void reads_parts(void **state)
{
    (void)state;
    enum { SIZE = 50000 };
    static uint8_t data[SIZE], found[SIZE + 10];
    rig r;
    size_t got;
    engram_view *view = NULL;
    uint64_t random = 3;
    rig_init(&r, "cdc:4096");
    rig_fill(data, SIZE, 1);
    rig_put(&r, "f", data, SIZE);
    rig_mkdir(&r, "d");
    assert_ok(engram_pin(r.engram, &view, E));
    for (int i = 0; i < 500; i++) {
        uint64_t offset = rig_below(&random, SIZE + 10), size = rig_below(&random, SIZE);
        uint64_t expected = offset >= SIZE ? 0 : SIZE - offset < size ? SIZE - offset : size;
        assert_ok(engram_read(view, "f", offset, found, size, &got, E));
        assert_int_equal(got, expected);
        if (expected != 0)
            assert_memory_equal(found, data + offset, expected);
    }
    assert_ok(engram_read(view, "f", UINT64_MAX, found, 1, &got, E));
    assert_int_equal(got, 0);
    assert_fails(engram_read(view, "d", 0, found, 1, &got, E), ENGRAM_INVALID, "content");
    assert_fails(engram_read(view, "no", 0, found, 1, &got, E), ENGRAM_NOT_FOUND, "no");
    assert_fails(engram_read_inode(view, 77, 0, found, 1, &got, E), ENGRAM_NOT_FOUND, "77");
    struct engram_stat stat;
    assert_ok(engram_stat(view, "f", &stat, E));
    assert_ok(engram_read_inode(view, stat.inode, 7, found, 3, &got, E));
    assert_memory_equal(found, data + 7, 3);
    engram_unpin(&view);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),
        cmocka_unit_test(a_visit_ends_the_walk),
        cmocka_unit_test(reads_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
