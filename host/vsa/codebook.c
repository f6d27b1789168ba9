/* The codebook: two 64-bit secrets drawn from the seed by SplitMix64 (Steele, Lea, Flood 2014). */
#include "engram/hypervector.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void engram_codebook_init(engram_codebook *codebook, uint64_t seed)
{
    uint64_t state = seed;
    codebook->seed = seed;
    codebook->s1 = splitmix64(&state);
    codebook->s2 = splitmix64(&state);
}
