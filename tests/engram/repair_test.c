/* Repair: a fixture engram is damaged in every way that one file can be, and repaired.
 * (--stride N: every N-th byte is flipped, and every sector zeroed, not every other one.) */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engram/repair_rig.h"

enum { SECTOR = 512 };
static long stride = 4099 * TEST_STRIDE;
static uint64_t sector_step = 2 * SECTOR;

static void cut(bench *b, size_t file, uint64_t size)
{
    char path[FOLDER_PATH_MAX];
    bench_name(b, file, "cut to", size);
    bench_copy(b);
    bench_path(b, file, path);
    assert_int_equal(truncate(path, (off_t)size), 0);
    bench_judge(b);
}

static void overwrite(bench *b, size_t file, uint64_t at, const void *bytes, size_t size)
{
    char path[FOLDER_PATH_MAX];
    bench_copy(b);
    bench_path(b, file, path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)at), (ssize_t)size);
    close(fd);
    bench_judge(b);
}

static uint8_t byte_at(const bench *b, size_t file, uint64_t at)
{
    char path[FOLDER_PATH_MAX];
    uint8_t byte = 0;
    snprintf(path, sizeof path, "%s/%s", b->good, b->files.paths[file]);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    close(fd);
    return byte;
}

/* A sparse file's places that hold something; UINT64_MAX: none from at on. */
static uint64_t next_data(const bench *b, size_t file, uint64_t at)
{
    char path[FOLDER_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", b->good, b->files.paths[file]);
    int fd = open(path, O_RDONLY);
    off_t found = lseek(fd, (off_t)at, SEEK_DATA);
    close(fd);
    return found < 0 ? UINT64_MAX : (uint64_t)found;
}

static void nothing_to_do(void **state)
{
    (void)state;
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, repair_rig_fill, crashed != 0);
        damage_name = crashed ? "crashed, undamaged" : "undamaged";
        bench_copy(&b);
        outcome o = bench_judge(&b);
        assert_false(o.needed);
        assert_int_equal(o.exact, stored_count);
        bench_fini(&b);
    }
}

static void remove_each(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++) {
        char path[FOLDER_PATH_MAX];
        bench_name(b, i, "removed", 0);
        bench_copy(b);
        bench_path(b, i, path);
        assert_int_equal(unlink(path), 0);
        bench_judge(b);
    }
}

static void cut_each(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++) {
        uint64_t size = b->files.sizes[i];
        cut(b, i, 0);
        cut(b, i, size / 2);
        cut(b, i, size > 0 ? size - 1 : 0);
        cut(b, i, size > 100 ? 100 : size / 3);
    }
}

static void zero_each_sector(bench *b)
{
    static const uint8_t zeros[SECTOR];
    for (size_t i = 0; i < b->files.count; i++)
        for (uint64_t at = next_data(b, i, 0); at < b->files.sizes[i];
             at = next_data(b, i, at + sector_step)) {
            uint64_t left = b->files.sizes[i] - at;
            bench_name(b, i, "zeroed at", at);
            overwrite(b, i, at, zeros, left < SECTOR ? (size_t)left : SECTOR);
        }
}

static void flip_by_stride(bench *b)
{
    for (size_t i = 0; i < b->files.count; i++)
        for (uint64_t at = next_data(b, i, (uint64_t)(stride / 3)); at < b->files.sizes[i];
             at = next_data(b, i, at + (uint64_t)stride)) {
            uint8_t byte = byte_at(b, i, at) ^ (uint8_t)(1u << at % 8);
            bench_name(b, i, "flipped at", at);
            overwrite(b, i, at, &byte, 1);
        }
}

static void with_both(void (*damage)(bench *))
{
    for (int crashed = 0; crashed < 2; crashed++) {
        bench b;
        bench_init(&b, repair_rig_fill, crashed != 0);
        damage(&b);
        bench_fini(&b);
    }
}

static void files_removed(void **state)
{
    (void)state;
    with_both(remove_each);
}

static void files_cut(void **state)
{
    (void)state;
    with_both(cut_each);
}

static void sectors_zeroed(void **state)
{
    (void)state;
    with_both(zero_each_sector);
}

static void bits_flipped(void **state)
{
    (void)state;
    with_both(flip_by_stride);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0) {
        stride = strtol(argv[2], NULL, 10);
        sector_step = SECTOR;
    }
    if (stride < 1)
        return 2;
    repair_rig_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do), cmocka_unit_test(files_removed),
        cmocka_unit_test(files_cut),     cmocka_unit_test(sectors_zeroed),
        cmocka_unit_test(bits_flipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
