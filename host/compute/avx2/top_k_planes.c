/* The exact scan of vectors in planes, row by row: two differ in the blocks where any plane does.
 *
 * While a row can enter the list that agrees no better than by chance, leads and rests are read
 * side by side. Once the bar is above what chance gives in the leads, the leads of a piece are read
 * alone, and then the rests of the rows that still have a chance. */
#include "compute/avx2/top_k_singly.h"

#include <immintrin.h>
#include <stdbool.h>

#include "compute/avx2/selection.h"

enum {
    PLACES = EG_PLACES,
    /* Leads agree in 64 blocks by chance, give or take 7: below this bar too many rows pass. */
    PRUNED_BAR = 70,
    QUERIES_MAX = 32, /* 8 KiB of planes: a quarter of the first-level cache */
    AHEAD = 8,        /* rests are fetched so many candidates ahead */
    SHORT_ROWS = 256, /* of a piece that is pruned for several queries: its leads stay in the first-level cache */
    LINE_SIZE = 64
};

/* The rows of a piece that count; all are of one group. */
typedef struct piece {
    const uint8_t *leads, *rests; /* of its first row */
    uint64_t first_row;
    eg_selection selection;
} piece;

typedef struct query {
    __m256i planes[EG_PLANES];
    eg_top *top;
} query;

/* Where a row differs from these planes. */
static inline __m256i differ(const __m256i *planes, const uint8_t *row, unsigned count)
{
    __m256i bits = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++)
        bits = _mm256_or_si256(
            bits, _mm256_xor_si256(planes[i], _mm256_load_si256((const __m256i *)row + i)));
    return bits;
}

/* Where four rows do, too: each plane of the query is loaded once. */
static inline void differ_four(const __m256i *planes, const uint8_t *const *rows, unsigned count,
                               __m256i *bits)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < count; i++) {
        const __m256i plane = _mm256_load_si256(planes + i);
#pragma GCC unroll 4
        for (unsigned n = 0; n < PLACES; n++)
            bits[n] = _mm256_or_si256(
                bits[n], _mm256_xor_si256(plane, _mm256_load_si256((const __m256i *)rows[n] + i)));
    }
}

/* The bits that are set, in four sums. */
static inline __m256i count_bits(__m256i bits)
{
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                            2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(bits, nibble));
    __m256i high =
        _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi64(bits, 4), nibble));
    return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

/* In how many blocks each of four rows differs. */
static inline __m128i count_four(const __m256i *bits)
{
    /* In each 128 bits the two sums of a row, at most 64 each, become neighbouring words. */
    __m256i words =
        _mm256_packs_epi32(_mm256_packs_epi32(count_bits(bits[0]), count_bits(bits[1])),
                           _mm256_packs_epi32(count_bits(bits[2]), count_bits(bits[3])));
    __m256i rows = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    return _mm_add_epi32(_mm256_castsi256_si128(rows), _mm256_extracti128_si256(rows, 1));
}

/* Of four rows, those that differ in so few blocks that they can enter, a bit each. */
static inline unsigned near_enough(__m128i differing, const eg_top *top)
{
    int limit = top->bar > ENGRAM_BLOCKS ? -1 : (int)(ENGRAM_BLOCKS - top->bar);
    __m128i far = _mm_cmpgt_epi32(differing, _mm_set1_epi32(limit));
    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(far)) ^ 0xF;
}

static __attribute__((noinline)) void offer(eg_top *top, const piece *p, size_t at,
                                            __m128i differing)
{
    uint32_t counts[PLACES];
    _mm_storeu_si128((__m128i *)counts, differing);
    for (size_t i = 0; i < PLACES; i++, at += p->selection.quarter)
        if (at < p->selection.count && ENGRAM_BLOCKS - counts[i] >= top->bar)
            eg_top_offer(top, p->first_row + p->selection.rows[at], ENGRAM_BLOCKS - counts[i]);
}

static inline uint32_t count_words(__m256i bits)
{
    __m128i low = _mm256_castsi256_si128(bits), high = _mm256_extracti128_si256(bits, 1);
    return (uint32_t)(_mm_popcnt_u64((uint64_t)_mm_cvtsi128_si64(low)) +
                      _mm_popcnt_u64((uint64_t)_mm_extract_epi64(low, 1)) +
                      _mm_popcnt_u64((uint64_t)_mm_cvtsi128_si64(high)) +
                      _mm_popcnt_u64((uint64_t)_mm_extract_epi64(high, 1)));
}

/* Whether one of four rows may be near enough. Two are not if the blocks in which one or the other
 * agrees are fewer than the bar, which takes one count. */
static inline bool may_be_near(const __m256i *differ, const eg_top *top)
{
    uint32_t first = count_words(_mm256_and_si256(differ[0], differ[1]));
    uint32_t second = count_words(_mm256_and_si256(differ[2], differ[3]));
    return ENGRAM_BLOCKS - (first < second ? first : second) >= top->bar;
}

/* Four rows against all queries: they are in the first-level cache. */
static void scan_whole(const query *queries, size_t query_count, const piece *p)
{
    const eg_selection *s = &p->selection;
    for (size_t at = 0; at < s->quarter; at++) {
        const uint8_t *leads[PLACES], *rests[PLACES];
        for (size_t i = 0; i < PLACES; i++) {
            leads[i] = p->leads + (size_t)s->rows[at + i * s->quarter] * EG_LEAD_SIZE;
            rests[i] = p->rests + (size_t)s->rows[at + i * s->quarter] * EG_REST_SIZE;
        }
        for (size_t n = 0; n < query_count; n++) {
            const query *q = &queries[n];
            __m256i bits[PLACES] = {0};
            differ_four(q->planes, leads, EG_LEAD_PLANES, bits);
            differ_four(q->planes + EG_LEAD_PLANES, rests, EG_PLANES - EG_LEAD_PLANES, bits);
            if (__builtin_expect(!may_be_near(bits, q->top), 1))
                continue;
            __m128i differing = count_four(bits);
            if (__builtin_expect(near_enough(differing, q->top) != 0, 0))
                offer(q->top, p, at, differing);
        }
    }
}

/* The rows whose leads leave a chance. */
static size_t scan_leads(const query *q, const piece *p, uint16_t *rows)
{
    const eg_selection *s = &p->selection;
    size_t count = 0;
    for (size_t at = 0; at < s->quarter; at++) {
        __m256i bits[PLACES];
#pragma GCC unroll 4
        for (size_t i = 0; i < PLACES; i++)
            bits[i] = differ(q->planes, p->leads + (size_t)s->rows[at + i * s->quarter] * EG_LEAD_SIZE,
                             EG_LEAD_PLANES);
        for (unsigned near = near_enough(count_four(bits), q->top); near != 0; near &= near - 1) {
            size_t place = at + (size_t)__builtin_ctz(near) * s->quarter;
            rows[count] = s->rows[place];
            count += place < s->count;
        }
    }
    return count;
}

static inline void fetch_rest(const piece *p, size_t row)
{
    const char *rest = (const char *)p->rests + row * EG_REST_SIZE;
    for (unsigned i = 0; i < EG_REST_SIZE; i += LINE_SIZE)
        _mm_prefetch(rest + i, _MM_HINT_T0);
}

static void scan_pruned(const query *q, const piece *p)
{
    uint16_t rows[EG_PIECE_ROWS + PLACES];
    size_t count = scan_leads(q, p, rows);
    for (size_t i = 0; i < count && i < AHEAD; i++)
        fetch_rest(p, rows[i]);
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            fetch_rest(p, rows[i + AHEAD]);
        __m256i lead = differ(q->planes, p->leads + (size_t)rows[i] * EG_LEAD_SIZE, EG_LEAD_PLANES);
        __m256i rest = differ(q->planes + EG_LEAD_PLANES, p->rests + (size_t)rows[i] * EG_REST_SIZE,
                              EG_PLANES - EG_LEAD_PLANES);
        uint64_t words[EG_PLANE_SIZE / 8];
        _mm256_storeu_si256((__m256i *)words, _mm256_or_si256(lead, rest));
        uint32_t matches = ENGRAM_BLOCKS;
        for (unsigned w = 0; w < EG_PLANE_SIZE / 8; w++)
            matches -= (uint32_t)_mm_popcnt_u64(words[w]);
        if (matches >= q->top->bar)
            eg_top_offer(q->top, p->first_row + rows[i], matches);
    }
}

/* The queries whose bar is low, then those that can be pruned. */
static size_t load_queries(query *to, const uint8_t *queries, size_t count, eg_top *tops)
{
    size_t whole = 0, pruned = count;
    for (size_t i = 0; i < count; i++) {
        query *q = &to[tops[i].bar < PRUNED_BAR ? whole++ : --pruned];
        eg_vector_turn(queries + i * ENGRAM_BLOCKS, (uint8_t *)q->planes);
        q->top = &tops[i];
    }
    return whole;
}

/* Vectors, and which of them count. */
typedef struct rows {
    eg_vectors vectors;
    uint64_t first_row;
    const uint64_t *live;
} rows;

/* Up to `most` rows from `at` on. */
static void select_piece(piece *p, const rows *r, size_t at, size_t most)
{
    const size_t row = r->vectors.first + at, left = r->vectors.count - at;
    p->leads = r->vectors.bytes + eg_planes_lead(row);
    p->rests = r->vectors.bytes + eg_planes_rest(r->vectors.total, row);
    p->first_row = r->first_row + at;
    eg_select(&p->selection, left < most ? left : most, r->live == NULL ? NULL : r->live + at / 64);
}

static void scan(const uint8_t *queries, size_t query_count, const rows *r, eg_top *tops)
{
    query loaded[QUERIES_MAX];
    const size_t whole = load_queries(loaded, queries, query_count, tops);
    const size_t most = query_count - whole > 1 ? SHORT_ROWS : EG_PIECE_ROWS;
    piece p;
    for (size_t at = 0; at < r->vectors.count && whole > 0; at += EG_PIECE_ROWS) {
        select_piece(&p, r, at, EG_PIECE_ROWS);
        scan_whole(loaded, whole, &p);
    }
    for (size_t at = 0; at < r->vectors.count && whole < query_count; at += most) {
        select_piece(&p, r, at, most);
        for (size_t i = whole; i < query_count; i++)
            scan_pruned(&loaded[i], &p);
    }
}

void eg_avx2_top_k_planes(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                          uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    const rows r = {vectors, first_row, live};
    for (size_t done = 0, taken; done < query_count; done += taken) {
        taken = query_count - done < QUERIES_MAX ? query_count - done : QUERIES_MAX;
        scan(queries + done * ENGRAM_BLOCKS, taken, &r, tops + done);
    }
}
