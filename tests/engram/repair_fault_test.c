/* Repair while calls to the disk or allocations fail: it says so, and a repair after it makes of
 * the engram what it would have made at once. (--stride N: every N-th call or allocation fails in
 * turn.) */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/repair_rig.h"
#include "fault/faulty_io.h"

static long stride = 23 * TEST_STRIDE;

/* ---- damages ---- */

static void remove_file(bench *b, const char *name)
{
    char path[FOLDER_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", b->rig.dir, name);
    assert_int_equal(unlink(path), 0);
}

static void zero(bench *b, const char *name, uint64_t at, size_t size)
{
    static const uint8_t zeros[4096];
    char path[FOLDER_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", b->rig.dir, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, zeros, size, (off_t)at), (ssize_t)size);
    close(fd);
}

/* The first file in a folder. */
static const char *first_in(const bench *b, const char *folder)
{
    for (size_t i = 0; i < b->files.count; i++)
        if (strncmp(b->files.paths[i], folder, strlen(folder)) == 0)
            return b->files.paths[i];
    fail();
    return NULL;
}

static void damage_parts(bench *b)
{
    zero(b, "tree/00000001.nodes", 300, 64);
    zero(b, first_in(b, "segments/"), 4200, 64);
    zero(b, first_in(b, "checkpoint/"), 200, 64);
}

static void damage_log(bench *b)
{
    remove_file(b, "MANIFEST.json");
    zero(b, first_in(b, "journal/"), 300, 64);
}

static const struct damage {
    const char *name;
    void (*make)(bench *b);
    bool crashed;
} damages[] = {{"a node, a segment and the checkpoint", damage_parts, false},
               {"the manifest and the journal", damage_log, true}};
enum { DAMAGES = sizeof damages / sizeof *damages };

/* ---- failing, and again ---- */

typedef struct trial {
    bench bench;
    const struct damage *damage;
    size_t exact; /* files after a repair in which nothing failed */
    bool journal_is_lost;
    eg_faulty *faulty;
} trial;

static void start(trial *t)
{
    bench_copy(&t->bench);
    t->damage->make(&t->bench);
    bench_remember(&t->bench);
}

static void trial_init(trial *t, const struct damage *damage)
{
    telling told;
    engram_repaired done;
    size_t lost;
    *t = (trial){.damage = damage};
    damage_name = damage->name;
    bench_init(&t->bench, repair_rig_fill, damage->crashed);
    start(t);
    assert_ok(rig_repair(&t->bench.rig, false, &told, &done, E));
    assert_true(done.needed);
    t->journal_is_lost = told.journal_is_lost;
    t->exact = repair_check(&t->bench.rig, true, &lost);
    assert_ok(eg_faulty_create(eg_io_posix(), &t->faulty));
}

static void trial_fini(trial *t)
{
    bench_fini(&t->bench);
    eg_faulty_free(t->faulty);
}

/* After what may have failed at any point. */
static void finish(trial *t, long n)
{
    telling told;
    engram_repaired done;
    size_t lost;
    rig *r = &t->bench.rig;
    assert_ok(rig_repair(r, false, &told, &done, E));
    size_t exact = repair_check(r, true, &lost);
    if (exact != t->exact)
        fail_msg("%s, %ld: %zu files are exact, not %zu", t->damage->name, n, exact, t->exact);
    repair_use(r, lost);
    bench_check_kept(&t->bench, t->journal_is_lost);
}

static void fail_each_call(trial *t, unsigned kinds, int os_error, unsigned how)
{
    telling told;
    engram_repaired done;
    rig *r = &t->bench.rig;
    for (long n = 1;; n += stride) {
        start(t);
        r->io = eg_faulty_io(t->faulty);
        eg_faulty_fail_at(t->faulty, kinds, (uint64_t)n, os_error, how);
        engram_status status = rig_repair(r, false, &told, &done, NULL);
        uint64_t hits = eg_faulty_hits(t->faulty);
        eg_faulty_fail_at(t->faulty, kinds, 0, 0, 0);
        r->io = eg_io_posix();
        if (status == ENGRAM_OK && hits != 0)
            fail_msg("%s: call %ld failed, and repair did not say so", t->damage->name, n);
        finish(t, n);
        if (hits == 0)
            return;
    }
}

static void fail_each_allocation(trial *t)
{
    telling told;
    engram_repaired done;
    for (long n = 1;; n += stride * 3) {
        start(t);
        eg_alloc_fail_at(n, false);
        engram_status status = rig_repair(&t->bench.rig, false, &told, &done, NULL);
        long count = eg_alloc_count();
        eg_alloc_fail_at(0, false);
        if (status != ENGRAM_NO_MEMORY && status != ENGRAM_OK) /* some can be done without */
            fail_msg("%s: allocation %ld failed: %s", t->damage->name, n,
                     engram_status_name(status));
        finish(t, n);
        if (count < n)
            return;
    }
}

static void disk_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < DAMAGES; i++) {
        trial t;
        trial_init(&t, &damages[i]);
        fail_each_call(&t, EG_FAULTY_ANY, EIO, EG_FAULTY_ONCE);
        fail_each_call(&t, EG_FAULTY_ANY, EIO, EG_FAULTY_FOREVER);
        fail_each_call(&t, EG_FAULTY_GROWING, ENOSPC, EG_FAULTY_FOREVER | EG_FAULTY_SHORT);
        trial_fini(&t);
    }
}

static void memory_is_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < DAMAGES; i++) {
        trial t;
        trial_init(&t, &damages[i]);
        fail_each_allocation(&t);
        trial_fini(&t);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtol(argv[2], NULL, 10);
    if (stride < 1)
        return 2;
    repair_rig_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(disk_fails),
                                       cmocka_unit_test(memory_is_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
