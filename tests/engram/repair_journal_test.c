/* Repair: journals that are whole and yet not what they were, or end where a crash cut them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/repair_rig.h"

static uint8_t data[60000];

/* ---- the log ---- */

typedef struct log_end {
    eg_journal_end end;
    uint64_t transaction; /* of the last record */
} log_end;

static engram_status note_record(void *context, const eg_record *record, engram_error *error)
{
    log_end *log = context;
    (void)error;
    log->transaction = record->transaction;
    return ENGRAM_OK;
}

static void find_end(const rig *r, const char *dir, log_end *log)
{
    eg_manifest manifest;
    *log = (log_end){0};
    assert_ok(eg_manifest_read(r->io, r->dir, &manifest, E));
    log->transaction = manifest.state.transaction_next;
    assert_ok(
        eg_journal_read(r->io, dir, manifest.state.journal, 0, note_record, log, &log->end, E));
    eg_manifest_fini(&manifest);
}

/* One more transaction, as another writer made it. */
static void append_to_log(const rig *r, const eg_buffer *ops)
{
    eg_journal *journal = NULL;
    log_end log;
    uint64_t sequence;
    char dir[700];
    snprintf(dir, sizeof dir, "%s/journal", r->dir);
    find_end(r, dir, &log);
    assert_ok(eg_journal_open(r->io, dir, &log.end, &(eg_journal_options){.file_size = 1 << 20},
                              &journal, E));
    assert_ok(eg_journal_append(journal, log.transaction + 1, 1, (eg_view){ops->data, ops->size},
                                &sequence, E));
    assert_ok(eg_journal_close(&journal, NULL, E));
}

/* ---- an operation of a newer program ---- */

/* Refused, and no byte is changed. */
static void newer_operation(void **state)
{
    (void)state;
    static const uint8_t operation[] = {200, 4, 0, 0, 0, 1, 2, 3, 4};
    bench b;
    folder_listing before, after;
    telling t;
    engram_repaired done;
    eg_buffer ops = {0};
    bench_init(&b, repair_rig_fill, true);
    bench_copy(&b);
    eg_write_bytes(&ops, operation, sizeof operation);
    append_to_log(&b.rig, &ops);
    eg_buffer_fini(&ops);
    folder_list(b.rig.dir, &before);
    assert_int_equal(rig_open(&b.rig, true, NULL), ENGRAM_NEWER);
    for (int dry = 1; dry >= 0; dry--)
        assert_int_equal(rig_repair(&b.rig, dry != 0, &t, &done, NULL), ENGRAM_NEWER);
    folder_list(b.rig.dir, &after);
    assert_true(before.hash == after.hash);
    bench_fini(&b);
}

/* ---- more groups than may be versions in memory ---- */

enum { GROUPS = 3000, NAMED = 1000 };

/* No checkpoint comes in between. */
static void many_groups(rig *r)
{
    eg_engram_options o = {.journal_size = 1 << 30, .dirty_size = 1 << 30};
    eg_buffer ops = {0};
    repair_rig_forget();
    assert_ok(eg_engram_close(&r->engram, E));
    assert_ok(eg_engram_open(r->io, r->dir, &o, &r->engram, E));
    for (int i = 1; i <= GROUPS; i++)
        rig_write(r, "a", data + i, 100);
    eg_ops_snapshot(&ops, NAMED, (eg_view){(const uint8_t *)"named", 5});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
}

static engram_status count_version(void *context, const engram_retained *retained,
                                   engram_error *error)
{
    (void)retained, (void)error;
    ++*(size_t *)context;
    return ENGRAM_OK;
}

static void expect_at(rig *r, uint64_t number, const uint8_t *bytes)
{
    uint8_t found[200];
    size_t got;
    uint64_t inode;
    eg_version version;
    assert_ok(eg_engram_pin_number(r->engram, number, &version, E));
    assert_ok(eg_fs_lookup(version.root, (eg_view){(const uint8_t *)"a", 1}, &inode, E));
    assert_ok(eg_engram_read(r->engram, &version, inode, 0, found, sizeof found, &got, E));
    assert_int_equal(got, 100);
    assert_memory_equal(found, bytes, 100);
    eg_version_release(&version);
}

static void remove_manifest(const rig *r)
{
    char path[700];
    snprintf(path, sizeof path, "%s/MANIFEST.json", r->dir);
    assert_int_equal(unlink(path), 0);
}

static void versions_are_thinned(void **state)
{
    (void)state;
    bench b;
    telling t;
    engram_repaired done;
    size_t count = 0;
    bench_init(&b, many_groups, true);
    bench_copy(&b);
    remove_manifest(&b.rig);
    assert_ok(rig_repair(&b.rig, false, &t, &done, E));
    assert_int_equal(t.losses, 0);
    assert_int_equal(done.version, GROUPS + 1);
    assert_ok(rig_open(&b.rig, true, E));
    assert_ok(engram_versions(b.rig.engram, count_version, &count, E));
    assert_in_range(count, 500, 1030);
    expect_at(&b.rig, NAMED, data + NAMED);
    expect_at(&b.rig, GROUPS, data + GROUPS);
    rig_verify(&b.rig);
    bench_fini(&b);
}

/* ---- a crash that leaves the beginning of a group ---- */

static void group_is_cut(void **state)
{
    (void)state;
    bench b;
    telling t;
    engram_repaired done;
    eg_buffer ops = {0};
    bench_init(&b, repair_rig_fill, true);
    bench_copy(&b);
    eg_ops_unlink(&ops, EG_INODE_ROOT, (eg_view){(const uint8_t *)"c", 1}); /* and no root's hash */
    append_to_log(&b.rig, &ops);
    eg_buffer_fini(&ops);
    assert_ok(rig_repair(&b.rig, false, &t, &done, E));
    assert_false(done.needed);
    assert_ok(rig_open(&b.rig, false, E));
    rig_expect_absent(&b.rig, "c");
    rig_verify(&b.rig);
    bench_fini(&b);
}

/* ---- numbers that lost records gave out ---- */

typedef struct numbers {
    uint64_t version, inode, chunk;
} numbers;

static numbers given; /* before the crash */

static numbers numbers_of(rig *r)
{
    eg_version newest;
    assert_ok(eg_engram_pin(r->engram, &newest, E));
    numbers n = {newest.number, eg_engram_new_inode(r->engram),
                 eg_store_next_id(eg_engram_store(r->engram))};
    eg_version_release(&newest);
    return n;
}

static void fill_and_note(rig *r)
{
    repair_rig_fill(r);
    given = numbers_of(r);
}

static void zero_in_journal(const bench *b, uint64_t at)
{
    static const uint8_t zeros[16];
    for (size_t i = 0; i < b->files.count; i++) {
        char path[FOLDER_PATH_MAX];
        if (strncmp(b->files.paths[i], "journal/", 8) != 0)
            continue;
        bench_path(b, i, path);
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)at), sizeof zeros);
        close(fd);
    }
}

static void numbers_are_not_used_again(void **state)
{
    (void)state;
    bench b;
    telling t;
    engram_repaired done;
    bench_init(&b, fill_and_note, true);
    bench_copy(&b);
    zero_in_journal(&b, 100);
    assert_ok(rig_repair(&b.rig, false, &t, &done, E));
    assert_int_not_equal(t.losses, 0);
    assert_true(done.version > given.version);
    assert_ok(rig_open(&b.rig, false, E));
    numbers n = numbers_of(&b.rig);
    assert_true(n.version > given.version);
    assert_true(n.inode > given.inode);
    assert_true(n.chunk >= given.chunk);
    rig_write(&b.rig, "new", data, 5000);
    rig_reopen(&b.rig);
    rig_verify(&b.rig);
    bench_fini(&b);
}

int main(void)
{
    repair_rig_init();
    rig_fill(data, sizeof data, 77);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_operation), cmocka_unit_test(versions_are_thinned),
        cmocka_unit_test(group_is_cut), cmocka_unit_test(numbers_are_not_used_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
