/* A disk that gets full: new data is refused while there is still room to end what is under way and to remove files, and
 * the engram goes on when there is room again. */
#include "engram/engram.h"
#include "engram/rig.h"
#include "fault/faulty_io.h"

enum { RESERVE = 192 << 20, KIB = 1 << 10, MIB = 1 << 20, BIG = 12 * MIB };
static const uint64_t disk_size = (uint64_t)1 << 40;
static uint8_t data[BIG];

typedef struct small_disk {
    rig r;
    eg_faulty *faulty;
} small_disk;

static void init(small_disk *d, uint64_t unused)
{
    assert_ok(eg_faulty_create(eg_io_posix(), &d->faulty));
    rig_init(&d->r);
    assert_ok(eg_engram_close(&d->r.engram, E));
    d->r.io = eg_faulty_io(d->faulty);
    eg_faulty_set_space(d->faulty, unused, disk_size);
    assert_ok(rig_open(&d->r, false, E));
    rig_fill(data, BIG, 3);
}

static void fini(small_disk *d)
{
    rig_verify(&d->r);
    assert_ok(eg_engram_close(&d->r.engram, E));
    d->r.io = eg_io_posix();
    assert_ok(rig_open(&d->r, false, E));
    rig_verify(&d->r);
    rig_fini(&d->r);
    eg_faulty_free(d->faulty);
}

static engram_status write_file(small_disk *d, const char *path, size_t size, engram_error *error)
{
    engram_transaction *tx = NULL;
    assert_ok(engram_begin(d->r.engram, NULL, &tx, E));
    engram_status status = engram_write(tx, path, data, size, NULL, error);
    if (status == ENGRAM_OK)
        return engram_commit(&tx, NULL, error);
    engram_abort(&tx);
    return status;
}

static void expect_refused(small_disk *d, const char *path, size_t size)
{
    engram_error error = {0};
    assert_int_equal(write_file(d, path, size, &error), ENGRAM_NO_SPACE);
    assert_non_null(strstr(error.message, "No space left for more in "));
    assert_non_null(strstr(error.message, "MB of its disk are free"));
}

static void a_large_file_is_refused_and_others_go_on(void **state)
{
    small_disk d;
    (void)state;
    init(&d, RESERVE + 64 * KIB);
    assert_ok(write_file(&d, "a", 100, E));
    expect_refused(&d, "large", BIG);
    assert_ok(write_file(&d, "b", 200, E));
    assert_ok(write_file(&d, "c", 10 * KIB, E));
    rig_expect_absent(&d.r, "large");
    eg_faulty_set_space(d.faulty, disk_size / 2, disk_size);
    assert_ok(write_file(&d, "large", BIG, E));
    rig_expect(&d.r, "large", data, BIG);
    rig_expect(&d.r, "b", data, 200);
    rig_expect(&d.r, "c", data, 10 * KIB);
    fini(&d);
}

static void files_are_removed_on_a_full_disk(void **state)
{
    small_disk d;
    (void)state;
    init(&d, RESERVE + 8 * MIB);
    assert_ok(write_file(&d, "a", MIB, E));
    eg_faulty_set_space(d.faulty, RESERVE - 1, disk_size);
    for (uint64_t i = 0; i < 100; i++) { /* what was seen before is used up */
        rig_fill(data, 60000, 10 + i);
        if (write_file(&d, "b", 60000, NULL) != ENGRAM_OK)
            break;
    }
    rig_fill(data, 300, 4);
    expect_refused(&d, "small", 300);
    assert_ok(rig_mkdir(&d.r, "d", E));
    assert_ok(rig_remove(&d.r, "a", E));
    assert_ok(eg_engram_checkpoint(d.r.engram, E));
    rig_expect_absent(&d.r, "a");
    fini(&d);
}

/* A sixteenth of a small disk is kept, not more than there is. */
static void a_small_disk_keeps_less(void **state)
{
    small_disk d;
    (void)state;
    init(&d, 20 * MIB);
    eg_faulty_set_space(d.faulty, 20 * MIB, 90 * MIB);
    assert_ok(write_file(&d, "a", MIB, E));
    eg_faulty_set_space(d.faulty, 5 * MIB, 90 * MIB);
    expect_refused(&d, "large", BIG);
    fini(&d);
}

static void a_disk_that_does_not_tell(void **state)
{
    small_disk d;
    (void)state;
    init(&d, RESERVE + 8 * MIB);
    assert_ok(write_file(&d, "a", 100, E));
    eg_faulty_io(d.faulty)->space = NULL;
    assert_ok(write_file(&d, "large", BIG, E));
    fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_is_refused_and_others_go_on),
        cmocka_unit_test(files_are_removed_on_a_full_disk),
        cmocka_unit_test(a_small_disk_keeps_less),
        cmocka_unit_test(a_disk_that_does_not_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
