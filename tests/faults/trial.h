/* A trial: an engram is opened after a crash, works for some steps of a load, and is closed, while something
 * fails at the n-th opportunity; then what is there must be what was acknowledged.
 *
 * A template engram, made once, has chunks in segments and in the journal, a snapshot and a torn end that
 * opening has to recover. Every trial begins with a copy of it. The rules that a trial checks:
 * 1. a commit that was refused while commits go on has left nothing; 2. once the engram says that it is
 * stopped, every later commit gets the cause, while reading and pinning go on; 3. opened again, on a disk and
 * with memory that are well, first by a reader and then by a writer, everything acknowledged is there, and of
 * the commit that stopped it all or nothing; 4. verify is clean, and work goes on; 5. no descriptor is left
 * open, nothing hangs. A rule that is broken fails the cmocka test. */
#ifndef EG_FAULTS_TRIAL_H
#define EG_FAULTS_TRIAL_H

#include "base/temp_dir.h"
#include "base/test.h"
#include "engram/core.h"
#include "faults/load.h"

typedef struct trial_rig {
    temp_dir temp;
    char model[600], dir[600]; /* the template; the trial's copy */
    load start;                /* what the template holds */
    size_t steps;              /* of each trial */
    bool with_checkpointer;    /* the thread makes checkpoints, not the committing one */
} trial_rig;

/* What fails, and when. arm: the n-th opportunity from now on, and all later ones with forever. */
typedef struct trial_faults {
    eg_io *io;
    void *context;
    bool forever;
    void (*arm)(void *context, uint64_t n);
    void (*disarm)(void *context);
    bool (*has_struck)(void *context); /* since armed */
} trial_faults;

void trial_rig_init(trial_rig *rig, uint64_t seed, size_t steps);
void trial_rig_fini(trial_rig *rig);
/* Whether anything failed: if not, the workload has fewer than n opportunities. */
bool trial_run(trial_rig *rig, const trial_faults *faults, uint64_t n);

/* The options that all trials and campaigns use: everything is small, so that all of it happens often. */
eg_engram_options trial_options(void);
/* Copies an engram's directory as it is on disk. */
void trial_copy(const char *from, const char *to);
void trial_remove(const char *dir);
size_t trial_open_descriptors(void);

/* The arguments of a test that tries every n: --stride N (every N-th only), --first N, --seed S, --steps N. */
typedef struct trial_arguments {
    uint64_t stride, first, seed;
    size_t steps;
} trial_arguments;
void trial_arguments_read(trial_arguments *arguments, int argc, char **argv);
/* Tries first, first + stride, ... until nothing fails any more; prints how many. */
void trial_run_all(trial_rig *rig, const trial_faults *faults, const trial_arguments *arguments);

#endif
