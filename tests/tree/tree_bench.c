/* What the tree costs an engram: tree_bench [files], 1,000,000 by default.
 *
 * Each file has the keys that an engram gives it: its name in a directory, itself, its names, its
 * content and who holds its chunk; and every transaction replaces the totals. The directories take
 * turns, so names fall everywhere, and the rest is in rising order. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tree/tree.h"

enum { PER_DIRECTORY = 100, KEYS_PER_FILE = 5, GROUP = 100, NAME_SIZE = 14, THREADS_MAX = 2 };

typedef struct key {
    uint8_t bytes[40];
    size_t size;
} key;

static uint64_t files = 1000000, directories;
static uint64_t cache_size = (uint64_t)1 << 30;

static void must(engram_status status)
{
    if (status != ENGRAM_OK) {
        fprintf(stderr, "tree_bench: %s\n", engram_status_name(status));
        exit(1);
    }
}

static void put_be(uint8_t *at, uint64_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 8)
        at[i] = (uint8_t)number;
}

static void add_name(key *k, uint64_t file)
{
    uint8_t *at = k->bytes + k->size;
    memcpy(at, "file-00000.txt", NAME_SIZE);
    for (int i = 9; i > 4; i--, file /= 10)
        at[i] = (uint8_t)('0' + file % 10);
    k->size += NAME_SIZE;
}

static key make_key(char tag, uint64_t first, uint64_t second)
{
    key k = {.size = 17};
    k.bytes[0] = (uint8_t)tag;
    put_be(k.bytes + 1, first);
    put_be(k.bytes + 9, second);
    return k;
}

static uint64_t directory_of(uint64_t file)
{
    return 2 + file % directories;
}

static uint64_t inode_of(uint64_t file)
{
    return 2 + directories + file;
}

static key entry_key(uint64_t file)
{
    key k = make_key('D', directory_of(file), 0);
    k.size = 9;
    add_name(&k, file / directories);
    return k;
}

static key inode_key(uint64_t file)
{
    key k = make_key('I', inode_of(file), 0);
    k.size = 9;
    return k;
}

static key name_key(uint64_t file)
{
    key k = make_key('P', inode_of(file), directory_of(file));
    add_name(&k, file / directories);
    return k;
}

static eg_view view(const key *k)
{
    return (eg_view){k->bytes, k->size};
}

static void put(eg_edit *edit, key k, const uint8_t *value, size_t size)
{
    must(eg_edit_put(edit, view(&k), (eg_view){value, size}, NULL));
}

/* One transaction: a new file, 6 puts. */
static void put_file(eg_edit *edit, uint64_t file)
{
    uint8_t value[108] = {1, 1};
    for (size_t i = 0; i < 13; i++) /* as hard to compress as inodes are */
        put_be(value + i * 8 + 4, i % 3 ? file >> i : file * 0x9E3779B97F4A7C15u >> 40);
    put(edit, entry_key(file), value, 9);
    put(edit, name_key(file), value, 0);
    put(edit, inode_key(file), value, 108);
    put(edit, make_key('E', inode_of(file), 5000), value + 8, 12);
    put(edit, make_key('R', 100 + file, inode_of(file)), value, 4);
    put(edit, (key){{'S'}, 1}, value, 48);
}

static void report(const char *what, uint64_t nanoseconds, double count)
{
    printf("%-44s %8.3f us\n", what, (double)nanoseconds / count / 1e3);
    fflush(stdout);
}

static uint64_t anonymous_memory(void)
{
    char line[200];
    unsigned long long size = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "RssAnon: %llu kB", &size) == 1)
            break;
    if (status)
        fclose(status);
    return size * 1024;
}

static void report_memory(const char *what, uint64_t nodes)
{
    double rss = (double)anonymous_memory();
    printf("%-44s %8.1f MB, %.0f bytes a file; %.1f MB of nodes made by edits\n", what, rss / 1e6,
           rss / (double)files, (double)nodes / 1e6);
}

/* Commits count groups of transactions. */
static eg_root *add_files(eg_root *root, uint64_t *next, uint64_t count)
{
    for (uint64_t end = *next + count; *next < end;) {
        eg_edit *edit;
        eg_root *newer;
        must(eg_edit_begin(root, &edit, NULL));
        for (int i = 0; i < GROUP; i++)
            put_file(edit, (*next)++);
        must(eg_edit_finish(&edit, &newer, NULL));
        eg_root_release(root);
        root = newer;
    }
    return root;
}

static eg_root *checkpoint(eg_nodes *nodes, eg_root *root)
{
    eg_node_ref ref;
    must(eg_root_flush(root, &ref, NULL));
    must(eg_nodes_sync(nodes, NULL));
    eg_root_release(root);
    must(eg_root_open(nodes, ref, &root, NULL));
    return root;
}

/* Files in an order that jumps about. */
static uint64_t pick(uint64_t i)
{
    return i * 611953 % files;
}

typedef struct reading {
    eg_root *root;
    eg_edit *edit;
    uint64_t first, count, nanoseconds;
} reading;

/* Names and inodes by turns, as looking up a path does. */
static void *read_some(void *context)
{
    reading *r = context;
    eg_buffer value = {0};
    uint64_t start = eg_clock_monotonic_ns();
    for (uint64_t i = r->first; i < r->first + r->count; i++) {
        key k = i % 2 ? inode_key(pick(i)) : entry_key(pick(i));
        must(r->edit ? eg_edit_get(r->edit, view(&k), &value, NULL)
                     : eg_root_get(r->root, view(&k), &value, NULL));
    }
    r->nanoseconds = eg_clock_monotonic_ns() - start;
    eg_buffer_fini(&value);
    return NULL;
}

static void bench_gets(eg_root *root, unsigned threads, const char *what)
{
    reading readings[THREADS_MAX];
    pthread_t handles[THREADS_MAX];
    uint64_t slowest = 0, count = 1000000;
    for (unsigned i = 0; i < threads; i++) {
        readings[i] = (reading){.root = root, .first = i * 999983, .count = count};
        pthread_create(&handles[i], NULL, read_some, &readings[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        slowest = slowest > readings[i].nanoseconds ? slowest : readings[i].nanoseconds;
    }
    report(what, slowest, (double)count);
}

static void bench_edit_gets(eg_root *root, uint64_t next)
{
    eg_edit *edit;
    must(eg_edit_begin(root, &edit, NULL));
    for (int i = 0; i < GROUP; i++)
        put_file(edit, next++);
    reading r = {.edit = edit, .first = 1000, .count = 300000};
    read_some(&r);
    report("get in an edit, at random", r.nanoseconds, (double)r.count);
    uint64_t start = eg_clock_monotonic_ns();
    eg_buffer value = {0};
    for (int i = 0; i < 300000; i++) {
        key k = entry_key(next - 1 - (uint64_t)(i % GROUP));
        must(eg_edit_get(edit, view(&k), &value, NULL));
    }
    report("get in an edit, of what it put", eg_clock_monotonic_ns() - start, 300000);
    eg_buffer_fini(&value);
    eg_edit_abort(&edit);
}

static void bench_seeks(eg_root *root, eg_edit *edit, const char *what)
{
    enum { COUNT = 300000 };
    uint64_t start = eg_clock_monotonic_ns();
    for (uint64_t i = 0; i < COUNT; i++) {
        eg_cursor *cursor;
        key k = make_key('E', inode_of(pick(i)), 0);
        must(edit ? eg_cursor_open_edit(edit, &cursor, NULL) : eg_cursor_open(root, &cursor, NULL));
        must(eg_cursor_seek(cursor, view(&k), NULL));
        eg_cursor_close(&cursor);
    }
    report(what, eg_clock_monotonic_ns() - start, COUNT);
}

static void bench_empty_edits(eg_root *root)
{
    enum { COUNT = 300000 };
    uint64_t start = eg_clock_monotonic_ns();
    for (int i = 0; i < COUNT; i++) {
        eg_edit *edit;
        eg_root *next;
        must(eg_edit_begin(root, &edit, NULL));
        must(eg_edit_finish(&edit, &next, NULL));
        eg_root_release(next);
    }
    report("an empty edit", eg_clock_monotonic_ns() - start, COUNT);
}

static eg_root *bench_small_edits(eg_root *root)
{
    enum { COUNT = 20000 };
    uint8_t value[108] = {0};
    uint64_t start = eg_clock_monotonic_ns();
    for (uint64_t i = 0; i < COUNT; i++) {
        eg_edit *edit;
        eg_root *next;
        must(eg_edit_begin(root, &edit, NULL));
        put(edit, inode_key(pick(i)), value, 108);
        must(eg_edit_finish(&edit, &next, NULL));
        eg_root_release(root);
        root = next;
    }
    report("an edit of one put, at random", eg_clock_monotonic_ns() - start, COUNT);
    return root;
}

static void walk_all(eg_root *root)
{
    eg_cursor *cursor;
    must(eg_cursor_open(root, &cursor, NULL));
    uint64_t count = 0, start = eg_clock_monotonic_ns();
    engram_status status = eg_cursor_seek(cursor, (eg_view){NULL, 0}, NULL);
    for (; status == ENGRAM_OK; status = eg_cursor_next(cursor, NULL))
        count++;
    report("walk, an entry, cold", eg_clock_monotonic_ns() - start, (double)count);
    if (count != files * KEYS_PER_FILE + 1)
        exit(1);
    eg_cursor_close(&cursor);
}

/* Groups of transactions on a clean tree, with checkpoints when 32 MiB wait. */
static eg_root *bench_groups(eg_nodes *nodes, eg_root *root, uint64_t *next)
{
    uint64_t count = 40000, spent = 0, dirty_max = 32 << 20;
    for (uint64_t i = 0; i < count; i += 2000) {
        uint64_t start = eg_clock_monotonic_ns();
        root = add_files(root, next, 2000);
        spent += eg_clock_monotonic_ns() - start;
        if (eg_root_dirty_size(root) > dirty_max)
            root = checkpoint(nodes, root);
    }
    report("put, edits of 100 files", spent, (double)count * (KEYS_PER_FILE + 1));
    return root;
}

static eg_root *build(eg_nodes *nodes, uint64_t *next)
{
    eg_root *root;
    must(eg_root_open(nodes, (eg_node_ref){0, 0}, &root, NULL));
    uint64_t start = eg_clock_monotonic_ns(), flushing = 0;
    while (*next < files) {
        root = add_files(root, next, 10000);
        uint64_t before = eg_clock_monotonic_ns();
        root = checkpoint(nodes, root);
        flushing += eg_clock_monotonic_ns() - before;
    }
    uint64_t all = eg_clock_monotonic_ns() - start;
    report("put, while it grows", all - flushing, (double)files * (KEYS_PER_FILE + 1));
    report("checkpoints meanwhile, a file", flushing, (double)files);
    return root;
}

static void run(const char *dir)
{
    eg_nodes *nodes;
    uint64_t next = 0;
    must(eg_nodes_open(eg_io_posix(), dir, &(eg_nodes_options){0}, &nodes, NULL));
    eg_root *root = build(nodes, &next);
    report_memory("memory after growing, cache of 16 MiB", eg_nodes_made_size(nodes));
    eg_node_ref ref;
    must(eg_root_flush(root, &ref, NULL));
    uint64_t end = eg_nodes_end(nodes);
    printf("%-44s %8.1f MB\n", "node file", (double)end / 1e6);
    eg_root_release(root);
    eg_nodes_close(&nodes);
    must(eg_nodes_open(eg_io_posix(), dir,
                       &(eg_nodes_options){.end = end, .cache_size = cache_size}, &nodes, NULL));
    must(eg_root_open(nodes, ref, &root, NULL));
    walk_all(root);
    report_memory("memory with all of it in the cache", eg_nodes_made_size(nodes));
    bench_gets(root, 1, "get, 1 thread");
    bench_gets(root, 2, "get, 2 threads");
    bench_seeks(root, NULL, "open a cursor, seek, close");
    bench_empty_edits(root);
    bench_edit_gets(root, next);
    root = bench_groups(nodes, root, &next);
    root = checkpoint(nodes, root);
    root = bench_small_edits(root);
    eg_edit *edit;
    must(eg_edit_begin(root, &edit, NULL));
    bench_seeks(NULL, edit, "open a cursor on an edit, seek, close");
    eg_edit_abort(&edit);
    report_memory("memory at the end", eg_nodes_made_size(nodes));
    eg_root_release(root);
    eg_nodes_close(&nodes);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/tree-bench-XXXXXX", path[64];
    if (argc > 1)
        files = strtoull(argv[1], NULL, 0) / 10000 * 10000;
    if (files == 0 || !mkdtemp(dir))
        return 1;
    directories = files / PER_DIRECTORY;
    run(dir);
    snprintf(path, sizeof path, "%s/00000001.nodes", dir);
    remove(path);
    remove(dir);
    return 0;
}
