/* Rates of the tree in memory and from the cache: tree_bench [entries], 1,000,000 by default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tree/tree.h"

static size_t entries = 1000000;

static size_t make_key(char key[32], size_t number)
{
    return (size_t)snprintf(key, 32, "inode%015zu", number);
}

static size_t *order; /* a random permutation */

static void make_order(void)
{
    uint64_t state = 1;
    order = malloc(entries * sizeof *order);
    for (size_t i = 0; i < entries; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t j = (size_t)(state >> 20) % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static void must(engram_status status)
{
    if (status != ENGRAM_OK) {
        fprintf(stderr, "tree_bench: %s\n", engram_status_name(status));
        exit(1);
    }
}

static void report(const char *what, uint64_t since, size_t count)
{
    double seconds = (double)(eg_clock_monotonic_ns() - since) / 1e9;
    printf("%-28s %8.3f M/s\n", what, (double)count / seconds / 1e6);
}

static char (*keys)[32];

static eg_root *put_all(eg_root *root, bool random, size_t batch, const char *what)
{
    char value[40] = "a value of forty bytes, more or less";
    eg_edit *edit;
    must(eg_edit_begin(root, &edit, NULL));
    uint64_t start = eg_clock_monotonic_ns();
    for (size_t i = 0; i < entries; i++) {
        size_t number = random ? order[i] : i;
        memcpy(value + 32, &number, sizeof number);
        must(eg_edit_put(edit, (eg_view){(uint8_t *)keys[number], 20},
                         (eg_view){(uint8_t *)value, sizeof value}, NULL));
        if (i % batch == batch - 1) {
            eg_root *next;
            must(eg_edit_finish(&edit, &next, NULL));
            eg_root_release(root);
            root = next;
            must(eg_edit_begin(root, &edit, NULL));
        }
    }
    report(what, start, entries);
    eg_root *next;
    must(eg_edit_finish(&edit, &next, NULL));
    eg_root_release(root);
    return next;
}

static void get_all(eg_root *root, const char *what)
{
    eg_buffer value = {0};
    size_t found = 0;
    uint64_t start = eg_clock_monotonic_ns();
    for (size_t i = 0; i < entries; i++)
        found +=
            eg_root_get(root, (eg_view){(uint8_t *)keys[order[i]], 20}, &value, NULL) == ENGRAM_OK;
    report(what, start, entries);
    if (found == 0)
        exit(1);
    eg_buffer_fini(&value);
}

static void walk_all(eg_root *root, const char *what)
{
    eg_cursor *cursor;
    must(eg_cursor_open(root, &cursor, NULL));
    size_t count = 0;
    uint64_t start = eg_clock_monotonic_ns();
    engram_status status = eg_cursor_seek(cursor, (eg_view){NULL, 0}, NULL);
    for (; status == ENGRAM_OK; status = eg_cursor_next(cursor, NULL))
        count++;
    report(what, start, count);
    printf("%-28s %8zu\n", "entries", count);
    eg_cursor_close(&cursor);
}

static eg_root *flush(eg_nodes *nodes, eg_root *root)
{
    eg_node_ref ref;
    uint64_t start = eg_clock_monotonic_ns();
    must(eg_root_flush(root, &ref, NULL));
    report("flush, entries", start, entries);
    printf("%-28s %8.1f MB\n", "node file", (double)eg_nodes_end(nodes) / 1e6);
    eg_root_release(root);
    must(eg_root_open(nodes, ref, &root, NULL));
    return root;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        entries = strtoul(argv[1], NULL, 0);
    char dir[] = "/tmp/tree-bench-XXXXXX", path[64];
    eg_nodes *nodes;
    eg_root *empty, *root;
    keys = malloc(entries * sizeof *keys);
    for (size_t i = 0; i < entries; i++)
        make_key(keys[i], i);
    make_order();
    if (!mkdtemp(dir))
        return 1;
    must(eg_nodes_open(eg_io_posix(), dir, &(eg_nodes_options){.cache_size = 512 << 20}, &nodes,
                       NULL));
    must(eg_root_open(nodes, (eg_node_ref){0, 0}, &empty, NULL));
    eg_root_release(put_all(eg_root_retain(empty), false, entries + 1, "put rising"));
    root = put_all(eg_root_retain(empty), true, entries + 1, "put at random");
    root = put_all(root, true, 100, "replace, edits of 100");
    get_all(root, "get at random, memory");
    walk_all(root, "walk, memory");
    root = flush(nodes, root);
    get_all(root, "get at random, cache");
    get_all(root, "get at random, cache again");
    walk_all(root, "walk, cache");
    eg_root_release(root);
    eg_root_release(empty);
    eg_nodes_close(&nodes);
    snprintf(path, sizeof path, "%s/00000001.nodes", dir);
    remove(path);
    remove(dir);
    free(order);
    free(keys);
    return 0;
}
