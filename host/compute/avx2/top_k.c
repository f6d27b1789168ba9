/* The exact scan of a batch of queries, 256 rows at a time, a bit for each row.
 *
 * A tile of 256 vectors, in rows or in planes, is turned into eight times 256 bits for each block:
 * which rows have which bit set in their symbol. A symbol is two nibbles. 16 masks say which rows
 * have a certain low nibble there, and 16 which have a certain high one; where a query agrees is the
 * AND of two of them. The masks are made once for all queries. Agreements are counted in bits, too: carry-save
 * adders take 16 blocks to a number of four bits for each row and a carry, which few rows have. All
 * of it takes about six operations on 256 bits for a pair, where comparing bytes takes twenty;
 * making the masks takes about 170 for a row, so few queries are faster row by row (top_k_rows.c,
 * top_k_planes.c).
 *
 * A strip is 16 blocks: its masks stay in the first-level cache while all queries pass. */
#include "compute/avx2/avx2.h"

#include <assert.h>
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "compute/avx2/top_k_singly.h"

enum {
    TILE_ROWS = 256,
    TILE_WORDS = TILE_ROWS / 64,
    LANES = 8, /* of 32 rows, one after the other */
    LANE_ROWS = TILE_ROWS / LANES,
    STRIP_BLOCKS = 16,
    STRIPS = ENGRAM_BLOCKS / STRIP_BLOCKS,
    PLANES = EG_PLANES,
    HALF_PLANE = EG_PLANE_SIZE / 2,
    HALF_BLOCKS = ENGRAM_BLOCKS / 2,
    HALF_STRIPS = STRIPS / 2,
    NIBBLES = 16,
    QUERIES_MIN = 32, /* fewer are faster row by row */
    QUERIES_MAX = 128,
    LIVE_MIN = TILE_ROWS / 4, /* of a tile, the same */
    SUM_BITS = 4,             /* of a count: what the blocks of a strip add to, */
    SIXTEENS_BITS = 5,        /* and how often that was full */
    COUNT_BITS = SUM_BITS + SIXTEENS_BITS,
    LINE_SIZE = 64
};

/* Bit 8 * j + i of a mask is row LANE_ROWS * i + j of the tile. */
typedef struct block_masks {
    __m256i low[NIBBLES], high[NIBBLES];
} block_masks;

/* The byte offsets of a symbol's masks in low and high, by 8. */
typedef struct mask_places {
    uint8_t low, high;
} mask_places;

/* What is used together lies together: it must stay in the first-level cache beside the masks. */
typedef struct batch {
    size_t query_count;
    eg_top *tops;
    size_t open_count;
    uint8_t open[QUERIES_MAX]; /* queries whose bar a row of this tile can still reach */
    bool is_in_planes;
    block_masks strip[STRIP_BLOCKS];
    __m256i sums[QUERIES_MAX][SUM_BITS]; /* numbers for each row, lowest bit first */
    __m256i sixteens[QUERIES_MAX][SIXTEENS_BITS];
    mask_places places[STRIPS][QUERIES_MAX][STRIP_BLOCKS];
    /* Of half the blocks of the tile at hand, in the order of block_at. Two more: else the bits of a
     * block would be in one set of the cache. */
    __m256i bits[PLANES][HALF_BLOCKS + 2];
} batch;

/* The places of the masks of 16 symbols. */
static inline void find_places(const uint8_t *symbols, mask_places *places)
{
    enum { UNIT = sizeof(__m256i) / 8 };
    static_assert(UNIT == 4, "shifts by 2 below");
    const __m128i unit = _mm_set1_epi8((NIBBLES - 1) * UNIT);
    __m128i symbol = _mm_loadu_si128((const __m128i *)symbols);
    __m128i low = _mm_and_si128(_mm_slli_epi16(symbol, 2), unit);
    __m128i high = _mm_and_si128(_mm_srli_epi16(symbol, 2), unit);
    _mm_storeu_si128((__m128i *)places, _mm_unpacklo_epi8(low, high));
    _mm_storeu_si128((__m128i *)places + 1, _mm_unpackhi_epi8(low, high));
}

/* The blocks of rows are turned in their order; of planes, byte after byte of all planes is turned,
 * and has bits of eight blocks. */
static inline unsigned block_at(bool is_in_planes, unsigned at)
{
    return is_in_planes ? EG_PLANE_SIZE * (at % 8) + at / 8 : at;
}

static void batch_start(batch *b, const uint8_t *queries, size_t query_count, eg_layout layout,
                        eg_top *tops)
{
    b->query_count = query_count;
    b->tops = tops;
    b->is_in_planes = layout == EG_LAYOUT_PLANES;
    for (size_t q = 0; q < query_count; q++) {
        uint8_t symbols[ENGRAM_BLOCKS];
        for (unsigned at = 0; at < ENGRAM_BLOCKS; at++)
            symbols[at] = queries[q * ENGRAM_BLOCKS + block_at(b->is_in_planes, at)];
        for (unsigned s = 0; s < STRIPS; s++)
            find_places(symbols + s * STRIP_BLOCKS, b->places[s][q]);
    }
}

/* Turns the 16 x 16 bytes in each half of 16 registers. */
static inline void turn_bytes(__m256i *x)
{
#pragma GCC unroll 4
    for (unsigned stage = 0; stage < 4; stage++) {
        __m256i y[STRIP_BLOCKS];
#pragma GCC unroll 8
        for (unsigned i = 0; i < STRIP_BLOCKS / 2; i++) {
            y[2 * i] = _mm256_unpacklo_epi8(x[i], x[i + STRIP_BLOCKS / 2]);
            y[2 * i + 1] = _mm256_unpackhi_epi8(x[i], x[i + STRIP_BLOCKS / 2]);
        }
#pragma GCC unroll 16
        for (unsigned i = 0; i < STRIP_BLOCKS; i++)
            x[i] = y[i];
    }
}

/* Byte i of 16 of each of 32 rows, which are step bytes apart, becomes columns[i][lane]. */
static void turn_lane(const uint8_t *of, size_t step, __m256i (*columns)[LANES], unsigned lane)
{
    __m256i x[STRIP_BLOCKS];
#pragma GCC unroll 16
    for (unsigned i = 0; i < STRIP_BLOCKS; i++) {
        const __m128i *low = (const __m128i *)(of + i * step);
        const __m128i *high = (const __m128i *)(of + (i + STRIP_BLOCKS) * step);
        x[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128(low)),
                                       _mm_load_si128(high), 1);
    }
    turn_bytes(x);
#pragma GCC unroll 16
    for (unsigned i = 0; i < STRIP_BLOCKS; i++)
        columns[i][lane] = x[i];
}

static void turn_lanes(const uint8_t *of, size_t step, __m256i (*columns)[LANES])
{
    for (unsigned lane = 0; lane < LANES; lane++)
        turn_lane(of + lane * LANE_ROWS * step, step, columns, lane);
}

/* Swaps the odd groups of shift bits of x with the even ones of y. */
static inline void swap_groups(__m256i *x, __m256i *y, int shift, uint8_t even)
{
    __m256i differ = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi64(*x, shift), *y),
                                      _mm256_set1_epi8((char)even));
    *y = _mm256_xor_si256(*y, differ);
    *x = _mm256_xor_si256(*x, _mm256_slli_epi64(differ, shift));
}

/* Turns the 8 x 8 bits at each byte of eight registers: register p becomes bit p of all. */
static inline void turn_bits(__m256i *x)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&x[i], &x[i + 4], 4, 0x0F);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&x[i + (i & 2)], &x[i + (i & 2) + 2], 2, 0x33);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&x[2 * i], &x[2 * i + 1], 1, 0x55);
}

static inline void two_bit_masks(__m256i bit0, __m256i bit1, __m256i *masks)
{
    masks[3] = _mm256_and_si256(bit0, bit1);
    masks[2] = _mm256_andnot_si256(bit0, bit1);
    masks[1] = _mm256_andnot_si256(bit1, bit0);
    masks[0] = _mm256_andnot_si256(_mm256_or_si256(bit0, bit1), _mm256_set1_epi8(-1));
}

static inline void nibble_masks(const __m256i *bits, __m256i *masks)
{
    __m256i low[4], high[4];
    two_bit_masks(bits[0], bits[1], low);
    two_bit_masks(bits[2], bits[3], high);
#pragma GCC unroll 16
    for (unsigned n = 0; n < NIBBLES; n++)
        masks[n] = _mm256_and_si256(low[n % 4], high[n / 4]);
}

/* The bits of a strip of a tile in rows. */
static void turn_rows(batch *b, const uint8_t *rows, unsigned strip)
{
    __m256i columns[STRIP_BLOCKS][LANES];
    turn_lanes(rows + strip * STRIP_BLOCKS, ENGRAM_BLOCKS, columns);
    for (unsigned i = 0; i < STRIP_BLOCKS; i++) {
        turn_bits(columns[i]);
        for (unsigned p = 0; p < PLANES; p++)
            b->bits[p][strip % HALF_STRIPS * STRIP_BLOCKS + i] = columns[i][p];
    }
}

/* Bit p of 128 blocks of a tile in planes: half a plane. */
static void turn_plane(batch *b, const uint8_t *plane, size_t step, unsigned p, unsigned half)
{
    __m256i columns[STRIP_BLOCKS][LANES];
    turn_lanes(plane + half * HALF_PLANE, step, columns);
    for (unsigned i = 0; i < HALF_PLANE; i++) {
        turn_bits(columns[i]);
        for (unsigned block = 0; block < 8; block++)
            b->bits[p][8 * i + block] = columns[i][block];
    }
}

typedef struct tile {
    const uint8_t *rows, *rests; /* of planes: leads and rests */
} tile;

/* All planes of 128 blocks. */
static void turn_planes(batch *b, const tile *t, unsigned half)
{
    for (unsigned p = 0; p < EG_LEAD_PLANES; p++)
        turn_plane(b, t->rows + p * EG_PLANE_SIZE, EG_LEAD_SIZE, p, half);
    for (unsigned p = EG_LEAD_PLANES; p < PLANES; p++)
        turn_plane(b, t->rests + (p - EG_LEAD_PLANES) * EG_PLANE_SIZE, EG_REST_SIZE, p, half);
}

static void make_strip(batch *b, const tile *t, unsigned strip)
{
    if (!b->is_in_planes)
        turn_rows(b, t->rows, strip);
    else if (strip % HALF_STRIPS == 0)
        turn_planes(b, t, strip / HALF_STRIPS);
    for (unsigned i = 0; i < STRIP_BLOCKS; i++) {
        __m256i bits[PLANES];
#pragma GCC unroll 8
        for (unsigned p = 0; p < PLANES; p++)
            bits[p] = b->bits[p][strip % HALF_STRIPS * STRIP_BLOCKS + i];
        nibble_masks(bits, b->strip[i].low);
        nibble_masks(bits + PLANES / 2, b->strip[i].high);
    }
}

static inline __m256i mask_at(const __m256i *masks, uint8_t place)
{
    return _mm256_load_si256((const __m256i *)((const char *)masks + (size_t)place * 8));
}

static inline __m256i agreement(const block_masks *block, mask_places places)
{
    return _mm256_and_si256(mask_at(block->low, places.low), mask_at(block->high, places.high));
}

/* *sum + a + b: the lower bit stays in *sum, the higher one is the carry. */
static inline __m256i add_bits(__m256i *sum, __m256i a, __m256i b)
{
    __m256i differ = _mm256_xor_si256(a, b);
    __m256i carry = _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(differ, *sum));
    *sum = _mm256_xor_si256(differ, *sum);
    return carry;
}

/* Adds the agreements of two, four, eight blocks to the lowest bits; the result is the carry. */
static inline __m256i add_2(__m256i *bits, const block_masks *blocks, const mask_places *places)
{
    return add_bits(bits, agreement(blocks, places[0]), agreement(blocks + 1, places[1]));
}

static inline __m256i add_4(__m256i *bits, const block_masks *blocks, const mask_places *places)
{
    __m256i a = add_2(bits, blocks, places);
    return add_bits(bits + 1, a, add_2(bits, blocks + 2, places + 2));
}

static inline __m256i add_8(__m256i *bits, const block_masks *blocks, const mask_places *places)
{
    __m256i a = add_4(bits, blocks, places);
    return add_bits(bits + 2, a, add_4(bits, blocks + 4, places + 4));
}

static inline void add_strip(batch *b, size_t q, const mask_places *places)
{
    __m256i bits[SUM_BITS];
#pragma GCC unroll 4
    for (unsigned i = 0; i < SUM_BITS; i++)
        bits[i] = b->sums[q][i];
    __m256i carry = add_8(bits, b->strip, places);
    carry = add_bits(bits + 3, carry, add_8(bits, b->strip + 8, places + 8));
#pragma GCC unroll 4
    for (unsigned i = 0; i < SUM_BITS; i++)
        b->sums[q][i] = bits[i];
    if (__builtin_expect(_mm256_testz_si256(carry, carry), 1))
        return;
#pragma GCC unroll 5
    for (unsigned i = 0; i < SIXTEENS_BITS; i++) {
        __m256i bit = b->sixteens[q][i];
        b->sixteens[q][i] = _mm256_xor_si256(bit, carry);
        carry = _mm256_and_si256(bit, carry);
    }
}

static inline __m256i count_bit(const batch *b, size_t q, unsigned bit)
{
    return bit < SUM_BITS ? b->sums[q][bit] : b->sixteens[q][bit - SUM_BITS];
}

/* The rows whose count would reach the query's bar with so many more: those where count + more +
 * 512 - bar carries into bit 9. A bar may be any number. */
static inline __m256i reach_bar(const batch *b, size_t q, uint32_t more)
{
    const uint32_t bar = b->tops[q].bar;
    if (more >= bar)
        return _mm256_set1_epi8(-1);
    if (bar > ENGRAM_BLOCKS)
        return _mm256_setzero_si256();
    const uint32_t added = (1u << COUNT_BITS) - bar + more;
    __m256i carry = _mm256_setzero_si256();
#pragma GCC unroll 9
    for (unsigned i = 0; i < COUNT_BITS; i++) {
        __m256i a = count_bit(b, q, i), c = _mm256_set1_epi32(-(int)(added >> i & 1));
        carry = _mm256_or_si256(_mm256_and_si256(a, carry),
                                _mm256_and_si256(c, _mm256_or_si256(a, carry)));
    }
    return carry;
}

/* Leaves out the queries for which the rest of the tile cannot change anything. */
static void close_queries(batch *b, uint32_t blocks_left)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->open_count; i++) {
        uint8_t q = b->open[i];
        __m256i rows = reach_bar(b, q, blocks_left);
        b->open[kept] = q;
        kept += !_mm256_testz_si256(rows, rows);
    }
    b->open_count = kept;
}

static void start_tile(batch *b)
{
    b->open_count = b->query_count;
    for (size_t q = 0; q < b->query_count; q++)
        b->open[q] = (uint8_t)q;
    memset(b->sums, 0, b->query_count * sizeof b->sums[0]);
    memset(b->sixteens, 0, b->query_count * sizeof b->sixteens[0]);
}

static uint32_t count_at(const batch *b, size_t q, unsigned row_bit)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < COUNT_BITS; i++) {
        uint8_t bytes[sizeof(__m256i)];
        _mm256_storeu_si256((__m256i *)bytes, count_bit(b, q, i));
        count |= (uint32_t)(bytes[row_bit / 8] >> row_bit % 8 & 1) << i;
    }
    return count;
}

static void offer(batch *b, size_t q, uint64_t first_row, const uint64_t *live)
{
    uint64_t reached[TILE_WORDS];
    _mm256_storeu_si256((__m256i *)reached, reach_bar(b, q, 0));
    for (unsigned word = 0; word < TILE_WORDS; word++)
        for (; reached[word] != 0; reached[word] &= reached[word] - 1) {
            unsigned bit = 64 * word + (unsigned)__builtin_ctzll(reached[word]);
            unsigned row = bit % LANES * LANE_ROWS + bit / LANES;
            uint32_t matches = count_at(b, q, bit);
            bool counts = live == NULL || (live[row / 64] >> row % 64 & 1) != 0;
            if (counts && matches >= b->tops[q].bar)
                eg_top_offer(&b->tops[q], first_row + row, matches);
        }
}

static tile tile_at(const eg_vectors *vectors, size_t i)
{
    const size_t row = vectors->first + i;
    if (vectors->layout == EG_LAYOUT_ROWS)
        return (tile){.rows = vectors->bytes + row * ENGRAM_BLOCKS};
    return (tile){vectors->bytes + eg_planes_lead(row),
                  vectors->bytes + eg_planes_rest(vectors->total, row)};
}

/* A line of the tile, in the order in which it is turned: about. */
static inline const void *line_at(const batch *b, const tile *t, size_t line)
{
    const size_t lead_lines = b->is_in_planes ? TILE_ROWS * EG_LEAD_SIZE / LINE_SIZE : SIZE_MAX;
    return line < lead_lines ? t->rows + line * LINE_SIZE
                             : t->rests + (line - lead_lines) * LINE_SIZE;
}

/* next: the tile behind this one, fetched meanwhile; a hint, it need not be there. */
static void scan_tile(batch *b, const tile *t, uint64_t first_row, const uint64_t *live,
                      const tile *next)
{
    const size_t lines = TILE_ROWS * ENGRAM_BLOCKS / LINE_SIZE;
    const size_t steps = STRIPS * b->query_count, share = (lines + steps - 1) / steps;
    size_t line = 0;
    start_tile(b);
    for (unsigned s = 0; s < STRIPS && b->open_count > 0; s++) {
        make_strip(b, t, s);
        for (size_t i = 0; i < b->open_count; i++) {
            for (size_t n = 0; n < share; n++, line++)
                _mm_prefetch(line_at(b, next, line), _MM_HINT_T1);
            add_strip(b, b->open[i], b->places[s][b->open[i]]);
        }
        if (s % 2 != 0)
            close_queries(b, ENGRAM_BLOCKS - (s + 1) * STRIP_BLOCKS);
    }
    for (size_t i = 0; i < b->open_count; i++)
        offer(b, b->open[i], first_row, live);
}

static unsigned count_live(const uint64_t *live)
{
    unsigned count = 0;
    for (unsigned i = 0; i < TILE_WORDS; i++)
        count += (unsigned)_mm_popcnt_u64(live[i]);
    return count;
}

/* Row by row, for few queries or few rows that count. */
static void scan_singly(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                        uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    if (query_count == 0 || vectors.count == 0)
        return;
    if (vectors.layout == EG_LAYOUT_ROWS)
        eg_avx2_top_k_rows(queries, query_count, vectors.bytes + vectors.first * ENGRAM_BLOCKS,
                           vectors.count, first_row, live, tops);
    else
        eg_avx2_top_k_planes(queries, query_count, vectors, first_row, live, tops);
}

/* As many vectors as a multiple of TILE_ROWS. */
static void scan_tiles(batch *b, const uint8_t *queries, eg_vectors vectors, uint64_t first_row,
                       const uint64_t *live)
{
    for (size_t row = 0; row < vectors.count; row += TILE_ROWS) {
        const uint64_t *tile_live = live == NULL ? NULL : live + row / 64;
        const tile this = tile_at(&vectors, row);
        const tile next = row + TILE_ROWS < vectors.count ? tile_at(&vectors, row + TILE_ROWS) : this;
        if (tile_live != NULL && count_live(tile_live) < LIVE_MIN)
            scan_singly(queries, b->query_count, eg_vectors_part(vectors, row, TILE_ROWS),
                        first_row + row, tile_live, b->tops);
        else
            scan_tile(b, &this, first_row + row, tile_live, &next);
    }
}

void eg_avx2_top_k(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                   uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    const size_t tiled = vectors.count / TILE_ROWS * TILE_ROWS;
    size_t done = 0;
    while (tiled > 0 && query_count - done >= QUERIES_MIN) {
        batch b;
        size_t left = query_count - done, taken = left < QUERIES_MAX ? left : QUERIES_MAX;
        const uint8_t *some = queries + done * ENGRAM_BLOCKS;
        batch_start(&b, some, taken, vectors.layout, tops + done);
        scan_tiles(&b, some, eg_vectors_part(vectors, 0, tiled), first_row, live);
        done += taken;
    }
    /* The rows behind the last tile, for the queries of whole batches; all rows for the others. */
    scan_singly(queries, done, eg_vectors_part(vectors, tiled, vectors.count - tiled),
                first_row + tiled, live == NULL ? NULL : live + tiled / 64, tops);
    scan_singly(queries + done * ENGRAM_BLOCKS, query_count - done, vectors, first_row, live,
                tops + done);
}
