/* Hypervectors: 256 blocks, one symbol of 256 active in each; 256 bytes.
 *
 * The algebra of sparse block codes (Laiho et al. 2015; Frady, Kleyko, Sommer 2021), and the
 * encoder that turns a run of bytes into one: one-permutation MinHash (Li, Owen, Zhang 2012)
 * with 8-bit codes (Li, Koenig 2010) and optimal densification (Shrivastava 2017) over its
 * overlapping 8-byte windows. Equal symbols therefore estimate the Jaccard similarity of two
 * window sets. Pure functions: no I/O, no allocation unless said, safe on any thread. */
#ifndef ENGRAM_HYPERVECTOR_H
#define ENGRAM_HYPERVECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "engram/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ENGRAM_BLOCKS 256          /* blocks in a hypervector = its size in bytes */
#define ENGRAM_SYMBOLS 256         /* symbols of a block */
#define ENGRAM_WINDOW 8            /* bytes in a window (n-gram) */
#define ENGRAM_PRIORITY_MAX 0xFFFFFFu /* of an empty block, in the spread */

/* The static rule that gives every window its place. A format: it never changes for a seed. */
typedef struct engram_codebook {
    uint64_t seed;
    uint64_t s1, s2; /* first two outputs of SplitMix64 started at seed */
} engram_codebook;

ENGRAM_API void engram_codebook_init(engram_codebook *codebook, uint64_t seed);

/* Encodes size bytes (0 is allowed) into vector[ENGRAM_BLOCKS] and its spread: the sum over the
 * blocks of the winning priority, before empty blocks are filled. Scalar: this is the
 * definition that every kernel and device must equal byte for byte. */
ENGRAM_API void engram_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                              uint8_t *vector, uint32_t *spread);

/* out may be one of the inputs, except for permute. */
ENGRAM_API void engram_bind(uint8_t *out, const uint8_t *a, const uint8_t *b);
ENGRAM_API void engram_unbind(uint8_t *out, const uint8_t *c, const uint8_t *b);
ENGRAM_API void engram_permute(uint8_t *out, const uint8_t *a, unsigned steps);

/* Number of blocks with equal symbols, 0..256. */
ENGRAM_API unsigned engram_matches(const uint8_t *a, const uint8_t *b);

/* A Jaccard estimate from a match count, with its Wilson 95 % interval, all within 0..1. */
typedef struct engram_jaccard {
    double value, low, high;
} engram_jaccard;

ENGRAM_API engram_jaccard engram_jaccard_from_matches(unsigned matches);
/* The smallest match count whose estimate reaches the given Jaccard value. */
ENGRAM_API unsigned engram_matches_from_jaccard(double jaccard);

/* Estimated number of distinct windows from a spread (6 % rmse from 250 to 65,000). */
ENGRAM_API double engram_distinct_windows(uint32_t spread);
/* |A and B| / |A| from the Jaccard value and the distinct windows of A and B; within 0..1. */
ENGRAM_API double engram_containment(double jaccard, double windows_a, double windows_b);

/* A bundle: counters[block * 256 + symbol], and how many vectors were added less removed.
 * Adding and removing commute and are exact inverses. 256 KiB: keep it off the stack. */
typedef struct engram_bundle {
    uint64_t count;
    uint32_t counters[ENGRAM_BLOCKS * ENGRAM_SYMBOLS];
} engram_bundle;

ENGRAM_API void engram_bundle_add(engram_bundle *bundle, const uint8_t *vectors, size_t count);
ENGRAM_API void engram_bundle_remove(engram_bundle *bundle, const uint8_t *vectors, size_t count);
/* Symbol of the largest counter of each block, the lowest symbol on ties. */
ENGRAM_API void engram_bundle_threshold(const engram_bundle *bundle, uint8_t *vector);
/* Exactly the sum of the probe's matches with every member. */
ENGRAM_API uint64_t engram_bundle_similarity(const engram_bundle *bundle, const uint8_t *probe);

/* Keyed records: R = bundle of bind(value_i, key_i). */
ENGRAM_API void engram_key(const engram_codebook *codebook, uint64_t id, uint8_t *vector);
ENGRAM_API void engram_record_add(engram_bundle *record, const uint8_t *value, const uint8_t *key);
ENGRAM_API void engram_record_remove(engram_bundle *record, const uint8_t *value, const uint8_t *key);
/* Clean-up: which of the candidates was stored under key: the index with the highest summed
 * similarity to the unbound record, the lowest index on ties; *score receives that sum.
 * candidate_count >= 1. */
ENGRAM_API size_t engram_record_recall(const engram_bundle *record, const uint8_t *key,
                                       const uint8_t *candidates, size_t candidate_count,
                                       uint64_t *score);

#ifdef __cplusplus
}
#endif
#endif
