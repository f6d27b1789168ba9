/* Damage: every byte of a small engram changed, one at a time (--stride N: every N-th). Opening,
 * verifying and reading all files then either names what is damaged or gives the exact bytes. Never
 * a crash, never wrong bytes. */
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "engram/rig.h"

static uint8_t data[12000];
static long stride = 1;

static struct {
    char paths[64][700];
    size_t count;
} files;

static int list_file(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about;
    (void)where;
    if (type == FTW_F && strstr(path, "/LOCK") == NULL)
        snprintf(files.paths[files.count++], sizeof *files.paths, "%s", path);
    return files.count == 64;
}

static void make(rig *r)
{
    rig_init(r);
    assert_ok(rig_mkdir(r, "dir", E));
    assert_ok(rig_put(r, "dir/a", data, 9000, E));
    memset(data + 9000, 'x', 3000);
    assert_ok(rig_put(r, "b", data + 9000, 3000, E));
    eg_buffer ops = {0};
    eg_ops_label(&ops, (eg_view){(const uint8_t *)"first", 5});
    assert_ok(eg_engram_commit(r->engram, &ops, NULL, E));
    eg_buffer_fini(&ops);
    assert_ok(eg_engram_close(&r->engram, E));
}

/* True when the file was read and is exact, false when it named damage. Wrong bytes fail the test.
 */
static bool read_exact(rig *r, const char *path, const uint8_t *bytes, size_t size)
{
    eg_version version;
    uint64_t number;
    size_t got = 0;
    static uint8_t found[sizeof data + 1];
    assert_ok(eg_engram_pin(r->engram, &version, E));
    engram_status status =
        eg_fs_lookup(version.root, (eg_view){(const uint8_t *)path, strlen(path)}, &number, NULL);
    if (status == ENGRAM_OK)
        status = eg_engram_read(r->engram, &version, number, 0, found, sizeof found, &got, NULL);
    eg_version_release(&version);
    assert_int_not_equal(status, ENGRAM_NOT_FOUND);
    if (status != ENGRAM_OK)
        return false;
    assert_int_equal(got, size);
    assert_memory_equal(found, bytes, size);
    return true;
}

/* Whether the damage was noticed. */
static bool noticed(rig *r)
{
    engram_error error = {0};
    engram_status status = rig_open(r, true, &error);
    if (status != ENGRAM_OK) {
        assert_true(status == ENGRAM_DAMAGED || status == ENGRAM_NEWER ||
                    status == ENGRAM_NOT_ENGRAM);
        assert_true(strlen(error.message) > 10);
        return true;
    }
    bool exact = read_exact(r, "dir/a", data, 9000);
    exact &= read_exact(r, "b", data + 9000, 3000);
    bool clean = rig_findings(r) == 0;
    assert_true(exact || !clean); /* what cannot be read, verify finds */
    assert_ok(eg_engram_close(&r->engram, E));
    return !clean;
}

static void flip(rig *r, const char *path, long offset, uint8_t mask)
{
    (void)r;
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    fputc(byte ^ mask, file);
    assert_int_equal(fclose(file), 0);
}

static void every_byte(void **state)
{
    (void)state;
    rig r;
    make(&r);
    assert_false(noticed(&r)); /* undamaged */
    nftw(r.dir, list_file, 16, FTW_PHYS);
    long flips = 0, seen = 0;
    for (size_t i = 0; i < files.count; i++) {
        struct stat about;
        assert_int_equal(stat(files.paths[i], &about), 0);
        long here = 0, here_seen = 0;
        for (long offset = (long)(i % (size_t)stride); offset < about.st_size; offset += stride) {
            uint8_t mask = (uint8_t)(1u << (offset % 8));
            flip(&r, files.paths[i], offset, mask);
            here++;
            here_seen += noticed(&r);
            flip(&r, files.paths[i], offset, mask);
        }
        print_message("%-24s %6lld bytes, %5ld changed, %5ld noticed\n",
                      strrchr(files.paths[i], '/') + 1, (long long)about.st_size, here, here_seen);
        flips += here;
        seen += here_seen;
    }
    assert_false(noticed(&r)); /* as it was */
    assert_true(flips > 100);
    assert_true(seen * 2 >
                flips / 2); /* most bytes of so small an engram are padding: those are harmless */
    rig_fini(&r);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        stride = strtol(argv[2], NULL, 10);
    if (stride < 1)
        return 2;
    rig_fill(data, sizeof data, 11);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
