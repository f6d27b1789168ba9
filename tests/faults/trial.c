#include "faults/trial.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engram/internal.h"

/* A rule is broken; says at which trial. */
static uint64_t trial_seed, trial_number;
#define broken(...)                                                                                \
    do {                                                                                           \
        print_message("seed %zu, trial %zu:\n", (size_t)trial_seed, (size_t)trial_number);         \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)
#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken("%s", #condition);                                                              \
    } while (0)

enum { TEMPLATE_STEPS = 30, HANGS_AFTER_S = 120, STEPS_AFTER = 3 };

/* ---- directories ---- */

static void run_command(const char *format, const char *a, const char *b)
{
    char command[2048];
    snprintf(command, sizeof command, format, a, b);
    need(system(command) == 0);
}

void trial_copy(const char *from, const char *to)
{
    run_command("cp -r --sparse=always '%s' '%s'", from, to);
}

void trial_remove(const char *dir)
{
    run_command("rm -rf '%s'%s", dir, "");
}

size_t trial_open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    need(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* ---- opening ---- */

eg_engram_options trial_options(void)
{
    return (eg_engram_options){.segment_size = 256 << 10,
                               .journal_size = 96 << 10,
                               .journal_file_size = 32 << 10,
                               .cache_size = 64 << 10,
                               .dirty_size = 64 << 10,
                               .checkpoint_s = 3600,
                               .small_size = 8 << 10,
                               .group_ops = 8};
}

static engram_status open_trial(const trial_rig *rig, eg_io *io, const char *dir, bool read_only,
                                eg_engram **engram, engram_error *error)
{
    eg_engram_options options = trial_options();
    options.read_only = read_only;
    options.by_hand = !rig->with_checkpointer;
    return eg_engram_open(io, dir, &options, engram, error);
}

static eg_engram *open_well(const trial_rig *rig, const char *dir, bool read_only)
{
    engram_error error = {0};
    eg_engram *engram = NULL;
    if (open_trial(rig, eg_io_posix(), dir, read_only, &engram, &error) != ENGRAM_OK)
        broken("opening to %s failed: %s", read_only ? "read" : "write", error.message);
    return engram;
}

static void close_well(eg_engram **engram)
{
    engram_error error = {0};
    if (eg_engram_close(engram, &error) != ENGRAM_OK)
        broken("closing failed: %s", error.message);
}

/* ---- working ---- */

static void work_well(eg_engram *engram, load *l, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        load_step step;
        uint64_t version;
        engram_error error = {0};
        load_plan(l, &step);
        if (load_act(engram, l, &step, &version, &error) != ENGRAM_OK)
            broken("step %zu failed: %s", (size_t)l->steps, error.message);
        load_apply(l, &step, version);
    }
}

static void expect(eg_engram *engram, const load *l, const char *when)
{
    char why[512];
    if (!load_check(engram, l, why, sizeof why))
        broken("%s, after %zu steps: %s", when, (size_t)l->steps, why);
}

void trial_rig_init(trial_rig *rig, uint64_t seed, size_t steps)
{
    engram_error error = {0};
    *rig = (trial_rig){.steps = steps};
    trial_seed = seed;
    need(temp_dir_init(&rig->temp) == 0);
    snprintf(rig->model, sizeof rig->model, "%s/model.engram", rig->temp.path);
    snprintf(rig->dir, sizeof rig->dir, "%s/trial.engram", rig->temp.path);
    load_init(&rig->start, "load", seed);
    eg_engram_config config = eg_engram_config_default;
    config.chunk = (eg_chunk_config){EG_CHUNK_FIXED, LOAD_CHUNK};
    if (eg_engram_create(eg_io_posix(), rig->dir, &config, &error) != ENGRAM_OK)
        broken("%s", error.message);
    eg_engram *engram = open_well(rig, rig->dir, false);
    if (load_prepare(engram, &rig->start, 1, &error) != ENGRAM_OK)
        broken("%s", error.message);
    work_well(engram, &rig->start, TEMPLATE_STEPS);
    trial_copy(rig->dir, rig->model); /* as if the process had been killed here */
    close_well(&engram);
    trial_remove(rig->dir);
}

void trial_rig_fini(trial_rig *rig)
{
    load_fini(&rig->start);
    temp_dir_fini(&rig->temp);
}

/* ---- a trial ---- */

typedef struct trial {
    trial_rig *rig;
    const trial_faults *faults;
    eg_engram *engram;
    load now; /* acknowledged */
    bool has_after;
    load after; /* with the commit that stopped the engram */
    engram_status cause;
} trial;

static engram_status stopped_by(const trial *t)
{
    return (engram_status)atomic_load(&t->engram->failed);
}

/* The engram stopped in this step: whether it is committed is open. */
static void note_stop(trial *t, const load_step *step)
{
    t->cause = stopped_by(t);
    t->has_after = true;
    load_copy(&t->after, &t->now);
    load_apply(&t->after, step, 0);
}

static void note_failure(trial *t, const load_step *step, const engram_error *error,
                         bool was_stopped)
{
    need(t->faults->has_struck(t->faults->context));
    if (was_stopped)
        need(error->status == t->cause || t->faults->forever);
    else if (stopped_by(t) != ENGRAM_OK)
        note_stop(t, step);
    if (!t->faults->forever) /* it will not fail again: what was refused left nothing */
        expect(t->engram, &t->now, "a commit failed");
}

static engram_status take_step(trial *t, bool was_stopped)
{
    load_step step;
    uint64_t version;
    engram_error error = {0};
    load_plan(&t->now, &step);
    engram_status status = load_act(t->engram, &t->now, &step, &version, &error);
    need(status == error.status);
    if (status == ENGRAM_OK)
        load_apply(&t->now, &step, version);
    else
        note_failure(t, &step, &error, was_stopped);
    need(status != ENGRAM_OK || !was_stopped);
    return status;
}

static void work(trial *t)
{
    for (size_t i = 0; i < t->rig->steps; i++) {
        t->cause = stopped_by(t);
        take_step(t, t->cause != ENGRAM_OK);
    }
    t->cause = stopped_by(t);
}

/* The one that is open still reads, and takes commits or says why not. */
static bool look_at_open_one(trial *t)
{
    if (!t->faults->has_struck(t->faults->context))
        return false;
    t->faults->disarm(t->faults->context);
    expect(t->engram, &t->now, "still open");
    engram_transaction *tx = NULL;
    engram_error error = {0};
    engram_status status = engram_begin(t->engram, NULL, &tx, &error);
    engram_abort(&tx);
    if (status != t->cause)
        broken("stopped by '%s', but: %s", engram_status_name(t->cause), error.message);
    if (t->cause == ENGRAM_OK && take_step(t, false) != ENGRAM_OK) {
        need(stopped_by(t) != ENGRAM_OK); /* by what had failed in the background */
        expect(t->engram, &t->now, "stopped");
    }
    if (t->faults->forever)
        t->faults->arm(t->faults->context, 1);
    return true;
}

/* Which of the two states is there. */
static void settle(trial *t, eg_engram *engram, const char *when)
{
    char why[512], why_not[512];
    if (load_check(engram, &t->now, why, sizeof why))
        return;
    if (t->has_after && load_check(engram, &t->after, why_not, sizeof why_not)) {
        load_move(&t->now, &t->after);
        t->has_after = false;
        return;
    }
    broken("%s: neither what was acknowledged (%s) nor one commit more (%s)", when, why,
           t->has_after ? why_not : "there is none");
}

static void print_problem(void *context, const char *message)
{
    (void)context;
    print_message("verify: %s\n", message);
}

static void verify(eg_engram *engram)
{
    uint64_t problems = 0;
    engram_error error = {0};
    eg_verify_options options = {.subset = 1.0, .problem = print_problem};
    if (eg_engram_verify(engram, &options, &problems, &error) != ENGRAM_OK)
        broken("verify failed: %s", error.message);
    need(problems == 0);
}

static void look_afterwards(trial *t)
{
    eg_engram *engram = open_well(t->rig, t->rig->dir, true);
    settle(t, engram, "opened to read");
    close_well(&engram);
    engram = open_well(t->rig, t->rig->dir, false);
    expect(engram, &t->now, "opened to write");
    verify(engram);
    work_well(engram, &t->now, STEPS_AFTER);
    close_well(&engram);
    engram = open_well(t->rig, t->rig->dir, true);
    expect(engram, &t->now, "closed and opened");
    close_well(&engram);
}

bool trial_run(trial_rig *rig, const trial_faults *faults, uint64_t n)
{
    trial t = {.rig = rig, .faults = faults};
    engram_error error = {0};
    size_t descriptors = trial_open_descriptors();
    bool struck = false;
    trial_number = n;
    alarm(HANGS_AFTER_S);
    trial_copy(rig->model, rig->dir);
    load_copy(&t.now, &rig->start);
    faults->arm(faults->context, n);
    if (open_trial(rig, faults->io, rig->dir, false, &t.engram, &error) == ENGRAM_OK) {
        work(&t);
        struck = look_at_open_one(&t);
        eg_engram_close(&t.engram, NULL);
    } else {
        need(faults->has_struck(faults->context));
        need(error.status != ENGRAM_OK);
    }
    struck |= faults->has_struck(faults->context);
    faults->disarm(faults->context);
    need(trial_open_descriptors() == descriptors);
    look_afterwards(&t);
    need(trial_open_descriptors() == descriptors);
    load_fini(&t.now);
    if (t.has_after)
        load_fini(&t.after);
    trial_remove(rig->dir);
    alarm(0);
    return struck;
}

/* ---- every n ---- */

void trial_arguments_read(trial_arguments *arguments, int argc, char **argv)
{
    *arguments = (trial_arguments){.stride = 1, .first = 1, .seed = 1, .steps = 24};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--stride") == 0)
            arguments->stride = value;
        else if (strcmp(argv[i], "--first") == 0)
            arguments->first = value;
        else if (strcmp(argv[i], "--seed") == 0)
            arguments->seed = value;
        else if (strcmp(argv[i], "--steps") == 0)
            arguments->steps = (size_t)value;
    }
}

void trial_run_all(trial_rig *rig, const trial_faults *faults, const trial_arguments *arguments)
{
    uint64_t tried = 0, n = arguments->first;
    while (trial_run(rig, faults, n)) {
        tried++;
        n += arguments->stride;
    }
    print_message("failed in turn: %zu, from %zu to %zu, every %zu\n", (size_t)tried,
                  (size_t)arguments->first, (size_t)n, (size_t)arguments->stride);
    need(tried > 0);
}
