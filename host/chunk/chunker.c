/* The chunker: a format, for equal bytes must be cut equally by every build for ever.
 *
 * Gear table: gear[b] is output b, from 0, of SplitMix64 started at GEAR_START.
 * Hash at a position: the sum of gear[byte] << distance over the 64 bytes before it, modulo 2^64;
 * rolled as hash = (hash << 1) + gear[byte]. Its high bits depend on all 64.
 * Cut: at the smallest length L, size_min <= L < size_max, at which hash & mask is 0, where mask is
 * the hard one below 13/16 of the average and the easy one from there on; else at size_max; else
 * where the input ends. Hashing starts 64 bytes before size_min, which is never less: whether
 * a length may be a cut depends on the 64 bytes before it and on the length, and what lies before
 * those is skipped unread.
 * Dense bytes: where the average is 8 KiB or more, a chunk whose beginning looks as no compressor
 * makes it smaller (is_dense) ends at the smallest length L, average <= L < size_max, that a mask
 * in between allows; else as above. The fixed cost of a chunk, its vector and its record, is 2 % of
 * 16 KiB: nothing against what compression gains elsewhere, a loss where it gains nothing. Such
 * chunks are two and a half averages long.
 * Masks: the top bits of the hash; for an average of 2^n, n + 2 (hard), n - 2 (easy) and n + 1
 * (dense).
 *
 * 13/16 makes the mean length on random bytes the average that was asked for: 0.99 to 1.00 of it,
 * over 64 MiB at 256 bytes to 1 MiB. With the usual change of masks at the average itself the mean
 * would be 1.14 of it. tests/chunk/chunker_test.c measures it. */
#include <stdbool.h>

#include "chunk/chunk.h"

#define GEAR_START 0x656E6772616Du /* "engram" */

enum { HASHED_BYTES = 64 };

/* Samples are spread over the first size_min bytes. 512 random bytes collide so that the squares of
 * the 256 counts add up to 1,534, with a deviation of 45; text to ten times as much. */
enum { DENSE_AVERAGE_MIN = 8192, DENSE_RUNS = 16, DENSE_RUN_SIZE = 32, DENSE_SQUARES_MAX = 2000 };

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t top_bits(unsigned count)
{
    return ~(UINT64_MAX >> count);
}

static engram_status check_config(const eg_chunk_config *config, engram_error *error)
{
    uint32_t size = config->size_average;
    if (config->kind != EG_CHUNK_CDC && config->kind != EG_CHUNK_FIXED)
        return eg_fail(error, ENGRAM_INVALID, "chunks: no such kind: %d", (int)config->kind);
    if (size < EG_CHUNK_SIZE_MIN || size > EG_CHUNK_SIZE_MAX)
        return eg_fail(error, ENGRAM_INVALID, "chunks of %u bytes: sizes go from %d to %d", size,
                       EG_CHUNK_SIZE_MIN, EG_CHUNK_SIZE_MAX);
    if (config->kind == EG_CHUNK_CDC && (size & (size - 1)) != 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "chunks of %u bytes: a content-defined average is a power of two", size);
    return ENGRAM_OK;
}

engram_status eg_chunker_init(eg_chunker *chunker, const eg_chunk_config *config,
                              engram_error *error)
{
    EG_TRY(check_config(config, error));
    uint32_t size = config->size_average;
    unsigned bits = (unsigned)__builtin_ctz(size);
    bool fixed = config->kind == EG_CHUNK_FIXED;
    *chunker =
        (eg_chunker){.config = *config,
                     .size_min = fixed ? size : size / 4,
                     .size_max = fixed ? size : size * 4,
                     .mask_hard = fixed ? 0 : top_bits(bits + 2),
                     .mask_easy = fixed ? 0 : top_bits(bits - 2),
                     .mask_dense = fixed || size < DENSE_AVERAGE_MIN ? 0 : top_bits(bits + 1)};
    uint64_t state = GEAR_START;
    for (unsigned b = 0; b < 256; b++)
        chunker->gear[b] = splitmix64(&state);
    return ENGRAM_OK;
}

static inline uint64_t roll(const uint64_t *gear, uint64_t hash, uint8_t byte)
{
    return (hash << 1) + gear[byte];
}

/* The smallest length in [at, end) that the mask lets be a cut, or end; *hash is the one at `at`
 * and, when end is returned, becomes the one there. Four bytes a turn, tested afterwards: half as
 * fast again as byte by byte. */
static size_t find_cut(const uint64_t *gear, const uint8_t *bytes, size_t at, size_t end,
                       uint64_t mask, uint64_t *hash)
{
    uint64_t h0 = *hash;
    for (; at + 4 <= end; at += 4) {
        uint64_t h1 = roll(gear, h0, bytes[at]);
        uint64_t h2 = roll(gear, h1, bytes[at + 1]);
        uint64_t h3 = roll(gear, h2, bytes[at + 2]);
        if ((h0 & mask) == 0)
            return at;
        if ((h1 & mask) == 0)
            return at + 1;
        if ((h2 & mask) == 0)
            return at + 2;
        if ((h3 & mask) == 0)
            return at + 3;
        h0 = roll(gear, h3, bytes[at + 3]);
    }
    for (; at < end && (h0 & mask) != 0; at++)
        h0 = roll(gear, h0, bytes[at]);
    *hash = h0;
    return at;
}

/* The hash at length `at`. */
static uint64_t hash_at(const uint64_t *gear, const uint8_t *bytes, size_t at)
{
    uint64_t hash = 0;
    for (size_t i = at - HASHED_BYTES; i < at; i++)
        hash = roll(gear, hash, bytes[i]);
    return hash;
}

static bool is_dense(const uint8_t *bytes, size_t size_min)
{
    uint16_t counts[256] = {0};
    for (size_t run = 0; run < DENSE_RUNS; run++)
        for (size_t i = 0; i < DENSE_RUN_SIZE; i++)
            counts[bytes[run * (size_min / DENSE_RUNS) + i]]++;
    uint32_t squares = 0;
    for (unsigned b = 0; b < 256; b++)
        squares += (uint32_t)counts[b] * counts[b];
    return squares <= DENSE_SQUARES_MAX;
}

static size_t cut_dense(const eg_chunker *chunker, const uint8_t *bytes, size_t size)
{
    const size_t at = chunker->config.size_average;
    if (size <= at)
        return size;
    uint64_t hash = hash_at(chunker->gear, bytes, at);
    return find_cut(chunker->gear, bytes, at, size, chunker->mask_dense, &hash);
}

/* size_min < size <= size_max. */
static size_t cut_by_content(const eg_chunker *chunker, const uint8_t *bytes, size_t size)
{
    if (chunker->mask_dense != 0 && is_dense(bytes, chunker->size_min))
        return cut_dense(chunker, bytes, size);
    size_t normal = chunker->config.size_average / 16 * 13;
    size_t turn = size < normal ? size : normal, at = chunker->size_min;
    uint64_t hash = hash_at(chunker->gear, bytes, at);
    at = find_cut(chunker->gear, bytes, at, turn, chunker->mask_hard, &hash);
    if (at == turn)
        at = find_cut(chunker->gear, bytes, at, size, chunker->mask_easy, &hash);
    return at;
}

size_t eg_chunker_cut(const eg_chunker *chunker, const uint8_t *bytes, size_t size)
{
    if (size > chunker->size_max)
        size = chunker->size_max;
    if (size <= chunker->size_min)
        return size;
    return cut_by_content(chunker, bytes, size);
}
