/* The exact scan with byte compares: matches count down in byte accumulators, four rows are summed
 * together, and one compare tells whether any of the four can enter the list. All queries look at
 * four rows while these are in the first-level cache. */
#include "compute/avx2/top_k_singly.h"

#include <immintrin.h>

#include "compute/avx2/selection.h"

enum { PLACES = EG_PLACES, PARTS = ENGRAM_BLOCKS / 32 };

/* The rows of a piece that count. */
typedef struct piece {
    const uint8_t *rows;
    uint64_t first_row;
    eg_selection selection;
} piece;

/* A byte of -1 for each match, added up over the parts. */
static inline __m256i count_matches(const __m256i *query, const uint8_t *vector)
{
    const __m256i *row = (const __m256i *)vector;
    __m256i negative = _mm256_cmpeq_epi8(_mm256_loadu_si256(query), _mm256_load_si256(row));
#pragma GCC unroll 8
    for (unsigned i = 1; i < PARTS; i++)
        negative = _mm256_add_epi8(
            negative, _mm256_cmpeq_epi8(_mm256_loadu_si256(query + i), _mm256_load_si256(row + i)));
    return negative;
}

/* The matches of four rows, one in each lane. */
static inline __m128i sum_four(const __m256i *negative)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i sums[PLACES];
#pragma GCC unroll 4
    for (unsigned n = 0; n < PLACES; n++)
        sums[n] = _mm256_sad_epu8(_mm256_sub_epi8(zero, negative[n]), zero);
    /* In each 128 bits the two sums of a row, at most 64 each, become neighbouring words. */
    __m256i words = _mm256_packs_epi32(_mm256_packs_epi32(sums[0], sums[1]),
                                       _mm256_packs_epi32(sums[2], sums[3]));
    __m256i rows = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    return _mm_add_epi32(_mm256_castsi256_si128(rows), _mm256_extracti128_si256(rows, 1));
}

/* The rows at place `at` of each quarter. */
static __attribute__((noinline)) void offer(eg_top *top, const piece *p, size_t at,
                                            __m128i matches)
{
    uint32_t counts[PLACES];
    _mm_storeu_si128((__m128i *)counts, matches);
    for (size_t i = 0; i < PLACES; i++, at += p->selection.quarter)
        if (at < p->selection.count && counts[i] >= top->bar)
            eg_top_offer(top, p->first_row + p->selection.rows[at], counts[i]);
}

/* The largest count that cannot enter; a bar may be any number, counts are at most 256. */
static inline __m128i below_bar(const eg_top *top)
{
    return _mm_set1_epi32(top->bar > ENGRAM_BLOCKS ? ENGRAM_BLOCKS : (int)top->bar - 1);
}

static void scan(const uint8_t *queries, size_t query_count, const piece *p, eg_top *tops)
{
    const eg_selection *s = &p->selection;
    for (size_t at = 0; at < s->quarter; at++) {
        const uint8_t *vectors[PLACES];
        for (size_t i = 0; i < PLACES; i++)
            vectors[i] = p->rows + (size_t)s->rows[at + i * s->quarter] * ENGRAM_BLOCKS;
        for (size_t q = 0; q < query_count; q++) {
            const __m256i *query = (const __m256i *)(queries + q * ENGRAM_BLOCKS);
            __m256i negative[PLACES];
#pragma GCC unroll 4
            for (size_t i = 0; i < PLACES; i++)
                negative[i] = count_matches(query, vectors[i]);
            __m128i matches = sum_four(negative);
            if (__builtin_expect(
                    _mm_movemask_epi8(_mm_cmpgt_epi32(matches, below_bar(&tops[q]))) != 0, 0))
                offer(&tops[q], p, at, matches);
        }
    }
}

void eg_avx2_top_k_rows(const uint8_t *queries, size_t query_count, const uint8_t *rows,
                        size_t count, uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    piece p;
    for (size_t row = 0; row < count; row += EG_PIECE_ROWS) {
        p.rows = rows + row * ENGRAM_BLOCKS;
        p.first_row = first_row + row;
        eg_select(&p.selection, count - row < EG_PIECE_ROWS ? count - row : EG_PIECE_ROWS,
                  live == NULL ? NULL : live + row / 64);
        scan(queries, query_count, &p, tops);
    }
}
