/* The search through the states of all workloads' disks. */
#ifndef EG_TESTS_CRASH_EXPLORER_H
#define EG_TESTS_CRASH_EXPLORER_H

#include "crash/lies.h"
#include "crash/world.h"

enum { WORKLOADS_MAX = 48, VARIANT_TEXT = 4096 };

typedef struct place { /* names a state */
    int workload;
    int64_t step;
    char variant[VARIANT_TEXT];
    bool is_killed;        /* the process died, and what was pending is so during its recovery */
    int64_t recovery_step; /* -1: none */
    char recovery_variant[VARIANT_TEXT];
} place;

typedef struct explorer_options {
    uint64_t states; /* distinct ones wanted; all planned ones are tried however few are wanted */
    uint64_t seed;
    uint64_t thin;      /* one in so many of the planned states; 1: all */
    unsigned jobs;      /* processes */
    int only;           /* a workload, or -1 */
    bool stop_at_first; /* violation */
    bool quiet;
    const char *keep; /* a directory for the disks of violations, or NULL */
    liar liar;
} explorer_options;

typedef struct explorer_counts {
    uint64_t distinct, in_recovery, seen_again, recoveries, violations;
} explorer_counts;

typedef struct explorer_report {
    explorer_counts all, by_workload[WORKLOADS_MAX];
    int64_t steps[WORKLOADS_MAX];
} explorer_report;

/* Prints violations as they are found. */
void explorer_run(const explorer_options *options, explorer_report *report);
/* Checks one state, telling what it is; saves its disk below options->keep. False: a violation. */
bool explorer_replay(const explorer_options *options, const place *where);

#endif
