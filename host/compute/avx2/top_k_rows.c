/* The exact scan with byte compares: matches count down in byte accumulators, four rows are summed
 * together, and one compare tells whether any of the four can enter the list.
 *
 * A tile of 64 rows, 16 KiB, stays in the first-level cache while all queries pass over it; a
 * query stays in eight registers meanwhile. The first query would wait for the memory and the
 * others leave it idle, so each of them fetches its share of the next tile, a few lines a group. */
#include "compute/avx2/top_k_rows.h"

#include <immintrin.h>

enum { TILE_ROWS = 64, GROUP_ROWS = 4, PARTS = ENGRAM_BLOCKS / 32, LINE_SIZE = 64 };
enum { GROUP_LINES = GROUP_ROWS * ENGRAM_BLOCKS / LINE_SIZE };

/* The rows of a tile that count, padded to whole groups by repeating the last. */
typedef struct selection {
    const uint8_t *vectors;
    uint64_t first_row;
    unsigned count;
    uint8_t rows[TILE_ROWS];
} selection;

static inline void select_rows(selection *s, uint64_t live)
{
    s->count = 0;
    for (; live != 0; live &= live - 1)
        s->rows[s->count++] = (uint8_t)__builtin_ctzll(live);
    for (unsigned i = s->count; i % GROUP_ROWS != 0; i++)
        s->rows[i] = s->rows[s->count - 1];
}

/* What is left to fetch of the next tile, and how much of it beside each group of rows. */
typedef struct ahead {
    const uint8_t *next, *end;
    size_t lines;
} ahead;

/* Behind tile, where the rows of wanted count. One query alone has no time to spare: it takes the
 * rows as fast as they come. Where few rows count, most lines would be fetched in vain. */
static inline ahead look_ahead(const uint8_t *tile, uint64_t wanted, size_t query_count)
{
    if (query_count == 1 || _mm_popcnt_u64(wanted) < TILE_ROWS / 2)
        return (ahead){NULL, NULL, 0};
    const uint8_t *next = tile + TILE_ROWS * ENGRAM_BLOCKS;
    size_t rows = TILE_ROWS - (size_t)__builtin_clzll(wanted);
    return (ahead){next, next + rows * ENGRAM_BLOCKS,
                   (GROUP_LINES + query_count - 1) / query_count};
}

static inline void fetch(ahead *a)
{
    for (size_t i = 0; i < a->lines && a->next < a->end; i++, a->next += LINE_SIZE)
        _mm_prefetch((const char *)a->next, _MM_HINT_T0);
}

/* A byte of -1 for each match, added up over the parts. */
static inline __m256i count_matches(const __m256i *query, const uint8_t *vector)
{
    const __m256i *row = (const __m256i *)vector;
    __m256i negative = _mm256_cmpeq_epi8(query[0], _mm256_load_si256(row));
#pragma GCC unroll 8
    for (unsigned i = 1; i < PARTS; i++)
        negative =
            _mm256_add_epi8(negative, _mm256_cmpeq_epi8(query[i], _mm256_load_si256(row + i)));
    return negative;
}

/* The matches of four rows, one in each lane. */
static inline __m128i sum_four(const __m256i *negative)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i sums[GROUP_ROWS];
#pragma GCC unroll 4
    for (unsigned n = 0; n < GROUP_ROWS; n++)
        sums[n] = _mm256_sad_epu8(_mm256_sub_epi8(zero, negative[n]), zero);
    /* In each 128 bits the two sums of a row, at most 64 each, become neighbouring words. */
    __m256i words = _mm256_packs_epi32(_mm256_packs_epi32(sums[0], sums[1]),
                                       _mm256_packs_epi32(sums[2], sums[3]));
    __m256i rows = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    return _mm_add_epi32(_mm256_castsi256_si128(rows), _mm256_extracti128_si256(rows, 1));
}

static __attribute__((noinline)) void offer(eg_top *top, const selection *s, unsigned first,
                                            __m128i matches)
{
    uint32_t counts[GROUP_ROWS];
    unsigned left = s->count - first;
    _mm_storeu_si128((__m128i *)counts, matches);
    for (unsigned i = 0; i < GROUP_ROWS && i < left; i++)
        if (counts[i] >= top->bar)
            eg_top_offer(top, s->first_row + s->rows[first + i], counts[i]);
}

/* The largest count that cannot enter; a bar may be any number, counts are at most 256. */
static inline __m128i below_bar(const eg_top *top)
{
    return _mm_set1_epi32(top->bar > ENGRAM_BLOCKS ? ENGRAM_BLOCKS : (int)top->bar - 1);
}

static __attribute__((noinline)) void scan(const uint8_t *query, const selection *s, ahead *next,
                                           eg_top *top)
{
    __m256i wanted[PARTS];
#pragma GCC unroll 8
    for (unsigned i = 0; i < PARTS; i++)
        wanted[i] = _mm256_loadu_si256((const __m256i *)query + i);
    __m128i below = below_bar(top);
    for (unsigned i = 0; i < s->count; i += GROUP_ROWS) {
        __m256i negative[GROUP_ROWS];
        fetch(next);
#pragma GCC unroll 4
        for (unsigned n = 0; n < GROUP_ROWS; n++)
            negative[n] = count_matches(wanted, s->vectors + s->rows[i + n] * ENGRAM_BLOCKS);
        __m128i matches = sum_four(negative);
        if (__builtin_expect(_mm_movemask_epi8(_mm_cmpgt_epi32(matches, below)) != 0, 0)) {
            offer(top, s, i, matches);
            below = below_bar(top);
        }
    }
}

/* The rows that count in the tile that begins at row, a bit each. */
static inline uint64_t wanted_rows(const uint64_t *live, size_t row, size_t count)
{
    if (row >= count)
        return 0;
    uint64_t all = count - row < TILE_ROWS ? (UINT64_C(1) << (count - row)) - 1 : UINT64_MAX;
    return live == NULL ? all : live[row / TILE_ROWS] & all;
}

void eg_avx2_top_k_rows(const uint8_t *queries, size_t query_count, const uint8_t *vectors,
                        size_t count, uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    uint64_t wanted, wanted_next = wanted_rows(live, 0, count);
    for (size_t row = 0; row < count; row += TILE_ROWS) {
        wanted = wanted_next;
        wanted_next = wanted_rows(live, row + TILE_ROWS, count);
        if (wanted == 0 || query_count == 0)
            continue;
        selection s;
        s.vectors = vectors + row * ENGRAM_BLOCKS;
        s.first_row = first_row + row;
        select_rows(&s, wanted);
        ahead next = look_ahead(s.vectors, wanted_next, query_count);
        for (size_t q = 0; q < query_count; q++)
            scan(queries + q * ENGRAM_BLOCKS, &s, &next, &tops[q]);
    }
}
