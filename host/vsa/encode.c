/* The scalar encoder: the definition of a chunk's hypervector.
 *
 * The windows of a chunk are its overlapping runs of 8 bytes, read little-endian. Each falls into
 * the block its hash names, and the block keeps the smallest priority: a one-permutation MinHash.
 * The symbol of a block is the low byte of that priority. A block k that no window reached borrows
 * one: it looks at the blocks named by h(a << 32 | k), a = 1, 2, ..., takes the first that a window
 * reached, and mixes its winner w with its own number, h((k + 1) << 32 | w), so that two chunks
 * agree there exactly when they agree on where they looked and what they found. */
#include "vsa/encode.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

enum { ATTEMPTS_MAX = 65536 };

uint64_t eg_short_window(const uint8_t *bytes, size_t size)
{
    uint8_t padded[ENGRAM_WINDOW] = {0};
    if (size > 0)
        memcpy(padded, bytes, size);
    padded[ENGRAM_WINDOW - 1] = (uint8_t)size;
    return eg_get_u64(padded);
}

static inline void keep_smallest(uint32_t *minima, uint32_t hash)
{
    uint32_t *minimum = &minima[hash >> 24];
    uint32_t priority = hash & ENGRAM_PRIORITY_MAX;
    *minimum = priority < *minimum ? priority : *minimum;
}

/* Hashes four windows before it touches the minima: a fifth faster than one by one, since a
 * store to one block no longer stands between two hashes. */
static void visit(const engram_codebook *codebook, const uint8_t *bytes, size_t count,
                  uint32_t *minima)
{
    const engram_codebook local = *codebook; /* in registers: the minima could alias it */
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        uint32_t hashes[4];
        for (size_t w = 0; w < 4; w++)
            hashes[w] = eg_window_hash(&local, eg_get_u64(bytes + i + w));
        for (size_t w = 0; w < 4; w++)
            keep_smallest(minima, hashes[w]);
    }
    for (; i < count; i++)
        keep_smallest(minima, eg_window_hash(&local, eg_get_u64(bytes + i)));
}

void engram_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                   uint8_t *vector, uint32_t *spread)
{
    uint32_t minima[ENGRAM_BLOCKS];
    memset(minima, 0xFF, sizeof minima); /* EG_BLOCK_EMPTY */
    if (size < ENGRAM_WINDOW)
        keep_smallest(minima, eg_window_hash(codebook, eg_short_window(bytes, size)));
    else
        visit(codebook, bytes, size - ENGRAM_WINDOW + 1, minima);
    eg_encode_finish(codebook, minima, vector, spread);
}

/* What is known of the blocks while the empty ones are filled. */
typedef struct fill {
    uint8_t reached[ENGRAM_BLOCKS]; /* 1: a window fell into it */
    uint8_t empty[ENGRAM_BLOCKS];   /* those that none reached */
    unsigned empty_count;
    uint8_t sources[ENGRAM_BLOCKS]; /* of an empty block: the one that it borrows from */
} fill;

/* Writes the symbols of the blocks that a window reached, lists the others, sums the spread. */
static void take_winners(const uint32_t *minima, fill *f, uint8_t *vector, uint32_t *spread)
{
    unsigned count = 0;
    uint32_t sum = 0; /* at most 256 * (2^24 - 1): fits */
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        vector[k] = (uint8_t)minima[k];
        sum += minima[k] & ENGRAM_PRIORITY_MAX; /* an empty block counts as the largest */
        f->reached[k] = minima[k] != EG_BLOCK_EMPTY;
        f->empty[count] = (uint8_t)k;
        count += !f->reached[k];
    }
    assert(count < ENGRAM_BLOCKS);
    f->empty_count = count;
    *spread = sum;
}

static uint8_t next_reached(const fill *f, uint8_t k)
{
    do
        k++; /* cyclically: 255 is followed by 0 */
    while (!f->reached[k]);
    return k;
}

/* All attempts of the block whose number is the low half of s1 hash a zero factor and so name
 * one place: settles it after the first, where 65,536 would tell nothing new. */
static void settle_constant_path(const engram_codebook *codebook, fill *f, uint8_t *paths,
                                 unsigned *count)
{
    uint8_t k = (uint8_t)codebook->s1;
    uint8_t *path = memchr(paths, k, *count);
    if ((uint32_t)codebook->s1 != k || path == NULL)
        return;
    uint8_t block = eg_window_hash(codebook, (uint64_t)1 << 32 | k) >> 24;
    f->sources[k] = f->reached[block] ? block : next_reached(f, k);
    *path = paths[--*count];
}

/* All paths advance together, one attempt a round, and those that have arrived drop out without a
 * branch: where a single path ends cannot be predicted, and that would cost more than its hashes.
 */
static void find_sources(const engram_codebook *codebook, fill *f)
{
    const engram_codebook local = *codebook;
    uint8_t paths[ENGRAM_BLOCKS];
    unsigned count = f->empty_count;
    memcpy(paths, f->empty, count);
    settle_constant_path(&local, f, paths, &count);
    for (uint64_t attempt = 1; attempt <= ATTEMPTS_MAX && count > 0; attempt++) {
        unsigned left = 0;
        for (unsigned i = 0; i < count; i++) {
            uint8_t k = paths[i], block = eg_window_hash(&local, attempt << 32 | k) >> 24;
            f->sources[k] = block;
            paths[left] = k;
            left += !f->reached[block];
        }
        count = left;
    }
    for (unsigned i = 0; i < count; i++)
        f->sources[paths[i]] = next_reached(f, paths[i]);
}

void eg_encode_finish(const engram_codebook *codebook, const uint32_t minima[ENGRAM_BLOCKS],
                      uint8_t *vector, uint32_t *spread)
{
    fill f;
    take_winners(minima, &f, vector, spread);
    if (f.empty_count == ENGRAM_BLOCKS - 1) /* all paths end in the only one */
        memset(f.sources, next_reached(&f, 0), sizeof f.sources);
    else
        find_sources(codebook, &f);
    for (unsigned i = 0; i < f.empty_count; i++) {
        uint8_t k = f.empty[i], source = f.sources[k];
        uint32_t winner = (uint32_t)source << 24 | minima[source];
        vector[k] = (uint8_t)eg_window_hash(codebook, (uint64_t)(k + 1) << 32 | winner);
    }
}
