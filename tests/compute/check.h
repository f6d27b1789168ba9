/* One check and one bench for each operation.
 *
 * A check feeds the same inputs to the scalar kernels and to the candidate and demands equal
 * bytes; it prints seed and case of the first difference and counts in its tally. A bench prints
 * the median rate of the candidate and its ratio to scalar on the same input. */
#ifndef TESTS_COMPUTE_CHECK_H
#define TESTS_COMPUTE_CHECK_H

#include "compute/candidate.h"

typedef struct check_tally {
    unsigned passed, failed;
} check_tally;

void check_encode(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally);
void check_bundle(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally);
void check_top_k(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally);

/* scalar: the table to compare with. */
void bench_encode(const candidate *c, const candidate *scalar);
void bench_bundle(const candidate *c, const candidate *scalar);
void bench_top_k(const candidate *c, const candidate *scalar);

/* Counts one outcome, and prints the case when it is a failure. */
void tally_case(check_tally *tally, bool is_equal, const candidate *c, uint64_t seed,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The median of nine timed runs of task, in seconds, after one that only warms up. */
double median_seconds(void (*task)(void *context), void *context);

#endif
