/* One state: checked as the search does it, told, saved, and checked again later. */
#ifndef EG_TESTS_CRASH_REPLAY_H
#define EG_TESTS_CRASH_REPLAY_H

#include "crash/explorer.h"

/* The command that repeats it. */
void place_print(const explorer_options *options, const place *where);
/* The last operation, and what becomes of each pending one. */
void replay_print_pending(const platter *p, const choice *choices);
/* Below options->keep, if that is wanted. */
void replay_save(const explorer_options *options, const image *state, uint64_t number);
/* The operations up to step, likewise. */
void replay_save_trace(const explorer_options *options, const trace *t, size_t step,
                       const char *what, uint64_t number);
/* check_run in a world that is the same each time; a check that hangs dies. */
bool replay_check(check *c, image *state);
/* Begins the trace of a recovery after the process died, not the power: with what is pending at that
 * step, as pending. *all: the disk as the next process sees it. Returns the count of such operations. */
size_t replay_begin_kill(const platter *p, trace *t, image *all);
/* Checks once more and adds what that does to the disk to *t, which was begun: recovery, a small
 * commit, closing, opening. *h is what may be found at the steps of *t. False: what recovery found is wrong. Both
 * are the caller's in any case. */
bool replay_record_recovery(const eg_engram_options *options, const history *before,
                            const image *state, int64_t step, trace *t, history *h);

#endif
