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
/* check_run in a world that is the same each time; a check that hangs dies. */
bool replay_check(check *c, image *state);
/* Checks once more and records what that does to the disk: recovery, a small commit, closing,
 * opening. *h is what may be found at the steps of *t. False: what recovery found is wrong. Both
 * are the caller's in any case. */
bool replay_record_recovery(const eg_engram_options *options, const history *before,
                            const image *state, int64_t step, trace *t, history *h);

#endif
