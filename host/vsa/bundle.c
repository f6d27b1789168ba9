/* Superposition: a counter for each symbol of each block. Whole numbers, so what was added can be
 * taken out again exactly and in any order. */
#include "engram/hypervector.h"

/* delta is 1, or its negative modulo 2^32. */
static void count_symbols(uint32_t *counters, const uint8_t *vectors, size_t count, uint32_t delta)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
            counters[k * ENGRAM_SYMBOLS + vectors[i * ENGRAM_BLOCKS + k]] += delta;
}

void engram_bundle_add(engram_bundle *bundle, const uint8_t *vectors, size_t count)
{
    count_symbols(bundle->counters, vectors, count, 1);
    bundle->count += count;
}

void engram_bundle_remove(engram_bundle *bundle, const uint8_t *vectors, size_t count)
{
    count_symbols(bundle->counters, vectors, count, UINT32_MAX);
    bundle->count -= count;
}

void engram_bundle_threshold(const engram_bundle *bundle, uint8_t *vector)
{
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        const uint32_t *row = &bundle->counters[k * ENGRAM_SYMBOLS];
        unsigned best = 0;
        for (unsigned symbol = 1; symbol < ENGRAM_SYMBOLS; symbol++)
            best = row[symbol] > row[best] ? symbol : best;
        vector[k] = (uint8_t)best;
    }
}

uint64_t engram_bundle_similarity(const engram_bundle *bundle, const uint8_t *probe)
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        sum += bundle->counters[k * ENGRAM_SYMBOLS + probe[k]];
    return sum;
}
