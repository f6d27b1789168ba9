/* The encoder, sixteen windows at a time.
 *
 * Hashing costs about one cycle a window; putting each into its block costs more. So windows that
 * cannot lower any minimum are dropped in registers: the 256 minima are summed up as 32 bounds,
 * each the largest minimum of the 8 blocks that are equal modulo 32, and a window whose priority
 * is not below its bound changes nothing. Bounds only fall, so old ones are merely less sharp.
 * Neither does a window change anything that equals the one 16 places before, which makes runs
 * and short periods cheap. What is left is compressed in a register and stored whole: compressing
 * to memory is microcoded on some processors and far slower.
 *
 * Blocks that no window reached are filled as eg_encode_finish does, in vectors: first one attempt
 * for 16 blocks at a time, then, when fewer are left, 16 attempts for each. */
#include "compute/avx512/avx512.h"

#include <immintrin.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "vsa/encode.h"

enum {
    LANES = 16,
    STAGE_MIN = 128, /* windows between two updates of the bounds */
    STAGE_MAX = 1024,
    PROBE_LIMIT = 65536
};

typedef struct secrets {
    __m512i s1, s2;
} secrets;

static inline secrets secrets_make(const engram_codebook *codebook)
{
    return (secrets){_mm512_set1_epi64((long long)codebook->s1),
                     _mm512_set1_epi64((long long)codebook->s2)};
}

/* q: 8 products each; the low half of the even lanes and of the odd lanes, folded. */
static inline __m512i fold(__m512i even, __m512i odd)
{
    __m512i straight = _mm512_mask_blend_epi32(0xAAAA, even, odd);
    __m512i crossed = _mm512_mask_blend_epi32(0xAAAA, odd, even);
    return _mm512_xor_si512(straight, _mm512_ror_epi64(crossed, 32));
}

static inline __m512i multiply_halves(__m512i x)
{
    return _mm512_mul_epu32(x, _mm512_srli_epi64(x, 32));
}

/* Product of the 8 windows x. */
static inline __m512i hash_product(secrets s, __m512i x)
{
    __m512i p = multiply_halves(_mm512_xor_si512(x, s.s1));
    return multiply_halves(_mm512_xor_si512(p, s.s2));
}

/* Hashes of high << 32 | low, lane by lane. */
static inline __m512i hash_pairs(secrets s, __m512i low, __m512i high)
{
    __m512i even = _mm512_mask_blend_epi32(0xAAAA, low, _mm512_slli_epi64(high, 32));
    __m512i odd = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(low, 32), high);
    return fold(hash_product(s, even), hash_product(s, odd));
}

/* Hashes of the 16 windows that begin at bytes[0..15]; reads 23 bytes. */
static inline __m512i hash_windows(secrets s, const uint8_t *bytes)
{
    const __m512i ascending =
        _mm512_set_epi8(14, 13, 12, 11, 10, 9, 8, 7, 13, 12, 11, 10, 9, 8, 7, 6, /* windows 7, 6 */
                        12, 11, 10, 9, 8, 7, 6, 5, 11, 10, 9, 8, 7, 6, 5, 4,     /* 5, 4 */
                        10, 9, 8, 7, 6, 5, 4, 3, 9, 8, 7, 6, 5, 4, 3, 2,         /* 3, 2 */
                        8, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0);         /* 1, 0 */
    const __m512i next = _mm512_add_epi8(ascending, _mm512_set1_epi8(1));
    __m512i first = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)bytes));
    __m512i second = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(bytes + 7)));
    return fold(hash_product(s, _mm512_shuffle_epi8(first, ascending)),
                hash_product(s, _mm512_shuffle_epi8(second, next)));
}

typedef struct bounds {
    __m512i low, high; /* of the blocks equal to 0..15 and 16..31 modulo 32 */
} bounds;

static inline bounds bounds_make(const uint32_t *minima)
{
    bounds b = {_mm512_load_si512(minima), _mm512_load_si512(minima + LANES)};
    for (unsigned i = 2 * LANES; i < ENGRAM_BLOCKS; i += 2 * LANES) {
        b.low = _mm512_max_epu32(b.low, _mm512_load_si512(minima + i));
        b.high = _mm512_max_epu32(b.high, _mm512_load_si512(minima + i + LANES));
    }
    return b;
}

static inline unsigned append(uint32_t *list, unsigned count, __mmask16 keep, __m512i values)
{
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(keep, values));
    return count + (unsigned)__builtin_popcount(keep);
}

static inline void keep_smallest(uint32_t *minima, uint32_t hash)
{
    uint32_t priority = hash & ENGRAM_PRIORITY_MAX;
    uint32_t smallest = minima[hash >> 24];
    minima[hash >> 24] = priority < smallest ? priority : smallest;
}

/* Hashes count * 16 windows and lists those that may lower a minimum. */
static inline unsigned filter(secrets s, const uint8_t *bytes, size_t count, bounds b,
                              uint32_t *list)
{
    const __m512i priority_mask = _mm512_set1_epi32(ENGRAM_PRIORITY_MAX);
    __m512i previous = _mm512_setzero_si512();
    __mmask16 fresh = 0xFFFF;
    unsigned kept = 0;
    for (size_t i = 0; i < count; i++, bytes += LANES) {
        __m512i hashes = hash_windows(s, bytes);
        __m512i bound = _mm512_permutex2var_epi32(b.low, _mm512_srli_epi32(hashes, 24), b.high);
        __m512i priority = _mm512_and_si512(hashes, priority_mask);
        if (i > 0)
            fresh = _mm512_cmpneq_epi32_mask(hashes, previous);
        kept = append(list, kept, _mm512_mask_cmplt_epu32_mask(fresh, priority, bound), hashes);
        previous = hashes;
    }
    return kept;
}

static inline void keep_all(uint32_t *minima, const uint32_t *hashes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        keep_smallest(minima, hashes[i]);
}

/* windows >= 16. Of the last 16 some may be taken twice: a window that is seen again changes
 * nothing. */
static void scan(const engram_codebook *codebook, const uint8_t *bytes, size_t windows,
                 uint32_t *minima)
{
    const secrets s = secrets_make(codebook);
    uint32_t list[STAGE_MAX + LANES];
    const size_t whole = windows & ~(size_t)(LANES - 1);
    for (size_t done = 0, stage; done < whole; done += stage) {
        stage = done / 4 < STAGE_MIN ? STAGE_MIN : done / 4 & ~(size_t)(LANES - 1);
        stage = stage > STAGE_MAX ? STAGE_MAX : stage;
        stage = stage > whole - done ? whole - done : stage;
        keep_all(minima, list, filter(s, bytes + done, stage / LANES, bounds_make(minima), list));
    }
    if (whole < windows)
        keep_all(minima, list, filter(s, bytes + windows - LANES, 1, bounds_make(minima), list));
}

/* Modulo 2^32; the compiler's own reduction adds signed numbers, which must not overflow. */
static inline uint32_t sum_lanes(__m512i lanes)
{
    __m256i sum =
        _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
    return (uint32_t)_mm_extract_epi32(half, 0) + (uint32_t)_mm_extract_epi32(half, 1);
}

/* Symbols of the blocks, right for those that a window reached; their bits; the spread. */
static unsigned take_winners(const uint32_t *minima, uint16_t *reached, uint8_t *vector,
                             uint32_t *spread)
{
    const __m512i priority_mask = _mm512_set1_epi32(ENGRAM_PRIORITY_MAX);
    __m512i sum = _mm512_setzero_si512();
    unsigned count = 0;
    for (unsigned i = 0; i < ENGRAM_BLOCKS / LANES; i++) {
        __m512i smallest = _mm512_load_si512(minima + i * LANES);
        reached[i] = _mm512_cmpneq_epi32_mask(smallest, _mm512_set1_epi32(-1));
        count += (unsigned)__builtin_popcount(reached[i]);
        sum = _mm512_add_epi32(sum, _mm512_and_si512(smallest, priority_mask));
        _mm_storeu_si128((__m128i *)(vector + i * LANES), _mm512_cvtepi32_epi8(smallest));
    }
    *spread = sum_lanes(sum);
    return count;
}

typedef struct fill {
    secrets secrets;
    __m512i reached; /* 256 bits, twice */
    const uint16_t *reached_words;
    unsigned pending_count, found_count;
    uint32_t pending[ENGRAM_BLOCKS + LANES];  /* blocks still empty */
    uint32_t found[ENGRAM_BLOCKS + LANES];    /* blocks that found */
    uint32_t found_at[ENGRAM_BLOCKS + LANES]; /* a block that a window reached */
} fill;

static inline __mmask16 test_reached(const fill *f, __m512i blocks)
{
    __m512i words = _mm512_permutexvar_epi32(_mm512_srli_epi32(blocks, 5), f->reached);
    __m512i bits =
        _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_and_si512(blocks, _mm512_set1_epi32(31)));
    return _mm512_test_epi32_mask(words, bits);
}

static void fill_start(fill *f, const engram_codebook *codebook, const uint16_t *reached)
{
    __m512i blocks = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    f->secrets = secrets_make(codebook);
    f->reached = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)reached));
    f->reached_words = reached;
    f->pending_count = f->found_count = 0;
    for (unsigned i = 0; i < ENGRAM_BLOCKS / LANES; i++) {
        f->pending_count = append(f->pending, f->pending_count, (__mmask16)~reached[i], blocks);
        blocks = _mm512_add_epi32(blocks, _mm512_set1_epi32(LANES));
    }
}

/* One attempt for every pending block. */
static void probe_all(fill *f, unsigned attempt)
{
    unsigned left = f->pending_count, kept = 0;
    for (unsigned i = 0; i < left; i += LANES) {
        __mmask16 used = left - i < LANES ? (__mmask16)((1u << (left - i)) - 1) : 0xFFFF;
        __m512i blocks = _mm512_loadu_si512(f->pending + i);
        __m512i at =
            _mm512_srli_epi32(hash_pairs(f->secrets, blocks, _mm512_set1_epi32((int)attempt)), 24);
        __mmask16 hit = test_reached(f, at) & used;
        append(f->found_at, f->found_count, hit, at);
        f->found_count = append(f->found, f->found_count, hit, blocks);
        kept = append(f->pending, kept, (__mmask16)(used & ~hit), blocks);
    }
    f->pending_count = kept;
}

static bool is_reached(const uint16_t *reached, unsigned block)
{
    return (reached[block / LANES] >> (block % LANES) & 1) != 0;
}

/* All attempts from `attempt` on for one block. */
static unsigned probe_one(const fill *f, unsigned block, unsigned attempt)
{
    const __m512i low = _mm512_set1_epi32((int)block);
    __m512i high =
        _mm512_add_epi32(_mm512_set1_epi32((int)attempt),
                         _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    for (; attempt <= PROBE_LIMIT; attempt += LANES) {
        uint32_t at[LANES];
        __m512i blocks = _mm512_srli_epi32(hash_pairs(f->secrets, low, high), 24);
        unsigned hits = test_reached(f, blocks), left = PROBE_LIMIT + 1 - attempt;
        if (left < LANES)
            hits &= (1u << left) - 1;
        _mm512_storeu_si512(at, blocks);
        if (hits != 0)
            return at[__builtin_ctz(hits)];
        high = _mm512_add_epi32(high, _mm512_set1_epi32(LANES));
    }
    do
        block = (block + 1) % ENGRAM_BLOCKS;
    while (!is_reached(f->reached_words, block));
    return block;
}

static void find_donors(fill *f, unsigned reached_count)
{
    unsigned attempt = 1;
    for (; f->pending_count >= LANES && attempt <= PROBE_LIMIT && reached_count > 1; attempt++)
        probe_all(f, attempt);
    unsigned only = 0; /* when one block alone was reached, every path ends there */
    while (reached_count == 1 && !is_reached(f->reached_words, only))
        only++;
    for (unsigned i = 0; i < f->pending_count; i++) {
        unsigned block = f->pending[i];
        f->found[f->found_count] = block;
        f->found_at[f->found_count++] = reached_count == 1 ? only : probe_one(f, block, attempt);
    }
}

static void write_symbols(const fill *f, const uint32_t *minima, uint8_t *vector)
{
    for (unsigned i = 0; i < f->found_count; i += LANES) {
        uint32_t symbols[LANES];
        unsigned left = f->found_count - i;
        __mmask16 used = left < LANES ? (__mmask16)((1u << left) - 1) : 0xFFFF;
        __m512i at = _mm512_maskz_loadu_epi32(used, f->found_at + i);
        __m512i block = _mm512_maskz_loadu_epi32(used, f->found + i);
        __m512i winner =
            _mm512_or_si512(_mm512_slli_epi32(at, 24), _mm512_i32gather_epi32(at, minima, 4));
        block = _mm512_add_epi32(block, _mm512_set1_epi32(1));
        _mm512_storeu_si512(symbols, hash_pairs(f->secrets, winner, block));
        for (unsigned n = 0; n < LANES && n < left; n++)
            vector[f->found[i + n]] = (uint8_t)symbols[n];
    }
}

void eg_avx512_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                      uint8_t *vector, uint32_t *spread)
{
    _Alignas(64) uint32_t minima[ENGRAM_BLOCKS];
    uint16_t reached[ENGRAM_BLOCKS / LANES];
    for (unsigned i = 0; i < ENGRAM_BLOCKS; i += LANES)
        _mm512_store_si512(minima + i, _mm512_set1_epi32(-1));
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
