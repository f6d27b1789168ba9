/* Numbers that follow from a seed, which is printed. */
#ifndef EG_TESTS_SEARCH_RANDOM_H
#define EG_TESTS_SEARCH_RANDOM_H

#include <inttypes.h>
#include <stdlib.h>

#include "base/test.h"

/* What ENGRAM_TEST_SEED says, or a fixed one. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("ENGRAM_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 0x5EA2C4;
    print_message("ENGRAM_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

#endif
