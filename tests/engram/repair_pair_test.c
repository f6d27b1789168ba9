/* Repair: two files are damaged at once, and files that are whole but older than they should be. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engram/repair_rig.h"

/* ---- every two files ---- */

enum { SECTOR = 512 };

static void zero_middle(const bench *b, size_t file)
{
    static const uint8_t zeros[SECTOR];
    char path[FOLDER_PATH_MAX];
    uint64_t size = b->files.sizes[file];
    uint64_t at = strncmp(b->files.paths[file], "journal/", 8) == 0 ? 200 : size / 2;
    bench_path(b, file, path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    uint64_t left = size > at ? size - at : 0;
    assert_true(pwrite(fd, zeros, left < SECTOR ? (size_t)left : SECTOR, (off_t)at) >= 0);
    close(fd);
}

static void remove_it(const bench *b, size_t file)
{
    char path[FOLDER_PATH_MAX];
    bench_path(b, file, path);
    assert_int_equal(unlink(path), 0);
}

/* Without MANIFEST.json and the checkpoints nothing can be done. */
static bool is_hopeless(const bench *b, size_t i, size_t j)
{
    return strncmp(b->files.paths[j], "checkpoint/", 11) == 0 &&
           strcmp(b->files.paths[i], "MANIFEST.json") == 0;
}

static void try_pairs(bench *b, void (*first)(const bench *, size_t),
                      void (*second)(const bench *, size_t))
{
    static char name[300];
    for (size_t i = 0; i < b->files.count; i++)
        for (size_t j = i + 1; j < b->files.count; j++) {
            if (is_hopeless(b, i, j))
                continue;
            bench_name(b, i, "and", j);
            snprintf(name, sizeof name, "%s and %s", b->files.paths[i], b->files.paths[j]);
            damage_name = name;
            may_be_torn |= b->crashed && strncmp(b->files.paths[j], "journal/", 8) == 0;
            bench_copy(b);
            first(b, i);
            second(b, j);
            bench_judge(b);
        }
}

static void two_files(void **state)
{
    (void)state;
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, repair_rig_fill, crashed != 0);
        try_pairs(&b, zero_middle, zero_middle);
        try_pairs(&b, remove_it, zero_middle);
        bench_fini(&b);
    }
}

/* ---- an old MANIFEST.json ---- */

static char old_manifest[FOLDER_PATH_MAX];

/* As it was before the last checkpoint. */
static void fill_and_take_old(rig *r)
{
    char command[2 * FOLDER_PATH_MAX + 20];
    repair_rig_fill(r);
    rig_reopen(r);
    snprintf(old_manifest, sizeof old_manifest, "%s/old", r->temp.path);
    snprintf(command, sizeof command, "cp '%s/MANIFEST.json' '%s'", r->dir, old_manifest);
    assert_int_equal(system(command), 0);
    rig_write(r, "newer", (const uint8_t *)"newer", 5);
    rig_reopen(r);
    rig_write(r, "newest", (const uint8_t *)"newest", 6);
}

/* The checkpoint that it names is gone; the later one counts. */
static void old_manifest_is_back(void **state)
{
    (void)state;
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        char command[2 * FOLDER_PATH_MAX + 20];
        bench_init(&b, fill_and_take_old, crashed != 0);
        bench_copy(&b);
        damage_name = "MANIFEST.json is an old one";
        may_be_torn = false;
        snprintf(command, sizeof command, "cp '%s' '%s/MANIFEST.json'", old_manifest, b.rig.dir);
        assert_int_equal(system(command), 0);
        outcome o = bench_judge(&b);
        assert_true(o.needed);
        assert_int_equal(o.losses, 0);
        assert_int_equal(o.exact, stored_count);
        assert_ok(rig_open(&b.rig, true, E));
        rig_expect(&b.rig, "newest", (const uint8_t *)"newest", 6);
        bench_fini(&b);
    }
}

int main(void)
{
    repair_rig_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_files),
                                       cmocka_unit_test(old_manifest_is_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
