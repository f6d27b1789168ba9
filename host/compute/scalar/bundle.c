/* The bundle: a histogram of 65,536 counters, one increment for each byte of each vector.
 *
 * The limit is one store a cycle, reached when the counters in use stay in the first-level cache:
 * 16 blocks, 16 KiB, at a time over a run of vectors that stays in the second. A counter comes up
 * again after 16 other increments at the earliest, which hides the store's latency even where all
 * vectors agree. No instruction set has anything better, so every table shares this one. */
#include "compute/scalar/scalar.h"

#include "base/bytes.h"

enum { GROUP = 8, TILE_ROWS = 512, TILE_BLOCKS = 16, LINE = 64 };

/* Adds the symbols of 8 blocks, first-block counters at counters. */
static inline void add_group(uint32_t *counters, uint64_t symbols, uint32_t step)
{
    for (unsigned i = 0; i < GROUP; i++)
        counters[i * ENGRAM_SYMBOLS + (uint8_t)(symbols >> (8 * i))] += step;
}

/* ahead: the same blocks of the vectors that come next, as many again, to be fetched meanwhile. A
 * column of vectors is no pattern that the processor would fetch ahead by itself. NULL: nothing. */
static void add_two_groups(uint32_t *counters, const uint8_t *vectors, size_t count, uint32_t step,
                           const uint8_t *ahead)
{
    for (size_t i = 0; i < count; i++, vectors += ENGRAM_BLOCKS) {
        uint64_t low = eg_get_u64(vectors), high = eg_get_u64(vectors + GROUP);
        if (ahead != NULL)
            __builtin_prefetch(ahead + i * ENGRAM_BLOCKS, 0, 2);
        add_group(counters, low, step);
        add_group(counters + GROUP * ENGRAM_SYMBOLS, high, step);
    }
}

static void add_one_group(uint32_t *counters, const uint8_t *vectors, size_t count, uint32_t step)
{
    for (size_t i = 0; i < count; i++, vectors += ENGRAM_BLOCKS)
        add_group(counters, eg_get_u64(vectors), step);
}

void eg_scalar_bundle_blocks(uint32_t *counters, const uint8_t *vectors, size_t count, int sign,
                             unsigned first_block, unsigned block_count)
{
    const uint32_t step = (uint32_t)sign;
    const unsigned end = first_block + block_count;
    for (size_t row = 0; row < count; row += TILE_ROWS) {
        const size_t left = count - row, rows = left < TILE_ROWS ? left : TILE_ROWS;
        const uint8_t *tile = vectors + row * ENGRAM_BLOCKS;
        const uint8_t *next = left >= 2 * TILE_ROWS ? tile + TILE_ROWS * ENGRAM_BLOCKS : NULL;
        unsigned block = first_block;
        for (; block + TILE_BLOCKS <= end; block += TILE_BLOCKS)
            add_two_groups(counters + block * ENGRAM_SYMBOLS, tile + block, rows, step,
                           next != NULL && block % LINE == 0 ? next + block : NULL);
        for (; block < end; block += GROUP)
            add_one_group(counters + block * ENGRAM_SYMBOLS, tile + block, rows, step);
    }
}

void eg_scalar_bundle(uint32_t *counters, const uint8_t *vectors, size_t count, int sign)
{
    eg_scalar_bundle_blocks(counters, vectors, count, sign, 0, ENGRAM_BLOCKS);
}
