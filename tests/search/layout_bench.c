/* What layouts of vectors would gain a query with a minimum: layout_bench [ENGRAM].
 *
 * One query, one thread, a million rows: uniform ones, or those of an engram, again and again; the first of them asks. Whole rows are what others are held against; then rows of which the
 * second half is read where the first leaves a chance; both halves apart in groups of 64 rows; and bit planes, of which the
 * first two (64 bytes a row) stand apart: of two vectors that agree by chance a quarter of the blocks does so in two planes.
 * Prints the time against whole rows, and the share of rows that are read to their end. By hand; docs/decisions/0022. */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engram/core.h"

enum { ROWS = 1 << 20, GROUP = 64, SIZE = ENGRAM_BLOCKS, HALF = SIZE / 2, RUNS = 15, PLANES = 8, PLANE = 32, LAYOUTS = 4 };

typedef struct outcome {
    size_t found, whole; /* rows at the minimum; rows that were read to their end */
} outcome;

typedef outcome scan(const uint8_t *rows, const uint8_t *query, unsigned minimum);

static inline unsigned count_bytes(const uint8_t *query, const uint8_t *row, unsigned size)
{
    __m256i negative = _mm256_setzero_si256();
    for (unsigned i = 0; i < size; i += 32)
        negative = _mm256_add_epi8(negative, _mm256_cmpeq_epi8(_mm256_load_si256((const __m256i *)(query + i)),
                                                               _mm256_load_si256((const __m256i *)(row + i))));
    __m256i sums = _mm256_sad_epu8(_mm256_sub_epi8(_mm256_setzero_si256(), negative), _mm256_setzero_si256());
    __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return (unsigned)(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1));
}

static outcome scan_rows(const uint8_t *rows, const uint8_t *query, unsigned minimum)
{
    outcome o = {.whole = ROWS};
    for (size_t i = 0; i < ROWS; i++)
        o.found += count_bytes(query, rows + i * SIZE, SIZE) >= minimum;
    return o;
}

static inline void scan_halves(const uint8_t *first, const uint8_t *second, size_t step, const uint8_t *query, unsigned minimum,
                               outcome *o)
{
    for (unsigned i = 0; i < GROUP; i++) {
        unsigned count = count_bytes(query, first + i * step, HALF);
        if (count + HALF < minimum)
            continue;
        o->whole++;
        o->found += count + count_bytes(query + HALF, second + i * step, HALF) >= minimum;
    }
}

static outcome scan_rows_by_halves(const uint8_t *rows, const uint8_t *query, unsigned minimum)
{
    outcome o = {0};
    for (size_t g = 0; g < ROWS / GROUP; g++, rows += GROUP * SIZE)
        scan_halves(rows, rows + HALF, SIZE, query, minimum, &o);
    return o;
}

static outcome scan_halves_apart(const uint8_t *rows, const uint8_t *query, unsigned minimum)
{
    outcome o = {0};
    for (size_t g = 0; g < ROWS / GROUP; g++, rows += GROUP * SIZE)
        scan_halves(rows, rows + GROUP * HALF, HALF, query, minimum, &o);
    return o;
}

static inline __m256i differ(const uint8_t *query, const uint8_t *planes, unsigned count)
{
    __m256i all = _mm256_setzero_si256();
    for (unsigned p = 0; p < count; p++)
        all = _mm256_or_si256(all, _mm256_xor_si256(_mm256_load_si256((const __m256i *)(query + p * PLANE)),
                                                    _mm256_load_si256((const __m256i *)(planes + p * PLANE))));
    return all;
}

static inline unsigned count_bits(__m256i bits)
{
    return (unsigned)(_mm_popcnt_u64((uint64_t)_mm256_extract_epi64(bits, 0)) +
                      _mm_popcnt_u64((uint64_t)_mm256_extract_epi64(bits, 1)) +
                      _mm_popcnt_u64((uint64_t)_mm256_extract_epi64(bits, 2)) +
                      _mm_popcnt_u64((uint64_t)_mm256_extract_epi64(bits, 3)));
}

static outcome scan_planes_apart(const uint8_t *rows, const uint8_t *query, unsigned minimum)
{
    enum { FIRST = 2 };
    outcome o = {0};
    for (size_t g = 0; g < ROWS / GROUP; g++, rows += GROUP * SIZE)
        for (unsigned i = 0; i < GROUP; i++) {
            const uint8_t *rest = rows + GROUP * FIRST * PLANE + i * (PLANES - FIRST) * PLANE;
            __m256i bits = differ(query, rows + i * FIRST * PLANE, FIRST);
            if (SIZE - count_bits(bits) < minimum)
                continue;
            o.whole++;
            bits = _mm256_or_si256(bits, differ(query + FIRST * PLANE, rest, PLANES - FIRST));
            o.found += SIZE - count_bits(bits) >= minimum;
        }
    return o;
}

/* ---- layouts ---- */

static void put_as_row(uint8_t *group, unsigned i, const uint8_t *vector)
{
    memcpy(group + i * SIZE, vector, SIZE);
}

static void put_as_halves(uint8_t *group, unsigned i, const uint8_t *vector)
{
    memcpy(group + i * HALF, vector, HALF);
    memcpy(group + GROUP * HALF + i * HALF, vector + HALF, HALF);
}

static void make_planes(const uint8_t *vector, uint8_t planes[SIZE])
{
    memset(planes, 0, SIZE);
    for (unsigned k = 0; k < SIZE; k++)
        for (unsigned p = 0; p < PLANES; p++)
            planes[p * PLANE + k / 8] |= (uint8_t)((vector[k] >> p & 1) << k % 8);
}

static void put_as_planes(uint8_t *group, unsigned i, const uint8_t *vector)
{
    uint8_t planes[SIZE];
    make_planes(vector, planes);
    memcpy(group + i * 2 * PLANE, planes, 2 * PLANE);
    memcpy(group + GROUP * 2 * PLANE + i * 6 * PLANE, planes + 2 * PLANE, 6 * PLANE);
}

static const struct layout {
    const char *name;
    void (*put)(uint8_t *group, unsigned i, const uint8_t *vector);
    scan *run;
} layouts[LAYOUTS] = {
    {"whole rows", put_as_row, scan_rows},
    {"rows by halves", put_as_row, scan_rows_by_halves},
    {"halves apart", put_as_halves, scan_halves_apart},
    {"planes apart", put_as_planes, scan_planes_apart},
};

/* ---- measuring ---- */

static uint8_t *make_room(void)
{
    uint8_t *room = aligned_alloc(4096, (size_t)ROWS * SIZE);
    if (room == NULL) {
        fprintf(stderr, "layout_bench: out of memory\n");
        exit(1);
    }
    return room;
}

static size_t load(uint8_t *vectors, const char *path)
{
    eg_engram *engram = NULL;
    engram_error error = {0};
    eg_engram_options options = {.read_only = true};
    size_t count = 0;
    engram_status status = eg_engram_open(eg_io_posix(), path, &options, &engram, &error);
    for (size_t i = 0; status == ENGRAM_OK && i < eg_store_segment_count(eg_engram_store(engram)); i++) {
        eg_vector_span span;
        status = eg_store_get_vectors(eg_engram_store(engram), i, &span, &error);
        size_t take = status != ENGRAM_OK ? 0 : span.vectors.count < ROWS - count ? span.vectors.count : ROWS - count;
        for (size_t k = 0; k < take; k++)
            eg_vectors_get(&span.vectors, k, vectors + (count + k) * SIZE);
        count += take;
    }
    if (status != ENGRAM_OK || count == 0) {
        fprintf(stderr, "layout_bench: %s: %s\n", path, status != ENGRAM_OK ? error.message : "no chunks");
        exit(1);
    }
    eg_engram_close(&engram, NULL);
    return count * SIZE;
}

static void fill(uint8_t *vectors, const char *path)
{
    size_t got = path != NULL ? load(vectors, path) : 0;
    uint64_t z = 1;
    for (size_t i = got; i < (size_t)ROWS * SIZE; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        vectors[i] = got != 0 ? vectors[i - got] : (uint8_t)(z >> 56);
    }
}

static double median_of_runs(const struct layout *l, const uint8_t *rows, const uint8_t *query, unsigned minimum, outcome *o)
{
    double times[RUNS];
    for (unsigned r = 0; r < RUNS; r++) {
        uint64_t start = eg_clock_monotonic_ns();
        *o = l->run(rows, query, minimum);
        double time = (double)(eg_clock_monotonic_ns() - start) * 1e-6;
        unsigned at = r;
        for (; at > 0 && times[at - 1] > time; at--)
            times[at] = times[at - 1];
        times[at] = time;
    }
    return times[RUNS / 2];
}

int main(int argc, char **argv)
{
    static const double minima[] = {0.3, 0.5, 0.6, 0.8};
    uint8_t *vectors = make_room(), *rows = make_room();
    _Alignas(64) uint8_t query[SIZE], planes[SIZE];
    fill(vectors, argc > 1 ? argv[1] : NULL);
    memcpy(query, vectors, SIZE);
    make_planes(query, planes);
    for (unsigned m = 0; m < sizeof minima / sizeof *minima; m++) {
        unsigned minimum = engram_matches_from_jaccard(minima[m]);
        double whole = 0;
        for (unsigned l = 0; l < LAYOUTS; l++) {
            outcome o;
            for (size_t i = 0; i < ROWS; i++)
                layouts[l].put(rows + i / GROUP * GROUP * SIZE, i % GROUP, vectors + i * SIZE);
            double time = median_of_runs(&layouts[l], rows, layouts[l].put == put_as_planes ? planes : query, minimum, &o);
            whole = l == 0 ? time : whole;
            printf("min %.1f  %-16s %8.2f ms  %5.2f times whole rows  %6.4f read to the end  %zu found\n", minima[m],
                   layouts[l].name, time, whole / time, (double)o.whole / ROWS, o.found);
        }
    }
    free(vectors);
    free(rows);
    return 0;
}
