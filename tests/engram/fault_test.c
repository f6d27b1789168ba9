/* Any call to the disk may fail, once or for ever: what was acknowledged stays, what was not is
 * whole or absent, and the engram verifies clean when it is opened again. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engram/rig.h"
#include "fault/faulty_io.h"

static uint8_t data[40000];

/* Puts up to five files and closes; returns how many puts were acknowledged. */
static int workload(rig *r)
{
    static const char *const names[] = {"a", "b", "a", "c", "d"};
    int done = 0;
    if (rig_open(r, false, NULL) != ENGRAM_OK)
        return 0;
    for (int i = 0; i < 5; i++) {
        if (rig_put(r, names[i], data + i, 8000 + 3000 * (size_t)i, NULL) != ENGRAM_OK)
            break;
        done++;
        if (i == 2 && eg_engram_checkpoint(r->engram, NULL) != ENGRAM_OK)
            break;
    }
    eg_engram_close(&r->engram, NULL);
    return done;
}

/* Content of name after `done` acknowledged puts: at least that state, or the one put in flight
 * more. */
static void check(rig *r, int done)
{
    static const char *const names[] = {"a", "b", "a", "c", "d"};
    eg_version version;
    assert_ok(eg_engram_pin(r->engram, &version, E));
    assert_true(version.number == (uint64_t)done || version.number == (uint64_t)done + 1);
    int puts = (int)version.number;
    eg_version_release(&version);
    for (int i = 0; i < puts; i++) {
        bool replaced = i == 0 && puts > 2;
        if (!replaced)
            rig_expect(r, names[i], data + i, 8000 + 3000 * (size_t)i);
    }
}

static void fail_each_call(unsigned kinds, int os_error, unsigned how)
{
    eg_faulty *faulty = NULL;
    int tried = 0;
    assert_ok(eg_faulty_create(eg_io_posix(), &faulty));
    for (uint64_t n = 1;; n += TEST_STRIDE) {
        rig r;
        rig_init(&r);
        assert_ok(eg_engram_close(&r.engram, E));
        r.io = eg_faulty_io(faulty);
        eg_faulty_fail_at(faulty, kinds, n, os_error, how);
        int done = workload(&r);
        uint64_t hits = eg_faulty_hits(faulty);
        eg_faulty_fail_at(faulty, kinds, 0, 0, 0);
        r.io = eg_io_posix();
        assert_ok(rig_open(&r, true, E)); /* a reader sees it before anything is recovered */
        check(&r, done);
        assert_ok(eg_engram_close(&r.engram, E));
        assert_ok(rig_open(&r, false, E));
        check(&r, done);
        rig_verify(&r);
        assert_ok(rig_put(&r, "later", data, 100, E));
        rig_fini(&r);
        if (hits == 0)
            break;
        tried++;
    }
    print_message("%d calls failed in turn\n", tried);
    assert_true(tried > 20 / TEST_STRIDE);
    eg_faulty_free(faulty);
}

static void input_output_error_once(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_ANY, EIO, EG_FAULTY_ONCE);
}

static void input_output_error_for_ever(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_ANY, EIO, EG_FAULTY_FOREVER);
}

static void disk_full_with_short_writes(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_GROWING, ENOSPC, EG_FAULTY_FOREVER | EG_FAULTY_SHORT);
}

int main(void)
{
    if (access("/dev/shm", W_OK) ==
        0) /* hundreds of engrams: the disk itself is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    rig_fill(data, sizeof data, 9);
    const struct CMUnitTest tests[] = {cmocka_unit_test(input_output_error_once),
                                       cmocka_unit_test(input_output_error_for_ever),
                                       cmocka_unit_test(disk_full_with_short_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
