/* What a cut leaves, by hand; and choices as text. */
#include "crash/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/test.h"
#include "crash/ram_disk.h"
#include "crash/util.h"

typedef struct rig {
    trace trace;
    ram_disk *disk;
    eg_io *io;
} rig;

static int setup(void **state)
{
    rig *r = crash_alloc(sizeof *r);
    image empty;
    image_init(&empty);
    trace_init(&r->trace, &empty);
    r->disk = ram_disk_create(&empty);
    r->io = ram_disk_io(r->disk);
    ram_disk_record(r->disk, &r->trace);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig *r = *state;
    ram_disk_free(r->disk);
    trace_fini(&r->trace);
    free(r);
    return 0;
}

static eg_file *open_file(rig *r, const char *path)
{
    eg_file *file = NULL;
    assert_int_equal(r->io->open(r->io, path, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, &file, NULL),
                     ENGRAM_OK);
    return file;
}

static void write_text(rig *r, eg_file *file, uint64_t offset, const char *text)
{
    assert_int_equal(r->io->write(r->io, file, offset, text, strlen(text), NULL), ENGRAM_OK);
}

static void sync_file(rig *r, eg_file *file)
{
    assert_int_equal(r->io->sync(r->io, file, NULL), ENGRAM_OK);
}

static void sync_root(rig *r)
{
    assert_int_equal(r->io->sync_dir(r->io, "/", NULL), ENGRAM_OK);
}

/* The disk after all that was done and a cut. */
static image cut(rig *r, const char *text)
{
    platter p;
    platter_init(&p, &r->trace);
    while (p.step < r->trace.count)
        platter_advance(&p);
    choice choices[32];
    assert_true(choices_parse(text, choices, p.pending_count));
    image i = platter_cut(&p, choices);
    platter_fini(&p);
    return i;
}

/* name has this content; NULL: it is not there. */
static void assert_file(const image *i, const char *name, const char *content)
{
    char bytes[64] = {0};
    image_entry *entry = image_find(i, 0, name);
    if (content == NULL) {
        assert_null(entry);
        return;
    }
    assert_non_null(entry);
    assert_int_equal(i->nodes[entry->node].bytes.size, strlen(content));
    sparse_read(&i->nodes[entry->node].bytes, 0, bytes, sizeof bytes);
    assert_string_equal(bytes, content);
}

static void assert_cut(rig *r, const char *choices, const char *name, const char *content)
{
    image i = cut(r, choices);
    assert_file(&i, name, content);
    image_fini(&i);
}

static void a_file_needs_its_own_sync_and_its_directorys(void **state)
{
    rig *r = *state;
    eg_file *file = open_file(r, "/a");
    write_text(r, file, 0, "one");
    assert_cut(r, "all", "a", "one");
    assert_cut(r, "none", "a", NULL);
    assert_cut(r, "kd", "a", "");
    sync_file(r, file);
    assert_cut(r, "d", "a", NULL);
    assert_cut(r, "k", "a", "one");
    sync_root(r);
    assert_cut(r, "", "a", "one");
    write_text(r, file, 0, "two!");
    assert_cut(r, "d", "a", "one");
    r->io->close(r->io, &file);
}

static void a_rename_may_come_before_the_bytes(void **state)
{
    rig *r = *state;
    eg_file *old = open_file(r, "/a");
    write_text(r, old, 0, "old");
    sync_file(r, old);
    sync_root(r);
    eg_file *fresh = open_file(r, "/a.tmp");
    write_text(r, fresh, 0, "new");
    assert_int_equal(r->io->rename(r->io, "/a.tmp", "/a", NULL), ENGRAM_OK);
    /* pending: make, write, rename */
    assert_cut(r, "none", "a", "old");
    assert_cut(r, "kdk", "a", "");
    assert_cut(r, "2dk", "a", "");
    assert_cut(r, "2kd", "a", "old");
    assert_cut(r, "2kd", "a.tmp", "new");
    assert_cut(r, "dkk", "a", "new");
    assert_cut(r, "3k", "a.tmp", NULL);
    sync_root(r);
    assert_cut(r, "d", "a", ""); /* the name is durable, the bytes are not */
    sync_file(r, fresh);
    assert_cut(r, "", "a", "new");
    r->io->close(r->io, &old);
    r->io->close(r->io, &fresh);
}

static void sizes_are_operations_too(void **state)
{
    rig *r = *state;
    eg_file *file = open_file(r, "/a");
    write_text(r, file, 0, "abcdef");
    sync_file(r, file);
    sync_root(r);
    assert_int_equal(r->io->truncate(r->io, file, 3, NULL), ENGRAM_OK);
    assert_cut(r, "k", "a", "abc");
    assert_cut(r, "d", "a", "abcdef");
    write_text(r, file, 3, "X");
    assert_cut(r, "dk", "a", "abcXef");
    assert_cut(r, "kk", "a", "abcX");
    r->io->close(r->io, &file);
}

/* A write from 300 to 1800 over durable letters: sectors end at 512, 1024, 1536. */
static void a_write_is_torn_at_sectors(void **state)
{
    rig *r = *state;
    static uint8_t bytes[2000];
    static const struct {
        const char *choice;
        char expected[5]; /* at 299, 300, 512, 1024, 1536: o old, n new, ? neither */
        uint64_t size;
    } cases[] = {
        {"k", {'o', 'n', 'n', 'n', 'n'}, 1800},  {"d", {'o', 'o', 'o', 'o', '0'}, 1200},
        {"t1", {'o', 'n', 'o', 'o', '0'}, 1200}, {"t3", {'o', 'n', 'n', 'n', '0'}, 1536},
        {"c3", {'o', 'n', 'n', 'n', '0'}, 1800}, {"s2", {'o', 'o', 'o', 'n', 'n'}, 1800},
        {"o", {'o', 'o', 'n', 'o', 'n'}, 1800},  {"z", {'o', 'o', 'o', 'o', '0'}, 1800},
        {"g", {'o', '?', '?', '?', '?'}, 1800},  {"x2", {'o', 'n', 'n', '?', '?'}, 1800},
    };
    eg_file *file = open_file(r, "/a");
    memset(bytes, 'o', sizeof bytes);
    assert_int_equal(r->io->write(r->io, file, 0, bytes, 1200, NULL), ENGRAM_OK);
    sync_file(r, file);
    sync_root(r);
    memset(bytes, 'n', sizeof bytes);
    assert_int_equal(r->io->write(r->io, file, 300, bytes, 1500, NULL), ENGRAM_OK);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        static const uint64_t places[] = {299, 300, 512, 1024, 1536};
        image i = cut(r, cases[c].choice);
        const sparse *found = &i.nodes[image_find(&i, 0, "a")->node].bytes;
        assert_int_equal(found->size, cases[c].size);
        for (size_t n = 0; n < 5; n++) {
            char sector[4] = {0};
            sparse_read(found, places[n], sector, n == 0 ? 1 : 4);
            char expected = cases[c].expected[n];
            if (expected == '?')
                assert_true(memcmp(sector, "nnnn", 4) != 0 && memcmp(sector, "oooo", 4) != 0);
            else
                assert_int_equal(sector[0], expected == '0' ? 0 : expected);
        }
        image_fini(&i);
    }
    r->io->close(r->io, &file);
}

static void choices_survive_their_text(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL), random = seed;
    print_message("seed %" PRIu64 "\n", seed);
    for (unsigned round = 0; round < 2000; round++) {
        choice in[40], out[40];
        char text[400];
        size_t count = crash_random(&random) % 41;
        for (size_t i = 0; i < count; i++) {
            in[i] = (choice){.kind = "kkkddzgtcsox"[crash_random(&random) % 12]};
            if (strchr("tcsx", in[i].kind) != NULL)
                in[i].sectors = (uint32_t)(crash_random(&random) % 30);
        }
        choices_format(in, count, text, sizeof text);
        assert_true(choices_parse(text, out, count));
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(in[i].kind, out[i].kind);
            assert_int_equal(in[i].sectors, out[i].sectors);
        }
        assert_false(choices_parse(text, out, count + 1));
    }
}

static void copies_do_not_share_changes(void **state)
{
    (void)state;
    sparse a = {0};
    uint8_t byte = 1;
    sparse_write(&a, 3 << 20, &byte, 1);
    sparse b = sparse_copy(&a);
    assert_int_equal(sparse_hash(&a), sparse_hash(&b));
    byte = 2;
    sparse_write(&b, 3 << 20, &byte, 1);
    assert_int_not_equal(sparse_hash(&a), sparse_hash(&b));
    sparse_read(&a, 3 << 20, &byte, 1);
    assert_int_equal(byte, 1);
    sparse_write(&b, 3 << 20, &byte, 1);
    assert_int_equal(sparse_hash(&a), sparse_hash(&b));
    sparse_resize(&b, 5);
    sparse_resize(&b, a.size); /* a hole now */
    sparse_read(&b, 3 << 20, &byte, 1);
    assert_int_equal(byte, 0);
    sparse c = {.size = a.size};
    assert_int_equal(sparse_hash(&b), sparse_hash(&c));
    sparse_fini(&a);
    sparse_fini(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_needs_its_own_sync_and_its_directorys),
        TEST(a_rename_may_come_before_the_bytes),
        TEST(sizes_are_operations_too),
        TEST(a_write_is_torn_at_sectors),
        TEST(choices_survive_their_text),
        TEST(copies_do_not_share_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
