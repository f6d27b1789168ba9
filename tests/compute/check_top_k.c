/* top_k: row counts around every tile size, spans of any length, live bitmaps that end at an
 * unreadable page, ties without end, more asked for than there is. */
#include "compute/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/inputs.h"

static const size_t row_counts[] = {0,   1,   2,   3,   4,   5,   63,   64,  65,
                                    127, 128, 129, 255, 256, 257, 1000, 4500};
static const size_t query_counts[] = {0, 1, 2, 3, 5, 8, 9, 16, 31, 32, 33, 66, 130};
static const uint32_t k_values[] = {1, 2, 10, 128, 5000};
enum {
    ROW_COUNTS = sizeof row_counts / sizeof row_counts[0],
    QUERY_COUNTS = sizeof query_counts / sizeof query_counts[0],
    K_VALUES = sizeof k_values / sizeof k_values[0],
    RUNS_MAX = 16
};

typedef enum row_kind { ROWS_RANDOM, ROWS_EQUAL, ROWS_NEAR, ROWS_FEW, ROW_KINDS } row_kind;
typedef enum live_kind {
    LIVE_ALL,
    LIVE_FULL,
    LIVE_EMPTY,
    LIVE_RANDOM,
    LIVE_RARE,
    LIVE_KINDS
} live_kind;

typedef enum layout_kind { LAYOUT_ROWS, LAYOUT_PLANES, LAYOUT_MIXED, LAYOUT_KINDS } layout_kind;

typedef struct test_case {
    size_t row_count, query_count;
    row_kind rows;
    live_kind live;
    uint32_t k, minimum;
    layout_kind layout;
} test_case;

/* Rows of one kind; rows[0] is random whatever the kind. */
static void fill_rows(uint8_t *rows, size_t count, row_kind kind, uint64_t *state)
{
    fill_bytes(rows, count * ENGRAM_BLOCKS, FILL_RANDOM, state);
    for (size_t i = 1; i < count && kind != ROWS_RANDOM; i++) {
        uint8_t *row = rows + i * ENGRAM_BLOCKS;
        size_t from = kind == ROWS_FEW && i >= 3 ? random_below(state, 3) : 0;
        if (kind != ROWS_FEW || i >= 3)
            memcpy(row, rows + from * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
        for (size_t n = random_below(state, 257); kind == ROWS_NEAR && n > 0; n--)
            row[random_below(state, ENGRAM_BLOCKS)] = (uint8_t)next_random(state);
    }
}

static void fill_queries(uint8_t *queries, size_t count, const uint8_t *rows, size_t row_count,
                         uint64_t *state)
{
    fill_bytes(queries, count * ENGRAM_BLOCKS, FILL_RANDOM, state);
    for (size_t q = 0; q < count && row_count > 0; q += 2)
        memcpy(queries + q * ENGRAM_BLOCKS, rows + random_below(state, row_count) * ENGRAM_BLOCKS,
               ENGRAM_BLOCKS);
}

/* Bits beyond the last row are random: they must not count. */
static void fill_live(uint64_t *live, size_t word_count, live_kind kind, uint64_t *state)
{
    for (size_t i = 0; i < word_count; i++) {
        uint64_t random = next_random(state);
        uint64_t rare = random_below(state, 3) ? 0 : UINT64_C(1) << (random & 63);
        live[i] = kind == LIVE_FULL     ? UINT64_MAX
                  : kind == LIVE_EMPTY  ? 0
                  : kind == LIVE_RANDOM ? random
                                        : rare;
    }
}

/* The same rows as runs in memory of their own, each before an unreadable page. */
typedef struct split {
    guarded pieces[RUNS_MAX];
    eg_vectors runs[RUNS_MAX];
    size_t run_count;
} split;

static eg_vectors put_rows(guarded *piece, const uint8_t *rows, size_t count)
{
    *piece = guarded_make(count * ENGRAM_BLOCKS);
    memcpy(piece->bytes, rows, count * ENGRAM_BLOCKS);
    return eg_rows(piece->bytes, count);
}

/* Among others: the groups of planes begin and end somewhere else than these do. */
static eg_vectors put_planes(guarded *piece, const uint8_t *rows, size_t count, uint64_t *state)
{
    const size_t around = random_below(state, 3) == 0 ? 6000 : 3;
    const size_t first = random_below(state, around), behind = random_below(state, around);
    const size_t total = first + count + behind;
    *piece = guarded_make(total * ENGRAM_BLOCKS);
    fill_bytes(piece->bytes, total * ENGRAM_BLOCKS, FILL_RANDOM, state);
    for (size_t i = 0; i < count; i++)
        eg_planes_put(piece->bytes, total, first + i, rows + i * ENGRAM_BLOCKS);
    return (eg_vectors){piece->bytes, total, first, count, EG_LAYOUT_PLANES};
}

static void split_rows(split *s, const uint8_t *rows, size_t count, layout_kind layout,
                       size_t run_max, uint64_t *state)
{
    size_t done = 0;
    s->run_count = 0;
    while (done < count || s->run_count == 0) {
        bool is_last = s->run_count + 1 == run_max;
        size_t left = count - done, n = is_last ? left : random_below(state, left + 1);
        bool in_planes = layout == LAYOUT_MIXED ? random_below(state, 2) : layout == LAYOUT_PLANES;
        guarded *piece = &s->pieces[s->run_count];
        const uint8_t *from = rows + done * ENGRAM_BLOCKS;
        s->runs[s->run_count++] =
            in_planes ? put_planes(piece, from, n, state) : put_rows(piece, from, n);
        done += n;
    }
}

static void split_free(split *s)
{
    for (size_t i = 0; i < s->run_count; i++)
        guarded_free(&s->pieces[i]);
}

static int compare_hits(const void *a, const void *b)
{
    const eg_hit *x = a, *y = b;
    return eg_hit_before(*x, *y) ? -1 : eg_hit_before(*y, *x) ? 1 : 0;
}

/* By counting and sorting everything. Returns how many there are, k at most. */
static uint32_t select_plainly(const test_case *t, const uint8_t *query, const uint8_t *rows,
                               const uint64_t *live, eg_hit *all)
{
    size_t count = 0;
    for (size_t i = 0; i < t->row_count; i++) {
        uint32_t matches = 0;
        for (size_t k = 0; k < ENGRAM_BLOCKS; k++)
            matches += rows[i * ENGRAM_BLOCKS + k] == query[k];
        if (matches >= t->minimum && (live == NULL || (live[i / 64] >> (i % 64) & 1)))
            all[count++] = (eg_hit){i, matches};
    }
    qsort(all, count, sizeof *all, compare_hits);
    return count < t->k ? (uint32_t)count : t->k;
}

static bool hits_equal(const eg_hit *a, const eg_hit *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (a[i].row != b[i].row || a[i].matches != b[i].matches)
            return false;
    return true;
}

static bool answers_equal(const test_case *t, const scan_query *query, const uint8_t *rows,
                          const eg_hit *hits, const uint32_t *counts)
{
    eg_hit *all = malloc((t->row_count + 1) * sizeof *all);
    bool is_equal = all != NULL;
    for (size_t q = 0; q < t->query_count && is_equal; q++) {
        uint32_t count =
            select_plainly(t, query->queries + q * ENGRAM_BLOCKS, rows, query->live, all);
        is_equal = counts[q] == count && hits_equal(all, hits + q * t->k, count);
    }
    free(all);
    return is_equal;
}

static bool scan_equals(const candidate *c, const test_case *t, const split *s, const uint8_t *rows,
                        const uint8_t *queries, const uint64_t *live)
{
    scan_set set = {s->runs, s->run_count};
    scan_query query = {queries, t->query_count, live, t->k, t->minimum};
    sink hits = sink_make(t->query_count * t->k * sizeof(eg_hit), 8);
    sink counts = sink_make(t->query_count * sizeof(uint32_t), 4);
    engram_status status;
    bool has = candidate_top_k(c, &set, &query, (eg_hit *)(void *)hits.bytes,
                               (uint32_t *)(void *)counts.bytes, &status);
    bool is_equal =
        !has || (status == ENGRAM_OK && answers_equal(t, &query, rows, (eg_hit *)(void *)hits.bytes,
                                                      (uint32_t *)(void *)counts.bytes));
    is_equal = is_equal && sink_is_whole(&hits) && sink_is_whole(&counts);
    sink_free(&hits);
    sink_free(&counts);
    return is_equal;
}

static void check_one(const candidate *c, uint64_t seed, uint64_t case_seed, const test_case *t,
                      check_tally *tally)
{
    uint64_t state = case_seed;
    guarded rows = guarded_make(t->row_count * ENGRAM_BLOCKS);
    guarded queries = guarded_make(t->query_count * ENGRAM_BLOCKS);
    guarded live = guarded_make((t->row_count + 63) / 64 * sizeof(uint64_t));
    fill_rows(rows.bytes, t->row_count, t->rows, &state);
    fill_queries(queries.bytes, t->query_count, rows.bytes, t->row_count, &state);
    fill_live((uint64_t *)(void *)live.bytes, live.size / 8, t->live, &state);
    split s;
    split_rows(&s, rows.bytes, t->row_count, t->layout, c->backend == NULL ? 1 : RUNS_MAX, &state);
    bool is_equal =
        scan_equals(c, t, &s, rows.bytes, queries.bytes,
                    t->live == LIVE_ALL ? NULL : (const uint64_t *)(const void *)live.bytes);
    tally_case(tally, is_equal, c, seed,
               "top_k of %zu rows (kind %d, layout %d) by %zu queries, live %d, k %u, minimum %u, %zu runs",
               t->row_count, t->rows, t->layout, t->query_count, t->live, t->k, t->minimum,
               s.run_count);
    split_free(&s);
    guarded_free(&rows);
    guarded_free(&queries);
    guarded_free(&live);
}

static test_case random_case(uint64_t *state)
{
    static const uint32_t minima[] = {0, 0, 1, 2, 69, 70, 100, 256, 257, 65536, UINT32_MAX};
    test_case t = {.row_count = row_counts[random_below(state, ROW_COUNTS)],
                   .query_count = query_counts[random_below(state, QUERY_COUNTS)],
                   .rows = (row_kind)random_below(state, ROW_KINDS),
                   .live = (live_kind)random_below(state, LIVE_KINDS),
                   .k = k_values[random_below(state, K_VALUES)],
                   .minimum = minima[random_below(state, sizeof minima / sizeof minima[0])],
                   .layout = (layout_kind)random_below(state, LAYOUT_KINDS)};
    if (random_below(state, 3) == 0)
        t.row_count = random_below(state, 6000);
    return t;
}

void check_top_k(const candidate *c, uint64_t seed, unsigned rounds, check_tally *tally)
{
    uint64_t state = seed;
    for (unsigned i = 0; i < ROW_COUNTS; i++)
        for (unsigned rows = 0; rows < ROW_KINDS; rows++) {
            test_case t = {row_counts[i], rows % 2 ? 5 : 20, (row_kind)rows, LIVE_RANDOM, 10, 0,
                           (layout_kind)((i + rows / 2) % LAYOUT_KINDS)};
            t.live = (live_kind)((i + rows) % LIVE_KINDS);
            check_one(c, seed, next_random(&state), &t, tally);
        }
    /* Leads that leave few a chance, and none. */
    static const uint32_t bars[] = {69, 70, 71, 127, 128, 129, 160, 255, 256, 257, 65536};
    for (unsigned i = 0; i < sizeof bars / sizeof bars[0]; i++)
        for (unsigned live = 0; live < LIVE_KINDS; live++) {
            test_case t = {i % 2 ? 1000 : 4500,
                           i % 3 == 2 ? 40 : 1 + i % 3,
                           live % 2 ? ROWS_NEAR : ROWS_FEW,
                           (live_kind)live,
                           10,
                           bars[i],
                           i % 4 == 3 ? LAYOUT_ROWS : i % 4 == 2 ? LAYOUT_MIXED : LAYOUT_PLANES};
            check_one(c, seed, next_random(&state), &t, tally);
        }
    if (c->pool != NULL) { /* so much to list that threads share the queries, not the rows */
        const test_case t = {5000, 450, ROWS_NEAR, LIVE_RANDOM, 5000, 0, LAYOUT_MIXED};
        check_one(c, seed, next_random(&state), &t, tally);
    }
    for (unsigned round = 0; round < 2 * rounds; round++) {
        test_case t = random_case(&state);
        check_one(c, seed, next_random(&state), &t, tally);
    }
}

enum { BENCH_ROWS = 1 << 18, BENCH_K = 10, BENCH_QUERIES_MAX = 128, BENCH_PIECE = 2048 };

typedef struct scan_bench {
    const eg_kernels *kernels;
    eg_backend *backend;
    eg_resident *resident;
    uint8_t *rows, *queries;
    eg_vectors vectors;
    uint32_t minimum;
    size_t query_count;
    eg_hit hits[BENCH_QUERIES_MAX * BENCH_K];
    eg_top tops[BENCH_QUERIES_MAX];
    uint32_t counts[BENCH_QUERIES_MAX];
} scan_bench;

static void scan_once(void *context)
{
    scan_bench *b = context;
    engram_error error = {0};
    if (b->backend != NULL) {
        if (b->backend->ops->top_k(b->backend, b->resident, b->queries, b->query_count, NULL,
                                   BENCH_K, b->minimum, b->hits, b->counts, &error) != ENGRAM_OK)
            exit(2);
        return;
    }
    for (size_t q = 0; q < b->query_count; q++)
        eg_top_init(&b->tops[q], b->hits + q * BENCH_K, BENCH_K, b->minimum);
    for (size_t at = 0, count; at < BENCH_ROWS; at += count) {
        size_t run = eg_vectors_run(&b->vectors, at);
        count = run < BENCH_PIECE ? run : BENCH_PIECE;
        b->kernels->top_k(b->queries, b->query_count, eg_vectors_part(b->vectors, at, count), at,
                          NULL, b->tops);
    }
}

static double time_scan(scan_bench *b, const candidate *c, size_t query_count)
{
    engram_error error = {0};
    b->kernels = &c->kernels;
    b->backend = c->backend;
    b->query_count = query_count;
    if (b->backend == NULL)
        return median_seconds(scan_once, b);
    const eg_backend_ops *ops = c->backend->ops;
    if (ops->resident_create(c->backend, &b->resident, &error) != ENGRAM_OK ||
        ops->resident_append(c->backend, b->resident, b->vectors, &error) != ENGRAM_OK)
        exit(2);
    double seconds = median_seconds(scan_once, b);
    ops->resident_free(c->backend, b->resident);
    return seconds;
}

static void bench_layout(scan_bench *b, const candidate *c, double base)
{
    static const size_t query_steps[] = {1, 2, 4, 8, 16, 32, 64, BENCH_QUERIES_MAX};
    static const uint32_t minima[] = {0, 129}; /* 129: min 0.5 */
    const size_t size = (size_t)BENCH_ROWS * ENGRAM_BLOCKS;
    for (unsigned m = 0; m < 2; m++)
        for (unsigned i = 0; i < sizeof query_steps / sizeof query_steps[0]; i++) {
            b->minimum = minima[m];
            double seconds = time_scan(b, c, query_steps[i]) / (double)query_steps[i];
            printf("%-16s top_k of %-6s %3zu queries, minimum %3u %8.1f M pairs/s %6.1f GB/s  %6.2f x scalar\n",
                   c->name, b->vectors.layout == EG_LAYOUT_ROWS ? "rows" : "planes",
                   query_steps[i], b->minimum, BENCH_ROWS / seconds * 1e-6,
                   (double)size / seconds * 1e-9, base / seconds);
        }
}

void bench_top_k(const candidate *c, const candidate *scalar)
{
    scan_bench *b = calloc(1, sizeof *b);
    uint64_t state = 1;
    const size_t size = (size_t)BENCH_ROWS * ENGRAM_BLOCKS;
    uint8_t *planes = aligned_alloc(64, size);
    if (b == NULL || planes == NULL || (b->rows = aligned_alloc(64, size)) == NULL)
        exit(2);
    b->queries = b->rows + 1000 * ENGRAM_BLOCKS;
    fill_bytes(b->rows, size, FILL_RANDOM, &state);
    for (size_t i = 0; i < BENCH_ROWS; i++)
        eg_planes_put(planes, BENCH_ROWS, i, b->rows + i * ENGRAM_BLOCKS);
    b->vectors = eg_rows(b->rows, BENCH_ROWS);
    double base = time_scan(b, scalar, 1);
    bench_layout(b, c, base);
    b->vectors = (eg_vectors){planes, BENCH_ROWS, 0, BENCH_ROWS, EG_LAYOUT_PLANES};
    bench_layout(b, c, base);
    free(planes);
    free(b->rows);
    free(b);
}
