/* The encoder, eight windows at a time.
 *
 * Hashing costs little more than a cycle a window; putting each into its block costs more. So
 * windows that cannot lower any minimum are dropped in registers: the 256 minima are summed up as
 * 8 bounds, each the largest minimum of the 32 blocks that are equal modulo 8, and a window whose
 * priority is not below its bound changes nothing. Bounds only fall, so old ones are merely less
 * sharp. Neither does a window change anything that equals the one 8 places before, which makes
 * runs and short periods cheap.
 *
 * Blocks that no window reached are filled as eg_encode_finish does, in vectors: first one attempt
 * for 8 blocks at a time, then, when fewer are left, 8 attempts for each. */
#include "compute/avx2/avx2.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "compute/avx2/lanes.h"
#include "vsa/encode.h"

enum {
    LANES = 8,
    STAGE_MIN = 128, /* windows between two updates of the bounds */
    STAGE_MAX = 1024,
    PROBE_LIMIT = 65536,
    ODD = 0xAA
};

typedef struct secrets {
    __m256i s1, s2;
} secrets;

static inline secrets secrets_make(const engram_codebook *codebook)
{
    return (secrets){_mm256_set1_epi64x((long long)codebook->s1),
                     _mm256_set1_epi64x((long long)codebook->s2)};
}

/* From 4 products each: the folded hashes of the even lanes and of the odd lanes. */
static inline __m256i fold(__m256i even, __m256i odd)
{
    __m256i straight = _mm256_blend_epi32(even, odd, ODD);
    __m256i crossed = _mm256_blend_epi32(odd, even, ODD);
    return _mm256_xor_si256(straight, _mm256_shuffle_epi32(crossed, 0xB1));
}

static inline __m256i multiply_halves(__m256i x)
{
    return _mm256_mul_epu32(x, _mm256_srli_epi64(x, 32));
}

static inline __m256i hash_product(secrets s, __m256i x)
{
    __m256i p = multiply_halves(_mm256_xor_si256(x, s.s1));
    return multiply_halves(_mm256_xor_si256(p, s.s2));
}

/* Hashes of high << 32 | low, lane by lane. */
static inline __m256i hash_pairs(secrets s, __m256i low, __m256i high)
{
    __m256i even = _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), ODD);
    __m256i odd = _mm256_blend_epi32(_mm256_srli_epi64(low, 32), high, ODD);
    return fold(hash_product(s, even), hash_product(s, odd));
}

/* Hashes of the 8 windows that begin at bytes[0..7]; reads 16 bytes, the last for nothing. */
static inline __m256i hash_windows(secrets s, const uint8_t *bytes)
{
    const __m256i ascending =
        _mm256_set_epi8(10, 9, 8, 7, 6, 5, 4, 3, 9, 8, 7, 6, 5, 4, 3, 2, /* windows 3, 2 */
                        8, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0); /* 1, 0 */
    const __m256i next = _mm256_add_epi8(ascending, _mm256_set1_epi8(4));
    __m256i run = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
    return fold(hash_product(s, _mm256_shuffle_epi8(run, ascending)),
                hash_product(s, _mm256_shuffle_epi8(run, next)));
}

/* As signed numbers: an empty block is above every priority. */
static inline __m256i bounds_make(const uint32_t *minima)
{
    __m256i bounds = _mm256_load_si256((const __m256i *)minima);
    for (unsigned i = LANES; i < ENGRAM_BLOCKS; i += LANES)
        bounds = _mm256_max_epu32(bounds, _mm256_load_si256((const __m256i *)(minima + i)));
    return _mm256_and_si256(bounds, _mm256_set1_epi32(INT32_MAX));
}

static inline void keep_smallest(uint32_t *minima, uint32_t hash)
{
    uint32_t priority = hash & ENGRAM_PRIORITY_MAX;
    uint32_t smallest = minima[hash >> 24];
    minima[hash >> 24] = priority < smallest ? priority : smallest;
}

static inline unsigned mask_of(__m256i lanes)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

/* Of count * 8 windows. A loop of its own: hashing and choosing in one is a chain of some 45 cycles
 * for each 8 windows, of which a processor has too few under way at a time. */
static inline void hash_all(secrets s, const uint8_t *bytes, size_t count, __m256i *hashes)
{
    for (size_t i = 0; i < count; i++)
        hashes[i] = hash_windows(s, bytes + i * LANES);
}

/* Windows that may lower a minimum, taken apart while they are in registers. */
typedef struct candidates {
    uint32_t blocks[STAGE_MAX + LANES], priorities[STAGE_MAX + LANES];
} candidates;

static inline unsigned filter(const __m256i *hashes, size_t count, __m256i bounds, candidates *c)
{
    const __m256i priority_mask = _mm256_set1_epi32(ENGRAM_PRIORITY_MAX);
    __m256i seen = _mm256_setzero_si256();
    unsigned kept = 0;
    for (size_t i = 0; i < count; i++) {
        __m256i block = _mm256_srli_epi32(hashes[i], 24);
        __m256i priority = _mm256_and_si256(hashes[i], priority_mask);
        __m256i below = _mm256_cmpgt_epi32(_mm256_permutevar8x32_epi32(bounds, block), priority);
        if (i > 0)
            seen = _mm256_cmpeq_epi32(hashes[i], hashes[i - 1]);
        unsigned keep = mask_of(_mm256_andnot_si256(seen, below));
        eg_avx2_append(c->blocks, kept, keep, block);
        kept = eg_avx2_append(c->priorities, kept, keep, priority);
    }
    return kept;
}

static inline void keep_all(uint32_t *minima, const candidates *c, unsigned count)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++) {
        uint32_t priority = c->priorities[i], smallest = minima[c->blocks[i]];
        minima[c->blocks[i]] = priority < smallest ? priority : smallest;
    }
}

/* windows >= 8. The last 8 are taken from a copy, because the load reads one byte more, and some
 * of them twice: a window that is seen again changes nothing. */
static void scan(const engram_codebook *codebook, const uint8_t *bytes, size_t windows,
                 uint32_t *minima)
{
    const secrets s = secrets_make(codebook);
    __m256i hashes[STAGE_MAX / LANES];
    candidates c;
    const size_t whole = (windows - 1) & ~(size_t)(LANES - 1);
    for (size_t done = 0, stage; done < whole; done += stage) {
        stage = done / 4 < STAGE_MIN ? STAGE_MIN : done / 4 & ~(size_t)(LANES - 1);
        stage = stage > STAGE_MAX ? STAGE_MAX : stage;
        stage = stage > whole - done ? whole - done : stage;
        hash_all(s, bytes + done, stage / LANES, hashes);
        keep_all(minima, &c, filter(hashes, stage / LANES, bounds_make(minima), &c));
    }
    uint8_t tail[2 * LANES] = {0};
    memcpy(tail, bytes + windows - LANES, LANES + ENGRAM_WINDOW - 1);
    hash_all(s, tail, 1, hashes);
    keep_all(minima, &c, filter(hashes, 1, bounds_make(minima), &c));
}

/* The low bytes of 8 numbers. */
static inline uint64_t low_bytes(__m256i values)
{
    const __m256i pick =
        _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                         -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1);
    __m256i picked = _mm256_shuffle_epi8(values, pick);
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_or_si128(_mm256_castsi256_si128(picked), _mm256_extracti128_si256(picked, 1)));
}

static inline uint32_t sum_lanes(__m256i sum)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
    return (uint32_t)_mm_extract_epi32(half, 0) + (uint32_t)_mm_extract_epi32(half, 1);
}

/* Symbols of the blocks, right for those that a window reached; their bits; the spread. */
static unsigned take_winners(const uint32_t *minima, uint8_t *reached, uint8_t *vector,
                             uint32_t *spread)
{
    const __m256i priority_mask = _mm256_set1_epi32(ENGRAM_PRIORITY_MAX);
    __m256i sum = _mm256_setzero_si256();
    unsigned count = 0;
    for (unsigned i = 0; i < ENGRAM_BLOCKS / LANES; i++) {
        __m256i smallest = _mm256_load_si256((const __m256i *)(minima + i * LANES));
        reached[i] = (uint8_t)~mask_of(smallest); /* only an empty block has the top bit */
        count += (unsigned)__builtin_popcount(reached[i]);
        sum = _mm256_add_epi32(sum, _mm256_and_si256(smallest, priority_mask));
        eg_put_u64(vector + i * LANES, low_bytes(smallest));
    }
    *spread = sum_lanes(sum);
    return count;
}

typedef struct fill {
    secrets secrets;
    __m256i reached; /* 256 bits */
    const uint8_t *reached_bytes;
    unsigned pending_count, found_count;
    uint32_t pending[ENGRAM_BLOCKS + LANES];  /* blocks still empty */
    uint32_t found[ENGRAM_BLOCKS + LANES];    /* blocks that found */
    uint32_t found_at[ENGRAM_BLOCKS + LANES]; /* a block that a window reached */
} fill;

static inline unsigned test_reached(const fill *f, __m256i blocks)
{
    __m256i words = _mm256_permutevar8x32_epi32(f->reached, _mm256_srli_epi32(blocks, 5));
    __m256i shift = _mm256_andnot_si256(blocks, _mm256_set1_epi32(31)); /* bit to the top */
    return mask_of(_mm256_sllv_epi32(words, shift));
}

static void fill_start(fill *f, const engram_codebook *codebook, const uint8_t *reached)
{
    __m256i blocks = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    f->secrets = secrets_make(codebook);
    f->reached = _mm256_loadu_si256((const __m256i *)reached);
    f->reached_bytes = reached;
    f->pending_count = f->found_count = 0;
    for (unsigned i = 0; i < ENGRAM_BLOCKS / LANES; i++) {
        f->pending_count =
            eg_avx2_append(f->pending, f->pending_count, (uint8_t)~reached[i], blocks);
        blocks = _mm256_add_epi32(blocks, _mm256_set1_epi32(LANES));
    }
}

/* One attempt for every pending block. */
static void probe_all(fill *f, unsigned attempt)
{
    unsigned left = f->pending_count, kept = 0;
    for (unsigned i = 0; i < left; i += LANES) {
        unsigned used = left - i < LANES ? (1u << (left - i)) - 1 : 0xFF;
        __m256i blocks = _mm256_loadu_si256((const __m256i *)(f->pending + i));
        __m256i at =
            _mm256_srli_epi32(hash_pairs(f->secrets, blocks, _mm256_set1_epi32((int)attempt)), 24);
        unsigned hit = test_reached(f, at) & used;
        eg_avx2_append(f->found_at, f->found_count, hit, at);
        f->found_count = eg_avx2_append(f->found, f->found_count, hit, blocks);
        kept = eg_avx2_append(f->pending, kept, used & ~hit, blocks);
    }
    f->pending_count = kept;
}

static bool is_reached(const uint8_t *reached, unsigned block)
{
    return (reached[block / 8] >> (block % 8) & 1) != 0;
}

/* All attempts from `attempt` on for one block. */
static unsigned probe_one(const fill *f, unsigned block, unsigned attempt)
{
    const __m256i low = _mm256_set1_epi32((int)block);
    __m256i high = _mm256_add_epi32(_mm256_set1_epi32((int)attempt),
                                    _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    for (; attempt <= PROBE_LIMIT; attempt += LANES) {
        uint32_t at[LANES];
        __m256i blocks = _mm256_srli_epi32(hash_pairs(f->secrets, low, high), 24);
        unsigned hits = test_reached(f, blocks), left = PROBE_LIMIT + 1 - attempt;
        if (left < LANES)
            hits &= (1u << left) - 1;
        _mm256_storeu_si256((__m256i *)at, blocks);
        if (hits != 0)
            return at[__builtin_ctz(hits)];
        high = _mm256_add_epi32(high, _mm256_set1_epi32(LANES));
    }
    do
        block = (block + 1) % ENGRAM_BLOCKS;
    while (!is_reached(f->reached_bytes, block));
    return block;
}

static void find_donors(fill *f, unsigned reached_count)
{
    unsigned attempt = 1;
    for (; f->pending_count >= LANES && attempt <= PROBE_LIMIT && reached_count > 1; attempt++)
        probe_all(f, attempt);
    unsigned only = 0; /* when one block alone was reached, every path ends there */
    while (reached_count == 1 && !is_reached(f->reached_bytes, only))
        only++;
    for (unsigned i = 0; i < f->pending_count; i++) {
        unsigned block = f->pending[i];
        f->found[f->found_count] = block;
        f->found_at[f->found_count++] = reached_count == 1 ? only : probe_one(f, block, attempt);
    }
}

static void write_symbols(fill *f, const uint32_t *minima, uint8_t *vector)
{
    memset(f->found + f->found_count, 0, LANES * sizeof f->found[0]);
    memset(f->found_at + f->found_count, 0, LANES * sizeof f->found_at[0]);
    for (unsigned i = 0; i < f->found_count; i += LANES) {
        uint32_t symbols[LANES];
        unsigned left = f->found_count - i;
        __m256i at = _mm256_loadu_si256((const __m256i *)(f->found_at + i));
        __m256i block = _mm256_loadu_si256((const __m256i *)(f->found + i));
        __m256i winner = _mm256_or_si256(_mm256_slli_epi32(at, 24),
                                         _mm256_i32gather_epi32((const int *)minima, at, 4));
        block = _mm256_add_epi32(block, _mm256_set1_epi32(1));
        _mm256_storeu_si256((__m256i *)symbols, hash_pairs(f->secrets, winner, block));
        for (unsigned n = 0; n < LANES && n < left; n++)
            vector[f->found[i + n]] = (uint8_t)symbols[n];
    }
}

void eg_avx2_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                    uint8_t *vector, uint32_t *spread)
{
    _Alignas(32) uint32_t minima[ENGRAM_BLOCKS];
    uint8_t reached[ENGRAM_BLOCKS / LANES];
    memset(minima, 0xFF, sizeof minima);
    if (size < ENGRAM_WINDOW)
        keep_smallest(minima, eg_window_hash(codebook, eg_short_window(bytes, size)));
    else if (size - ENGRAM_WINDOW + 1 >= LANES)
        scan(codebook, bytes, size - ENGRAM_WINDOW + 1, minima);
    else
        for (size_t i = 0; i + ENGRAM_WINDOW <= size; i++)
            keep_smallest(minima, eg_window_hash(codebook, eg_get_u64(bytes + i)));

    unsigned count = take_winners(minima, reached, vector, spread);
    if (count == ENGRAM_BLOCKS)
        return;
    fill f;
    fill_start(&f, codebook, reached);
    find_donors(&f, count);
    write_symbols(&f, minima, vector);
}
