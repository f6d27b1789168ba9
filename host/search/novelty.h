/* How new are these bytes? Asked of the root alone: the bundle of all live chunks, no stored vector.
 *
 * For a probe x, S(x) = sum over the blocks of C[k][x[k]] is exactly the sum of its matches with all
 * N members. A member of Jaccard similarity J matches in a block with probability J + (1 - J) / 256,
 * so (S - N) / 255 estimates the sum of J over the whole collection: the *overlap*, counted in
 * copies. A chunk that is stored once and like nothing else has 1, a stranger 0, and a thousand
 * chunks of J = 0.001 have 1 too: it says how much of the collection is like the probe, never
 * which chunk, and a chunk's presence only by an upper bound (a stored copy counts at least 1).
 * Of several probes it is the mean, weighted by their sizes.
 *
 * The error is the standard error over the 256 blocks, which draw winners independently: each gives
 * one estimate of the same sum, whatever the members have in common with each other. It is at
 * least what N unrelated members would give, about sqrt(N) / 255 for one chunk: a single copy
 * stands 255 / sqrt(N) errors above nothing, which is 80 of 10 chunks, 8 of 1,000 and 0.8, too
 * little to be told, of 100,000. Files of many chunks gain: the errors of unlike chunks average. */
#ifndef EG_SEARCH_NOVELTY_H
#define EG_SEARCH_NOVELTY_H

#include <stdbool.h>

#include "engram/core.h"

typedef struct eg_novelty {
    uint64_t version;         /* that the root counts */
    uint64_t members, chunks; /* N; chunks of the probe */
    double overlap;           /* mean of the sum of J over all members; below 0 by chance only */
    double error;             /* its standard error */
    double low, high;         /* overlap +- 1.96 errors, low and high at least 0 */
    double similarity;        /* mean J to a member: overlap / N; 0 when there are none */
    double similarity_error;
    double copy_errors;       /* how many errors one stored copy of it all would stand above nothing */
    bool told;                /* overlap is above noise: low > 0 */
    double stored_at_most;    /* share of the bytes that lie in stored chunks: high, at most 1 */
} eg_novelty;

/* sizes: of the chunks, as weights; NULL, or all 0: equal ones. count >= 1. Fills all but version.
 * ENGRAM_NO_MEMORY. */
engram_status eg_novelty_of_vectors(const engram_bundle *root, const uint8_t *vectors,
                                    const uint32_t *sizes, size_t count, eg_novelty *novelty,
                                    engram_error *error);

/* Cuts and encodes bytes as the engram does. The root is that of the newest version. */
engram_status eg_novelty_of_bytes(eg_engram *engram, eg_device *device, const uint8_t *bytes,
                                  size_t size, eg_novelty *novelty, engram_error *error);

#endif
