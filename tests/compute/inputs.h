/* Inputs and guarded memory for the checks of the kernels.
 *
 * A guarded block ends where an unreadable page begins, so that reading past the end crashes, and
 * has canaries on its other side. A sink is memory for outputs with canaries on both sides. */
#ifndef TESTS_COMPUTE_INPUTS_H
#define TESTS_COMPUTE_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engram/hypervector.h"

/* SplitMix64. */
uint64_t next_random(uint64_t *state);
/* 0 .. limit - 1 */
size_t random_below(uint64_t *state, size_t limit);

typedef enum fill_kind {
    FILL_ZEROS,
    FILL_ONES, /* 0xFF */
    FILL_RAMP,
    FILL_TEXT, /* a few words, repeated in random order */
    FILL_RANDOM,
    FILL_SPARSE, /* zeros with a few random bytes */
    FILL_PERIOD, /* a short random period */
    FILL_COUNT
} fill_kind;

extern const char *const fill_names[FILL_COUNT];

void fill_bytes(uint8_t *bytes, size_t size, fill_kind kind, uint64_t *state);

/* Ordinary codebooks and hostile ones (a factor of the hash that is zero, probes that lead
 * nowhere, a window whose priority is the largest there is). */
enum { CODEBOOK_KINDS = 6 };
engram_codebook make_codebook(unsigned kind, uint64_t *state);

typedef struct guarded {
    uint8_t *bytes; /* size bytes, the last of them the last of a page */
    size_t size;
    uint8_t *pages;
    size_t page_size;
} guarded;

guarded guarded_make(size_t size);
void guarded_free(guarded *g);

typedef struct sink {
    uint8_t *bytes; /* size bytes, aligned to 64, plus offset */
    size_t size;
    uint8_t *memory;
} sink;

sink sink_make(size_t size, size_t offset);
/* Whether both canaries are whole. */
bool sink_is_whole(const sink *s);
void sink_free(sink *s);

#endif
