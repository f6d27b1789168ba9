/* Numbers for random tests: SplitMix64, and a seed that is printed and can be set. */
#ifndef TESTS_VSA_RANDOM_H
#define TESTS_VSA_RANDOM_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t test_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t test_random(uint64_t *state)
{
    return test_mix(*state += 0x9E3779B97F4A7C15u);
}

static inline void test_fill(uint64_t *state, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t x = test_random(state);
        memcpy(bytes + i, &x, size - i < 8 ? size - i : 8);
    }
}

/* The given seed, or ENGRAM_TEST_SEED from the environment. */
static inline uint64_t test_seed(uint64_t seed)
{
    const char *text = getenv("ENGRAM_TEST_SEED");
    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    printf("seed 0x%" PRIx64 "\n", seed);
    return seed;
}

#endif
