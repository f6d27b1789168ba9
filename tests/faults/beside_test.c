/* What goes on beside commits: checkpoints, snapshots, verification. */
#include <pthread.h>
#include <stdatomic.h>

#include "faults/trial.h"

enum { WRITERS = 4, STEPS = 300, ROUNDS = 40 };

typedef struct work {
    pthread_t thread;
    struct engram *engram;
    load load;
    char why[512]; /* empty: all went well */
} work;

static void *write_steps(void *context)
{
    work *w = context;
    for (int i = 0; i < STEPS; i++) {
        load_step step;
        uint64_t version;
        engram_error error = {0};
        load_plan(&w->load, &step);
        if (load_act(w->engram, &w->load, &step, &version, &error) != ENGRAM_OK) {
            snprintf(w->why, sizeof w->why, "step %d: %.400s", i, error.message);
            return NULL;
        }
        load_apply(&w->load, &step, version);
    }
    return NULL;
}

typedef struct rig {
    temp_dir temp;
    struct engram *engram;
    work works[WRITERS];
} rig;

#define need_ok(call)                                                                              \
    do {                                                                                           \
        engram_error need_error = {0}, *E = &need_error;                                           \
        if ((call) != ENGRAM_OK)                                                                   \
            fail_msg("%s: %s", #call, need_error.message);                                         \
    } while (0)

static void start(rig *r)
{
    load loads[WRITERS];
    char dir[600];
    eg_engram_options options = trial_options();
    const engram_retention few = {.last = 4};
    assert_int_equal(temp_dir_init(&r->temp), 0);
    snprintf(dir, sizeof dir, "%s/beside.engram", r->temp.path);
    for (int i = 0; i < WRITERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        load_init(&loads[i], name, (uint64_t)i);
    }
    need_ok(engram_create(dir, &(engram_format){.chunk = "fixed:4096"}, E));
    need_ok(eg_engram_open(eg_io_posix(), dir, &options, &r->engram, E));
    need_ok(load_prepare(r->engram, loads, WRITERS, E));
    need_ok(engram_set_retention(r->engram, &few, E));
    for (int i = 0; i < WRITERS; i++) {
        r->works[i] = (work){.engram = r->engram, .load = loads[i]};
        assert_int_equal(pthread_create(&r->works[i].thread, NULL, write_steps, &r->works[i]), 0);
    }
}

static void finish(rig *r)
{
    for (int i = 0; i < WRITERS; i++)
        pthread_join(r->works[i].thread, NULL);
    for (int i = 0; i < WRITERS; i++) {
        work *w = &r->works[i];
        if (w->why[0] != 0 || !load_check(r->engram, &w->load, w->why, sizeof w->why))
            fail_msg("%s: %s", w->load.name, w->why);
        load_fini(&w->load);
    }
    need_ok(engram_close(&r->engram, E));
    temp_dir_fini(&r->temp);
}

/* A version that a snapshot names stays, whatever a checkpoint that was begun before makes of the
 * others. */
static void snapshots_beside_checkpoints(void **state)
{
    static rig r; /* threads of a test that failed live on */
    (void)state;
    start(&r);
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "round-%d", i);
        need_ok(engram_snapshot_create(r.engram, name, NULL, E));
        need_ok(engram_checkpoint(r.engram, E));
        for (int j = 0; j <= i; j++) {
            engram_view *view = NULL;
            snprintf(name, sizeof name, "round-%d", j);
            need_ok(engram_pin_at(r.engram, name, &view, E));
            engram_unpin(&view);
        }
    }
    finish(&r);
}

static void fail_on_problem(void *context, const char *message)
{
    (void)context;
    print_message("verify: %s\n", message);
}

/* The root bundle is counted on while it is compared. */
static void verification_beside_commits(void **state)
{
    static rig r; /* threads of a test that failed live on */
    (void)state;
    start(&r);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t problems = 0;
        eg_verify_options options = {.subset = 0.01, .problem = fail_on_problem};
        need_ok(eg_engram_verify(r.engram, &options, &problems, E));
        assert_int_equal(problems, 0);
    }
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(snapshots_beside_checkpoints),
                                       cmocka_unit_test(verification_beside_commits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
