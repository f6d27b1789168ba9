/* The exact scan of a batch of queries in bit planes, whichever way the vectors lie.
 *
 * 256 symbols are 8 planes of 256 bits, and two vectors differ in the blocks where any plane
 * does: one three-input operation a plane, for two rows at once, against a compare and an add of
 * twice as many bytes. The differing bits are counted by the integer units meanwhile. Queries are
 * turned into planes once, six rows at a time beside them, in 24 registers, so turning a row costs
 * what three pairs do. For a few queries it does not pay, and AVX2 does them.
 *
 * In a plane, bit i of byte b belongs to block 32 * i + b. */
#include "compute/avx512/avx512.h"

#include <immintrin.h>
#include <stdbool.h>

#include "compute/avx2/avx2.h"

enum {
    PLANES = EG_PLANES,
    PAIRS = 3,
    GROUP_ROWS = 2 * PAIRS,
    WORDS = ENGRAM_BLOCKS / 64,
    DELAY = 8,
    QUERIES_MIN = 16, /* fewer are faster with AVX2 */
    QUERIES_MAX = 64, /* 16 KiB of planes: half of the first-level cache */
    WORD_ROWS = 64    /* rows of one word of the live bitmap */
};

/* Swaps the odd groups of shift bits of x with the even ones of y. */
static inline void swap_groups(__m512i *x, __m512i *y, unsigned shift, uint8_t even)
{
    __m512i differ = _mm512_ternarylogic_epi64(
        _mm512_srli_epi64(*x, shift), *y, _mm512_set1_epi8((char)even), 0x28); /* (a ^ b) & c */
    *y = _mm512_xor_si512(*y, differ);
    *x = _mm512_xor_si512(*x, _mm512_slli_epi64(differ, shift));
}

/* The planes of vectors a (low half of each register) and b: 8 x 8 bits are turned at each byte
 * of eight registers. */
static inline void make_planes(const uint8_t *a, const uint8_t *b, __m512i *planes)
{
    for (unsigned i = 0; i < PLANES; i++) {
        __m256i low = _mm256_loadu_si256((const __m256i *)a + i);
        __m256i high = _mm256_loadu_si256((const __m256i *)b + i);
        planes[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&planes[i], &planes[i + 4], 4, 0x0F);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&planes[i + (i & 2)], &planes[i + (i & 2) + 2], 2, 0x33);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++)
        swap_groups(&planes[2 * i], &planes[2 * i + 1], 1, 0x55);
}

typedef struct batch {
    size_t query_count;
    eg_top *tops;
    int64_t limits[QUERIES_MAX]; /* a row that differs in more blocks cannot enter */
    _Alignas(64) __m256i planes[QUERIES_MAX][PLANES];
} batch;

static inline int64_t limit_of(const eg_top *top)
{
    return top->bar > ENGRAM_BLOCKS ? -1 : (int64_t)(ENGRAM_BLOCKS - top->bar);
}

/* The same of vectors that lie in planes: leads and rests of a and of b. */
static inline void load_planes(const uint8_t *a, const uint8_t *a_rest, const uint8_t *b,
                               const uint8_t *b_rest, __m512i *planes)
{
    for (unsigned i = 0; i < PLANES; i++) {
        const size_t at = (i < EG_LEAD_PLANES ? i : i - EG_LEAD_PLANES) * EG_PLANE_SIZE;
        const uint8_t *low = (i < EG_LEAD_PLANES ? a : a_rest) + at;
        const uint8_t *high = (i < EG_LEAD_PLANES ? b : b_rest) + at;
        planes[i] = _mm512_inserti64x4(
            _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)low)),
            _mm256_load_si256((const __m256i *)high), 1);
    }
}

static void batch_start(batch *b, const uint8_t *queries, size_t query_count, eg_top *tops)
{
    b->query_count = query_count;
    b->tops = tops;
    for (size_t q = 0; q < query_count; q++) {
        const uint8_t *query = queries + q * ENGRAM_BLOCKS;
        __m512i planes[PLANES];
        make_planes(query, query, planes);
        for (unsigned i = 0; i < PLANES; i++)
            _mm256_store_si256(&b->planes[q][i], _mm512_castsi512_si256(planes[i]));
        b->limits[q] = limit_of(&tops[q]);
    }
}

/* Six rows or fewer; row_count says how many of the planes' rows count. */
typedef struct group {
    unsigned row_count;
    uint64_t rows[GROUP_ROWS];
    __m512i planes[PAIRS][PLANES];
} group;

/* Where six rows differ from queries, on its way from the vector units to the integer units. Only
 * memory takes the bits there at no cost, and only if they are read well after they were written:
 * loads that must wait for a store to be forwarded are three times slower. So the bits of a query
 * are counted DELAY queries later. */
typedef struct differences {
    _Alignas(64) uint64_t words[DELAY][GROUP_ROWS][WORDS];
} differences;

/* The bits set in four words. Written out because the compiler would clear each target first, for
 * the sake of processors that wait for it in vain, and count many rows ahead until it runs out of
 * registers. */
static inline int64_t count_row(const uint64_t *words)
{
    int64_t count, other;
    __asm__("popcntq %2, %0\n\t"
            "popcntq %3, %1\n\t"
            "addq %1, %0\n\t"
            "popcntq %4, %1\n\t"
            "addq %1, %0\n\t"
            "popcntq %5, %1\n\t"
            "addq %1, %0"
            : "=&r"(count), "=&r"(other)
            : "m"(words[0]), "m"(words[1]), "m"(words[2]), "m"(words[3])
            : "cc");
    return count;
}

static __attribute__((noinline)) void offer(batch *b, size_t q, const group *g,
                                            const uint64_t (*words)[WORDS])
{
    eg_top *top = &b->tops[q];
    for (unsigned i = 0; i < g->row_count; i++) {
        uint32_t matches = ENGRAM_BLOCKS - (uint32_t)count_row(words[i]);
        if (matches >= top->bar)
            eg_top_offer(top, g->rows[i], matches);
    }
    b->limits[q] = limit_of(top);
}

static inline void count_query(batch *b, size_t q, const group *g, const uint64_t (*words)[WORDS])
{
    const int64_t limit = b->limits[q];
#pragma GCC unroll 6
    for (unsigned i = 0; i < GROUP_ROWS; i++)
        if (__builtin_expect(count_row(words[i]) <= limit, false)) {
            offer(b, q, g, words);
            return;
        }
}

static inline void compare_query(const __m256i *query, __m512i rows[PAIRS][PLANES], uint64_t *words)
{
    __m512i differ[PAIRS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < PLANES; i++) {
        __m512i plane = _mm512_broadcast_i64x4(_mm256_load_si256(query + i));
        for (unsigned p = 0; p < PAIRS; p++)
            differ[p] = i == 0 ? _mm512_xor_si512(rows[p][i], plane)
                               : _mm512_ternarylogic_epi64(differ[p], rows[p][i], plane,
                                                           0xF6); /* a | (b ^ c) */
    }
    for (unsigned p = 0; p < PAIRS; p++)
        _mm512_store_si512(words + 2 * p * WORDS, differ[p]);
}

static void scan_group(batch *b, const group *g)
{
    __m512i rows[PAIRS][PLANES];
    differences d;
#pragma GCC unroll 24
    for (unsigned i = 0; i < PAIRS * PLANES; i++)
        rows[i / PLANES][i % PLANES] = g->planes[i / PLANES][i % PLANES];
    size_t counted = 0;
    for (size_t q = 0; q < b->query_count; q++) {
        if (q >= DELAY) {
            count_query(b, counted, g, d.words[counted % DELAY]);
            counted++;
        }
        compare_query(b->planes[q], rows, d.words[q % DELAY][0]);
    }
    while (counted < b->query_count) {
        count_query(b, counted, g, d.words[counted % DELAY]);
        counted++;
    }
}

/* Takes the next rows out of *live, of which bit i is row `first` + i of vectors; the last is repeated where there are
 * fewer than six. */
static void group_start(group *g, const eg_vectors *vectors, size_t first, uint64_t first_row,
                        uint64_t *live)
{
    size_t rows[GROUP_ROWS], row = 0;
    g->row_count = 0;
    for (unsigned i = 0; i < GROUP_ROWS; i++) {
        if (*live != 0) {
            row = first + (size_t)__builtin_ctzll(*live);
            *live &= *live - 1;
            g->row_count++;
        }
        rows[i] = vectors->first + row;
        g->rows[i] = first_row + row;
    }
    for (unsigned p = 0; p < PAIRS; p++) {
        const size_t a = rows[2 * p], b = rows[2 * p + 1];
        const uint8_t *bytes = vectors->bytes;
        if (vectors->layout == EG_LAYOUT_ROWS)
            make_planes(bytes + a * ENGRAM_BLOCKS, bytes + b * ENGRAM_BLOCKS, g->planes[p]);
        else
            load_planes(bytes + eg_planes_lead(a), bytes + eg_planes_rest(vectors->total, a),
                        bytes + eg_planes_lead(b), bytes + eg_planes_rest(vectors->total, b),
                        g->planes[p]);
    }
}

static void scan_batch(batch *b, const eg_vectors *vectors, uint64_t first_row,
                       const uint64_t *live)
{
    group g;
    for (size_t row = 0; row < vectors->count; row += WORD_ROWS) {
        size_t left = vectors->count - row;
        uint64_t all = left < WORD_ROWS ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        uint64_t wanted = live == NULL ? all : live[row / WORD_ROWS] & all;
        while (wanted != 0) {
            group_start(&g, vectors, row, first_row, &wanted);
            scan_group(b, &g);
        }
    }
}

void eg_avx512_top_k(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                     uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    batch b;
    while (query_count >= QUERIES_MIN) {
        size_t taken = query_count < QUERIES_MAX ? query_count : QUERIES_MAX;
        batch_start(&b, queries, taken, tops);
        scan_batch(&b, &vectors, first_row, live);
        queries += taken * ENGRAM_BLOCKS;
        query_count -= taken;
        tops += taken;
    }
    if (query_count > 0)
        eg_avx2_top_k(queries, query_count, vectors, first_row, live, tops);
}
