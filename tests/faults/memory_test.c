/* The n-th allocation fails: see trial.h for what must hold then. */
#include <unistd.h>

#include "base/memory.h"
#include "faults/trial.h"

static trial_arguments arguments;

typedef struct plan {
    bool forever, armed, struck;
    uint64_t n;
} plan;

static bool has_struck(void *context)
{
    plan *p = context;
    if (p->armed)
        p->struck |= eg_alloc_count() >= (long)p->n;
    return p->struck;
}

static void arm(void *context, uint64_t n)
{
    plan *p = context;
    p->n = n;
    p->struck = false;
    p->armed = true;
    eg_alloc_fail_at((long)n, p->forever);
}

static void disarm(void *context)
{
    plan *p = context;
    has_struck(p);
    p->armed = false;
    eg_alloc_fail_at(0, false);
}

static void fail_each_allocation(bool forever, bool with_checkpointer)
{
    trial_rig rig;
    plan p = {.forever = forever};
    trial_faults faults = {.io = eg_io_posix(),
                           .context = &p,
                           .forever = forever,
                           .arm = arm,
                           .disarm = disarm,
                           .has_struck = has_struck};
    eg_alloc_fail_at(0, false); /* a test that failed before this one may have left it on */
    trial_rig_init(&rig, arguments.seed, arguments.steps);
    rig.with_checkpointer = with_checkpointer;
    trial_run_all(&rig, &faults, &arguments);
    trial_rig_fini(&rig);
}

static void once(void **state)
{
    (void)state;
    fail_each_allocation(false, false);
}

static void for_ever(void **state)
{
    (void)state;
    fail_each_allocation(true, false);
}

static void once_beside_a_checkpointer(void **state)
{
    (void)state;
    fail_each_allocation(false, true);
}

int main(int argc, char **argv)
{
    trial_arguments_read(&arguments, argc, argv);
    if (access("/dev/shm", W_OK) == 0) /* thousands of engrams: the disk is not what is tested */
        setenv("TMPDIR", "/dev/shm", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(once), cmocka_unit_test(for_ever),
                                       cmocka_unit_test(once_beside_a_checkpointer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
