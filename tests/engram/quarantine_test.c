/* Moves into the quarantine that a crash has interrupted. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "engram/repair_rig.h"

static uint64_t last_segment(const char *dir)
{
    folder_listing files;
    uint64_t last = 0;
    folder_list(dir, &files);
    for (size_t i = 0; i < files.count; i++)
        if (strncmp(files.paths[i], "segments/", 9) == 0)
            last = strtoull(files.paths[i] + 9, NULL, 10);
    return last;
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[FOLDER_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *dir, const char *name, const char *text)
{
    char path[FOLDER_PATH_MAX], found[100] = "";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(found, sizeof found, file));
    assert_int_equal(fclose(file), 0);
    assert_string_equal(found, text);
}

/* A move that MANIFEST.json says is left. */
static void leave_move(const rig *r, char *file)
{
    eg_manifest manifest;
    assert_ok(eg_manifest_read(r->io, r->dir, &manifest, E));
    eg_moves_fini(&manifest.moves);
    manifest.moves = (eg_moves){.folder = (char *)"repair-x", .files = &file, .count = 1};
    assert_ok(eg_manifest_write(r->io, r->dir, &manifest, E));
    manifest.moves = (eg_moves){0};
    eg_manifest_fini(&manifest);
}

/* It was done, and the next writer's first segment gets the number. */
static void number_is_used_again(void **state)
{
    (void)state;
    bench b;
    char file[64], moved[100];
    bench_init(&b, repair_rig_fill, true);
    bench_copy(&b);
    snprintf(file, sizeof file, "segments/%08llu.seg",
             (unsigned long long)last_segment(b.rig.dir) + 1);
    snprintf(moved, sizeof moved, "quarantine/repair-x/%s", file);
    write_file(b.rig.dir, moved, "what was moved");
    leave_move(&b.rig, file);
    assert_ok(rig_open(&b.rig, false, E));
    expect_file(b.rig.dir, moved, "what was moved");
    assert_int_equal(rig_findings(&b.rig), 0);
    rig_reopen(&b.rig);
    rig_verify(&b.rig);
    bench_fini(&b);
}

/* It was not: then it is done first. */
static void move_is_left(void **state)
{
    (void)state;
    bench b;
    char file[64], moved[100];
    bench_init(&b, repair_rig_fill, true);
    bench_copy(&b);
    snprintf(file, sizeof file, "segments/%08llu.seg",
             (unsigned long long)last_segment(b.rig.dir) + 1);
    snprintf(moved, sizeof moved, "quarantine/repair-x/%s", file);
    write_file(b.rig.dir, file, "what is to be moved");
    leave_move(&b.rig, file);
    assert_ok(rig_open(&b.rig, true, E)); /* a reader moves nothing */
    assert_ok(eg_engram_close(&b.rig.engram, E));
    expect_file(b.rig.dir, file, "what is to be moved");
    assert_ok(rig_open(&b.rig, false, E));
    expect_file(b.rig.dir, moved, "what is to be moved");
    rig_verify(&b.rig);
    bench_fini(&b);
}

int main(void)
{
    repair_rig_init();
    const struct CMUnitTest tests[] = {cmocka_unit_test(number_is_used_again),
                                       cmocka_unit_test(move_is_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
