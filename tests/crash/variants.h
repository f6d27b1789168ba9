/* Which states of a disk are tried at a step: choices for its pending operations. */
#ifndef EG_TESTS_CRASH_VARIANTS_H
#define EG_TESTS_CRASH_VARIANTS_H

#include "crash/trace.h"

/* choices has p->pending_count items, lent for the call. False: no more. */
typedef bool variant_visit(void *context, const platter *p, const choice *choices);

/* All kept; none kept; each dropped alone; each kept alone; each write torn at several sectors,
 * half of them lost, replaced by garbage or zeros, with the operations after it kept and with them
 * dropped; all writes so; all names without any data, with and without the sizes; all data without
 * any names. */
bool variants_planned(const platter *p, variant_visit *visit, void *context);
/* Every subset, kept or dropped, when at most count_max operations are pending. */
bool variants_subsets(const platter *p, size_t count_max, variant_visit *visit, void *context);
/* count states drawn from seed. */
bool variants_random(const platter *p, uint64_t seed, uint64_t count, variant_visit *visit,
                     void *context);

#endif
