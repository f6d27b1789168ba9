/* The n-th call to the disk fails: see trial.h for what must hold then. */
#include <errno.h>
#include <unistd.h>

#include "fault/faulty_io.h"
#include "faults/trial.h"

typedef struct plan {
    eg_faulty *faulty;
    unsigned kinds, how;
    int os_error;
    bool struck; /* by the plan that was disarmed */
} plan;

static trial_arguments arguments;

static void arm(void *context, uint64_t n)
{
    plan *p = context;
    p->struck = false;
    eg_faulty_fail_at(p->faulty, p->kinds, n, p->os_error, p->how);
}

static void disarm(void *context)
{
    plan *p = context;
    p->struck |= eg_faulty_hits(p->faulty) != 0;
    eg_faulty_fail_at(p->faulty, 0, 0, 0, 0);
}

static bool has_struck(void *context)
{
    plan *p = context;
    return p->struck || eg_faulty_hits(p->faulty) != 0;
}

static void fail_each_call(unsigned kinds, int os_error, unsigned how, bool with_checkpointer)
{
    trial_rig rig;
    plan p = {.kinds = kinds, .how = how, .os_error = os_error};
    assert_int_equal(eg_faulty_create(eg_io_posix(), &p.faulty), ENGRAM_OK);
    trial_faults faults = {.io = eg_faulty_io(p.faulty),
                           .context = &p,
                           .forever = (how & EG_FAULTY_FOREVER) != 0,
                           .arm = arm,
                           .disarm = disarm,
                           .has_struck = has_struck};
    trial_rig_init(&rig, arguments.seed, arguments.steps);
    rig.with_checkpointer = with_checkpointer;
    trial_run_all(&rig, &faults, &arguments);
    trial_rig_fini(&rig);
    eg_faulty_free(p.faulty);
}

static void any_call_once(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_ANY, EIO, EG_FAULTY_ONCE, false);
}

static void any_call_for_ever(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_ANY, EIO, EG_FAULTY_FOREVER, false);
}

static void any_call_beside_a_checkpointer(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_ANY, EIO, EG_FAULTY_ONCE, true);
}

static void disk_full_once(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_GROWING, ENOSPC, EG_FAULTY_ONCE | EG_FAULTY_SHORT, false);
}

static void disk_full_for_ever(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_GROWING, ENOSPC, EG_FAULTY_FOREVER | EG_FAULTY_SHORT, false);
}

static void half_a_write(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_WRITE, EIO, EG_FAULTY_ONCE | EG_FAULTY_SHORT, false);
}

static void a_sync(void **state)
{
    (void)state;
    fail_each_call(EG_FAULTY_SYNC | EG_FAULTY_SYNC_DIR, EIO, EG_FAULTY_ONCE, false);
}

int main(int argc, char **argv)
{
    trial_arguments_read(&arguments, argc, argv);
    if (access("/dev/shm", W_OK) ==
        0) /* thousands of engrams: the disk itself is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_call_once),
                                       cmocka_unit_test(any_call_for_ever),
                                       cmocka_unit_test(disk_full_once),
                                       cmocka_unit_test(disk_full_for_ever),
                                       cmocka_unit_test(half_a_write),
                                       cmocka_unit_test(a_sync),
                                       cmocka_unit_test(any_call_beside_a_checkpointer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
