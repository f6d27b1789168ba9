/* Kill -9 under load: what an engram holds after its process was killed is what that process had acknowledged.
 *
 * Three kinds of processes. The oracle knows what each of eight writers has committed, as a load
 * (faults/load.h) each. It forks a worker, which opens the engram with eight writing threads; each of them
 * notes on a board in shared memory which step it begins and, before it begins the next one, that it was
 * acknowledged. The worker is killed, by the oracle at a random time or by itself at a named point
 * (deadly_io.h), also while it is still opening. Then a checker is forked, which opens the engram (and may be
 * killed at a point of its own, and another one forked) and finds out what is there: for each writer what was
 * acknowledged, or that and the one step that had begun, whole. The oracle goes on from there.
 *
 * The oracle has no thread and never opens the engram: nothing that breaks there can reach what it knows. */
#ifndef EG_KILL_CAMPAIGN_H
#define EG_KILL_CAMPAIGN_H

#include <stdatomic.h>

#include "faults/load.h"
#include "kill/deadly_io.h"

enum { WRITERS = 8, STEPS_MAX = 1 << 14, WHY_SIZE = 800 };

typedef struct writer_board {
    atomic_uint_fast64_t begun, acknowledged; /* steps since the worker was forked */
    uint64_t versions[STEPS_MAX];             /* that they made */
} writer_board;

typedef struct board {
    writer_board writers[WRITERS];
    atomic_bool opened;
    atomic_bool has_failed; /* other than by being killed: why says how */
    bool lost;              /* what is missing had been acknowledged */
    char why[WHY_SIZE];
    /* The checker's. */
    atomic_bool checked;
    bool took_begun[WRITERS]; /* the step that had begun is there */
    uint64_t version;         /* the newest */
} board;

typedef struct campaign {
    const char *dir;  /* of the engram */
    uint64_t random;
    bool lies;        /* writers acknowledge first and commit then: must be found out */
    load loads[WRITERS];
    uint64_t version; /* the newest at the last check */
    board *board;
} campaign;

/* ---- worker.c and checker.c: run in a process of their own and do not return ---- */

_Noreturn void worker_main(campaign *c, const kill_point *point, bool verifies_beside);
typedef struct check_plan {
    kill_point point;   /* while opening */
    bool all;           /* verify everything */
    bool closes;        /* else ends as if killed */
} check_plan;
_Noreturn void checker_main(campaign *c, const check_plan *plan);

/* The engram for the load, over that disk. */
struct engram *campaign_open(campaign *c, eg_io *io);
/* Leaves why on the board and ends the process. */
_Noreturn void campaign_fail(campaign *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
