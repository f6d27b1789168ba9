/* Disks that fail in the middle of a run: the engram stays whole, and what it holds are whole
 * files. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "fault/faulty_io.h"
#include "ingest/ingest_rig.h"

enum { FILES = 12 };

typedef struct fault_rig {
    ingest_rig r;
    eg_faulty *faulty;
} fault_rig;

static size_t file_size(int i)
{
    return (size_t)i * i * 1500;
}

static int set_up(void **state)
{
    fault_rig *f = malloc(sizeof *f);
    char name[20];
    ingest_rig_init(&f->r);
    assert_int_equal(eg_faulty_create(eg_io_posix(), &f->faulty), ENGRAM_OK);
    assert_ok(eg_engram_close(&f->r.engram.engram, E));
    f->r.engram.io = eg_faulty_io(f->faulty);
    tree_mkdir(&f->r, "dir");
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "dir/f%d", i);
        tree_fill(&f->r, name, file_size(i), (uint64_t)i + 100);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fault_rig *f = *state;
    ingest_rig_fini(&f->r);
    eg_faulty_free(f->faulty);
    free(f);
    return 0;
}

static void new_engram(fault_rig *f)
{
    char command[900];
    eg_engram_config config = eg_engram_config_default;
    config.chunk = (eg_chunk_config){EG_CHUNK_FIXED, 4096};
    snprintf(command, sizeof command, "rm -rf '%s'", f->r.engram.dir);
    assert_int_equal(system(command), 0);
    assert_ok(eg_engram_create(f->r.engram.io, f->r.engram.dir, &config, E));
    assert_ok(rig_open(&f->r.engram, false, E));
}

/* Every file that is there is whole. Returns how many there are. */
static int expect_whole_files(fault_rig *f)
{
    eg_version version;
    char name[20];
    uint64_t number;
    uint8_t *bytes = malloc(file_size(FILES) + 8);
    int count = 0;
    assert_ok(eg_engram_pin(f->r.engram.engram, &version, E));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "dir/f%d", i);
        if (eg_fs_lookup(version.root, (eg_view){(const uint8_t *)name, strlen(name)}, &number,
                         NULL) != ENGRAM_OK)
            continue;
        rig_fill(bytes, file_size(i), (uint64_t)i + 100);
        rig_expect(&f->r.engram, name, bytes, file_size(i));
        count++;
    }
    eg_version_release(&version);
    free(bytes);
    return count;
}

/* One run with the n-th call failing. False when it made fewer calls. */
static bool run_with_fault(fault_rig *f, uint64_t n, int os_error, unsigned how)
{
    eg_ingest_stats stats;
    engram_error error = {0};
    new_engram(f);
    eg_faulty_fail_at(f->faulty, EG_FAULTY_ANY, n, os_error, how);
    engram_status status = ingest_in(&f->r, &stats, &error);
    bool hit = eg_faulty_hits(f->faulty) != 0;
    eg_faulty_fail_at(f->faulty, EG_FAULTY_ANY, 0, 0, 0);
    assert_true(status == ENGRAM_OK || error.message[0] != 0);
    eg_engram_close(&f->r.engram.engram, NULL);
    assert_ok(rig_open(&f->r.engram, false, E));
    rig_verify(&f->r.engram);
    int whole = expect_whole_files(f);
    if (status == ENGRAM_OK)
        assert_int_equal(whole + (int)f->r.issue_count, FILES);
    issues_clear(&f->r);
    assert_ok(eg_engram_close(&f->r.engram.engram, E));
    return hit;
}

static void test_ingest_with_a_failing_call(void **state)
{
    uint64_t n = 1, step = 1;
    for (; run_with_fault(*state, n, EIO, EG_FAULTY_ONCE); n += step)
        step = 1 + n / 12;
    assert_true(n > 20);
}

static void test_ingest_on_a_full_disk(void **state)
{
    uint64_t n = 1, step = 1;
    for (; run_with_fault(*state, n, ENOSPC, EG_FAULTY_FOREVER | EG_FAULTY_SHORT); n += step)
        step = 1 + n / 10;
    assert_true(n > 20);
}

static void test_file_that_cannot_be_read(void **state)
{
    fault_rig *f = *state;
    eg_ingest_stats stats;
    new_engram(f);
    eg_faulty_fail_at(f->faulty, EG_FAULTY_READ_SOME, 3, EIO, EG_FAULTY_ONCE);
    assert_ok(ingest_in(&f->r, &stats, E));
    assert_int_equal(eg_faulty_hits(f->faulty), 1);
    assert_int_equal(stats.issues, 1);
    assert_int_equal(stats.files, FILES - 1);
    assert_true(issues_have(&f->r, "dir/f"));
    assert_int_equal(expect_whole_files(f), FILES - 1);
    rig_verify(&f->r.engram);
}

static void test_extract_on_a_full_disk(void **state)
{
    fault_rig *f = *state;
    eg_ingest_stats stats;
    eg_extract_stats extracted;
    new_engram(f);
    assert_ok(ingest_in(&f->r, &stats, E));
    for (uint64_t n = 1;; n++) {
        engram_error error = {0};
        remove_out(&f->r);
        eg_faulty_fail_at(f->faulty, EG_FAULTY_WRITE, n, ENOSPC, EG_FAULTY_SHORT);
        engram_status status = extract_out(&f->r, &extracted, &error);
        bool hit = eg_faulty_hits(f->faulty) != 0;
        eg_faulty_fail_at(f->faulty, EG_FAULTY_WRITE, 0, 0, 0);
        if (!hit)
            break;
        assert_int_equal(status, ENGRAM_NO_SPACE);
        assert_non_null(strstr(error.message, "dir/f"));
        char command[900]; /* what is there is whole */
        snprintf(
            command, sizeof command,
            "cd '%s' && find dir -type f | while read f; do cmp -s $f ../in/$f || exit 1; done",
            f->r.out);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(f->r.issue_count, 0);
    assert_round_trip(&f->r);
}

/* Memory that runs out at any one allocation. */
static void test_memory(void **state)
{
    fault_rig *f = *state;
    long step = 1;
    new_engram(f);
    tree_hard_link(&f->r, "dir/f2", "again");
    for (long n = 1;; n += step) {
        eg_ingest_stats stats;
        eg_extract_stats extracted;
        engram_error error = {0};
        eg_alloc_fail_at(n, false);
        engram_status status = ingest_in(&f->r, &stats, &error);
        bool reached = eg_alloc_count() >= n;
        eg_alloc_fail_at(0, false);
        assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        if (status != ENGRAM_OK && eg_engram_close(&f->r.engram.engram, NULL) != ENGRAM_OK)
            assert_null(f->r.engram.engram);
        if (f->r.engram.engram == NULL)
            assert_ok(rig_open(&f->r.engram, false, E));
        if (status == ENGRAM_OK) {
            remove_out(&f->r);
            error = (engram_error){0};
            eg_alloc_fail_at(1 + n % 150, false);
            status = extract_out(&f->r, &extracted, &error);
            eg_alloc_fail_at(0, false);
            assert_true(status == ENGRAM_OK || status == ENGRAM_NO_MEMORY);
        }
        if (!reached)
            break;
        step = 1 + n / 25;
    }
    rig_verify(&f->r.engram);
    assert_round_trip(&f->r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ingest_with_a_failing_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ingest_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_that_cannot_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_extract_on_a_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
