/* What encoders share: the hash, and the filling of blocks that no window reached.
 *
 * An encoder visits the windows of a chunk in any order, in as many lanes as it likes, and keeps
 * for each of the 256 blocks the smallest 24-bit priority it met. Those minima decide everything
 * else: eg_encode_finish defines how. Pure functions, any thread. */
#ifndef EG_VSA_ENCODE_H
#define EG_VSA_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "engram/hypervector.h"

/* A block that no window reached, among the minima. */
#define EG_BLOCK_EMPTY 0xFFFFFFFFu

/* Hash of a window (or of any 64 bits): the top 8 bits name the block, the low 24 are the
 * priority, and the low 8 of these the symbol. Two 32 x 32 -> 64 bit multiplies, because that is
 * one instruction each in SIMD and on a GPU. */
static inline uint32_t eg_window_hash(const engram_codebook *codebook, uint64_t x)
{
    x ^= codebook->s1;
    uint64_t p = (x & 0xFFFFFFFFu) * (x >> 32);
    p ^= codebook->s2;
    uint64_t q = (p & 0xFFFFFFFFu) * (p >> 32);
    return (uint32_t)q ^ (uint32_t)(q >> 32);
}

/* The single window of a chunk of size < ENGRAM_WINDOW bytes: zero-padded, size in the top byte.
 * bytes may be NULL when size is 0. */
uint64_t eg_short_window(const uint8_t *bytes, size_t size);

/* minima[block]: the smallest priority, at most ENGRAM_PRIORITY_MAX, or EG_BLOCK_EMPTY; at least
 * one block is not empty. Sums the spread, then fills the empty blocks (optimal densification)
 * and writes the vector. With f blocks reached it costs about 256 / f hashes for each of the
 * others, nothing for f = 256, and at most 65,536 for a block in a codebook made to be hostile. */
void eg_encode_finish(const engram_codebook *codebook, const uint32_t minima[ENGRAM_BLOCKS],
                      uint8_t *vector, uint32_t *spread);

#endif
