/* Creating, opening, locking, crashing, labelled versions. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "engram/rig.h"

static uint8_t data[100000];

static void create_and_open(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    engram_error error = {0};
    eg_engram *second = NULL;
    assert_int_equal(eg_engram_create(r.io, r.dir, &eg_engram_config_default, &error),
                     ENGRAM_EXISTS);
    error = (engram_error){0};
    assert_int_equal(eg_engram_open(r.io, r.dir, &(eg_engram_options){0}, &second, &error),
                     ENGRAM_LOCKED);
    char pid[24];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(error.message, pid));
    assert_ok(eg_engram_open(r.io, r.dir, &(eg_engram_options){.read_only = true}, &second,
                             E)); /* beside the writer */
    assert_ok(eg_engram_close(&second, E));
    error = (engram_error){0};
    assert_int_equal(eg_engram_open(r.io, r.temp.path, &(eg_engram_options){0}, &second, &error),
                     ENGRAM_NOT_ENGRAM);
    assert_int_equal(eg_engram_create(r.io, r.temp.path, &eg_engram_config_default, NULL),
                     ENGRAM_INVALID); /* not empty */
    rig_reopen(&r);
    rig_verify(&r);
    rig_fini(&r);
}

static void files_survive(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_fill(data, sizeof data, 3);
    assert_ok(rig_put(&r, "big", data, sizeof data, E));
    assert_ok(rig_mkdir(&r, "dir", E));
    assert_ok(rig_put(&r, "dir/small", data + 7, 10, E));
    assert_ok(rig_put(&r, "dir/empty", data, 0, E));
    rig_crash(&r);
    assert_int_equal(eg_engram_get_recovery(r.engram)->transactions, 4);
    rig_expect(&r, "big", data, sizeof data);
    rig_expect(&r, "dir/small", data + 7, 10);
    rig_expect(&r, "dir/empty", data, 0);
    rig_verify(&r);
    assert_ok(rig_put(&r, "big", data + 5, 5000, E)); /* shorter */
    assert_ok(rig_remove(&r, "dir/small", E));
    rig_reopen(&r);
    assert_int_equal(eg_engram_get_recovery(r.engram)->transactions, 0); /* closed cleanly */
    rig_expect(&r, "big", data + 5, 5000);
    rig_expect_absent(&r, "dir/small");
    rig_verify(&r);
    rig_fini(&r);
}

static void reader_sees_uncheckpointed(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_fill(data, sizeof data, 4);
    assert_ok(rig_put(&r, "a", data, 30000, E));
    rig reader = r;
    reader.engram = NULL;
    assert_ok(rig_open(&reader, true, E));
    assert_ok(rig_put(&r, "b", data, 20000, E)); /* after the reader opened */
    assert_ok(eg_engram_checkpoint(r.engram, E));
    rig_expect(&reader, "a", data, 30000);
    rig_expect_absent(&reader, "b");
    rig_verify(&reader);
    assert_ok(eg_engram_close(&r.engram, E)); /* seals and trims under the reader */
    rig_expect(&reader, "a", data, 30000);
    assert_ok(eg_engram_close(&reader.engram, E));
    rig_fini(&r);
}

/* What a reader has not looked at yet is still there after the writer sealed and trimmed. */
static void reader_looks_late(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_fill(data, sizeof data, 14);
    assert_ok(rig_put(&r, "a", data, 60000, E));
    rig reader = r;
    reader.engram = NULL;
    assert_ok(rig_open(&reader, true, E));
    assert_ok(rig_put(&r, "b", data + 7, 50000, E));
    assert_ok(eg_engram_close(&r.engram, E));
    rig_expect(&reader, "a", data, 60000);
    rig_verify(&reader);
    assert_ok(eg_engram_close(&reader.engram, E));
    rig_fini(&r);
}

typedef struct opener {
    rig *rig;
    atomic_bool stop;
    int opened;
} opener;

/* Opens again and again, as info beside a running encode does; each time it is one whole version.
 */
static void *open_and_check(void *context)
{
    opener *o = context;
    while (!atomic_load(&o->stop)) {
        rig reader = *o->rig;
        reader.engram = NULL;
        engram_error error = {0};
        engram_status status = rig_open(&reader, true, &error);
        if (status != ENGRAM_OK) {
            print_error("reader %d: %s\n", o->opened, error.message);
            return o;
        }
        if (rig_findings(&reader) != 0)
            return o;
        eg_engram_close(&reader.engram, NULL);
        o->opened++;
    }
    return NULL;
}

static void readers_beside_a_writer(void **state)
{
    (void)state;
    rig r;
    pthread_t thread;
    void *failed = NULL;
    rig_init(&r);
    rig_fill(data, sizeof data, 15);
    opener o = {.rig = &r};
    assert_int_equal(pthread_create(&thread, NULL, open_and_check, &o), 0);
    for (size_t i = 0; i < 400; i++) {
        char name[24];
        snprintf(name, sizeof name, "f%zu", i % 50);
        assert_ok(rig_put(&r, name, data + i, 1 + (i * 997) % 30000, E));
        if (i % 60 == 59)
            assert_ok(eg_engram_checkpoint(r.engram, E));
    }
    atomic_store(&o.stop, true);
    pthread_join(thread, &failed);
    assert_null(failed);
    print_message("%d readers opened beside 400 commits\n", o.opened);
    assert_true(o.opened > 0);
    rig_verify(&r);
    rig_fini(&r);
}

typedef struct labels {
    uint64_t numbers[8];
    char texts[8][32];
    size_t count;
} labels;

static engram_status take_label(void *context, uint64_t number, uint64_t time_ns, eg_view label,
                                engram_error *error)
{
    labels *l = context;
    (void)error;
    assert_true(time_ns != 0);
    l->numbers[l->count] = number;
    snprintf(l->texts[l->count++], 32, "%.*s", (int)label.size, (const char *)label.data);
    return ENGRAM_OK;
}

static void label(rig *r, const char *text, uint64_t *number)
{
    eg_buffer ops = {0};
    eg_ops_label(&ops, (eg_view){(const uint8_t *)text, strlen(text)});
    assert_ok(eg_engram_commit(r->engram, &ops, number, E));
    eg_buffer_fini(&ops);
}

static void read_at(rig *r, uint64_t number, const uint8_t *bytes, size_t size)
{
    eg_version version;
    uint64_t inode;
    size_t got;
    static uint8_t found[sizeof data];
    assert_ok(eg_engram_pin_number(r->engram, number, &version, E));
    assert_int_equal(version.number, number);
    assert_ok(eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"f", 1}, &inode, E));
    assert_ok(eg_engram_read(r->engram, &version, inode, 0, found, sizeof found, &got, E));
    assert_int_equal(got, size);
    assert_memory_equal(found, bytes, size);
    eg_version_release(&version);
}

static void check_labels(rig *r, const uint64_t numbers[3])
{
    labels l = {0};
    assert_ok(eg_engram_labels(r->engram, take_label, &l, E));
    assert_int_equal(l.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(l.numbers[i], numbers[i]);
    assert_string_equal(l.texts[1], "two");
    read_at(r, numbers[0], data, 50000);
    read_at(r, numbers[1], data + 1, 60000);
    read_at(r, numbers[2], data + 2, 9);
    eg_version version;
    assert_int_equal(eg_engram_pin_number(r->engram, numbers[2] + 1, &version, NULL),
                     ENGRAM_NOT_FOUND);
    rig_verify(r);
}

static void labelled_versions_stay(void **state)
{
    (void)state;
    rig r;
    uint64_t numbers[3];
    rig_init(&r);
    rig_fill(data, sizeof data, 5);
    assert_ok(rig_put(&r, "f", data, 50000, E));
    label(&r, "one", &numbers[0]);
    assert_ok(rig_put(&r, "f", data + 1, 60000, E));
    label(&r, "two", &numbers[1]);
    assert_ok(eg_engram_checkpoint(r.engram, E));
    assert_ok(rig_put(&r, "f", data + 2, 9, E));
    label(&r, "three", &numbers[2]);
    check_labels(&r, numbers);
    rig_crash(&r);
    check_labels(&r, numbers);
    rig_reopen(&r);
    check_labels(&r, numbers);
    rig_fini(&r);
}

/* Chunks that no commit mentions vanish with a crash, and their ids stay unused. */
static void uncommitted_chunks_go(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    rig_fill(data, sizeof data, 6);
    assert_ok(rig_put(&r, "a", data, 20000, E));
    eg_buffer ops = {0};
    eg_chunk_ref *refs = NULL;
    size_t count;
    assert_ok(rig_chunks(&r, data + 20000, 40000, &refs, &count, &ops, E));
    eg_free(refs);
    eg_buffer_fini(&ops);
    rig_crash(&r);
    assert_int_equal(eg_engram_get_recovery(r.engram)->segments_rewritten, 1);
    eg_store_totals totals;
    assert_ok(eg_store_get_totals(eg_engram_store(r.engram), &totals, E));
    assert_int_equal(totals.chunks, 5);
    rig_expect(&r, "a", data, 20000);
    rig_verify(&r);
    rig_fini(&r);
}

static void newer_format(void **state)
{
    (void)state;
    rig r;
    rig_init(&r);
    assert_ok(eg_engram_close(&r.engram, E));
    char path[700];
    snprintf(path, sizeof path, "%s/MANIFEST.json", r.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    const char *body = "{\"format\":2}"; /* the checksum covers it as it stands: compact, sorted */
    fprintf(file, "{\"checksum\": \"%016llx\", \"engram\": %s}",
            (unsigned long long)XXH3_64bits(body, strlen(body)), body);
    fclose(file);
    engram_error error = {0};
    assert_int_equal(rig_open(&r, true, &error), ENGRAM_NEWER);
    assert_non_null(strstr(error.message, "upgrade"));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_and_open),
        cmocka_unit_test(files_survive),
        cmocka_unit_test(reader_sees_uncheckpointed),
        cmocka_unit_test(reader_looks_late),
        cmocka_unit_test(readers_beside_a_writer),
        cmocka_unit_test(labelled_versions_stay),
        cmocka_unit_test(uncommitted_chunks_go),
        cmocka_unit_test(newer_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
