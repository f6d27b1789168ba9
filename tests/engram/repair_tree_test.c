/* Repair: trees of several levels, of which versions share most nodes. Each node is damaged in turn
 * (--stride N: every N-th). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/repair_rig.h"

enum { SMALL = 600, VERSIONS = 10, REFS = 20000 };
static long stride = 4 * TEST_STRIDE;
static uint8_t data[70000];
static uint8_t large[REFS * 16]; /* the same 16 bytes again and again */

/* ---- the fixture ---- */

/* Empty files, one commit for all. */
static void add_small(rig *r)
{
    eg_buffer ops = {0};
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0644};
    for (int i = 0; i < SMALL; i++) {
        char name[64];
        uint64_t number = eg_engram_new_inode(r->engram);
        snprintf(name, sizeof name, "a small file with a rather long name, %d", i);
        eg_ops_put_inode(&ops, number, &inode);
        eg_ops_link(&ops, EG_INODE_ROOT, number, EG_KIND_FILE,
                    (eg_view){(const uint8_t *)name, strlen(name)});
    }
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

/* One of many runs: its references are nearly all to one chunk. */
static void add_large(rig *r)
{
    eg_buffer ops = {0};
    eg_chunk_ref *one = NULL, *refs = eg_alloc(REFS * sizeof *refs);
    eg_inode inode = {.kind = EG_KIND_FILE, .mode = 0644, .size = sizeof large};
    uint64_t number = eg_engram_new_inode(r->engram);
    size_t count;
    assert_ok(rig_chunks(r, large, 16, &one, &count, &ops, E));
    for (size_t i = 0; i < REFS; i++)
        refs[i] = one[0];
    eg_ops_put_inode(&ops, number, &inode);
    eg_ops_link(&ops, EG_INODE_ROOT, number, EG_KIND_FILE, (eg_view){(const uint8_t *)"large", 5});
    eg_ops_splice(&ops, number, 0, UINT64_MAX, refs, REFS);
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    repair_rig_note(0, "large", large, sizeof large);
    eg_free(refs);
    eg_free(one);
    eg_buffer_fini(&ops);
}

/* Versions that change a little, of which one is kept for ever. */
static void fill(rig *r)
{
    static const char *const paths[] = {"b", "b small", "z", "d/e"};
    repair_rig_forget();
    assert_ok(rig_mkdir(r, "d", E));
    add_small(r);
    add_large(r);
    for (size_t i = 0; i < VERSIONS; i++)
        rig_store(r, 1 + i % 4, paths[i % 4], data + i * 5000, 4000 + i * 100);
    rig_label(r, "run");
    rig_reopen(r);
    for (size_t i = 0; i < VERSIONS; i++)
        rig_store(r, 1 + i % 4, paths[i % 4], data + i * 5000 + 111, 4000 + i * 100);
    rig_snapshot(r, "end");
}

/* ---- damage ---- */

static size_t tree_file(const bench *b)
{
    for (size_t i = 0; i < b->files.count; i++)
        if (strncmp(b->files.paths[i], "tree/", 5) == 0)
            return i;
    fail();
    return 0;
}

static void damage_node(bench *b, size_t file, uint64_t at, uint32_t size)
{
    char path[FOLDER_PATH_MAX];
    uint8_t bytes[8] = {0};
    bench_name(b, file, "node damaged at", at);
    bench_copy(b);
    bench_path(b, file, path);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, sizeof bytes, (off_t)(at + size / 2)), sizeof bytes);
    close(fd);
    bench_judge(b);
}

static void each_node(void **state)
{
    enum { HEADER = 64, FILE_MAX = 8 << 20 };
    static uint8_t bytes[FILE_MAX];
    char path[FOLDER_PATH_MAX];
    bench b;
    (void)state;
    bench_init(&b, fill, false);
    size_t file = tree_file(&b);
    bench_copy(&b);
    bench_path(&b, file, path);
    int fd = open(path, O_RDONLY);
    ssize_t size = pread(fd, bytes, sizeof bytes, 0);
    close(fd);
    long node = 0;
    for (ssize_t at = HEADER; at + 8 <= size; at += eg_get_u32(bytes + at + 4)) {
        assert_memory_equal(bytes + at, "NODE", 4);
        if (node++ % stride == 0)
            damage_node(&b, file, (uint64_t)at, eg_get_u32(bytes + at + 4));
    }
    assert_true(node > 100);
    bench_fini(&b);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtol(argv[2], NULL, 10);
    if (stride < 1)
        return 2;
    repair_rig_init();
    rig_fill(data, sizeof data, 5);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i % 16 * 7 + 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_node)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
