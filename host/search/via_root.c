/* Where to look first: bundles of 1,024 rows each, as made when vectors are loaded, say which of
 * them a query is most like, and the scan reads only those. What it leaves out it cannot find, so
 * it is never the default, and --check tells what it missed.
 *
 * A bundle gives, for a probe, the exact sum of its matches with 1,024 rows in 256 look-ups; but in
 * real data the sum is mostly of what everybody shares. So a symbol counts by how much more often
 * the bundle has it than the whole collection does, in units of the square root of what was to be
 * expected: rare symbols count more. All chunks of a query are asked at once, since what is like
 * its one chunk tends to lie beside what is like its next. Smaller bundles tell more and cost more:
 * 1,024 rows take 128 KiB, half of their vectors.
 *
 * Measured on 91,440 chunks of /usr/share (cdc:16384) with 300 files that were left out: of the ten
 * best rows of each chunk, 79 % were in the best 5 % of the bundles, 87 % in 10 %, 91 % in 20 %, 98
 * % in 30 %; of those with J above 0.15, 81, 93, 98 and 99.7 %. By the plain mean similarity: 69,
 * 78, 88 and 97 %. With bundles of 4,096 rows: 51, 73, 88 and 91 %. With the rows in random order
 * 20 % of the bundles held 40 %: most of the promise is that what is alike was stored together. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

enum {
    TILE_ROWS = 1024, /* a multiple of 64, and no counter can overflow */
    TILE_WORDS = TILE_ROWS / 64,
    COUNTERS = ENGRAM_BLOCKS * ENGRAM_SYMBOLS,
    RECALL_BEST = 10
};

typedef struct tile {
    uint32_t rows;
    uint16_t counters[COUNTERS];
} tile;

struct eg_via_root {
    tile **tiles; /* all full but the last */
    size_t tile_count, tile_capacity;
    uint64_t rows;
    uint64_t totals[COUNTERS];
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for bundles");
}

void eg_via_root_free(eg_via_root *via)
{
    if (via == NULL)
        return;
    for (size_t i = 0; i < via->tile_count; i++)
        eg_free(via->tiles[i]);
    eg_free(via->tiles);
    eg_free(via);
}

/* ---- counting ---- */

static engram_status add_tile(eg_via_root *via, engram_error *error)
{
    if (!eg_grow((void **)&via->tiles, &via->tile_capacity, via->tile_count + 1,
                 sizeof *via->tiles))
        return no_memory(error);
    tile *t = eg_alloc_zero(1, sizeof *t);
    if (t == NULL)
        return no_memory(error);
    via->tiles[via->tile_count++] = t;
    return ENGRAM_OK;
}

static void count_rows(eg_via_root *via, const eg_vectors *vectors)
{
    tile *t = via->tiles[via->tile_count - 1];
    for (size_t i = 0; i < vectors->count; i++) {
        uint8_t vector[ENGRAM_BLOCKS];
        eg_vectors_get(vectors, i, vector);
        for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
            unsigned at = k * ENGRAM_SYMBOLS + vector[k];
            t->counters[at]++;
            via->totals[at]++;
        }
    }
    t->rows += (uint32_t)vectors->count;
    via->rows += vectors->count;
}

static engram_status count_span(eg_via_root *via, const eg_row_span *span, engram_error *error)
{
    while (via->rows < span->first + span->vectors.count) {
        size_t at = via->rows - span->first, left = span->vectors.count - at;
        size_t room = TILE_ROWS - via->rows % TILE_ROWS;
        if (room == TILE_ROWS && via->rows / TILE_ROWS == via->tile_count)
            EG_TRY(add_tile(via, error));
        const eg_vectors part = eg_vectors_part(span->vectors, at, left < room ? left : room);
        count_rows(via, &part);
    }
    return ENGRAM_OK;
}

/* Takes the rows that came since. */
static engram_status update(eg_searcher *s, engram_error *error)
{
    if (s->via_root == NULL)
        s->via_root = eg_alloc_zero(1, sizeof *s->via_root);
    if (s->via_root == NULL)
        return no_memory(error);
    for (size_t i = 0; i < s->span_count; i++)
        if (s->spans[i].first + s->spans[i].vectors.count > s->via_root->rows)
            EG_TRY(count_span(s->via_root, &s->spans[i], error));
    return ENGRAM_OK;
}

/* ---- choosing ---- */

typedef struct promise {
    double score;
    size_t tile;
} promise;

/* How much more than expected the bundle has of the probe's symbols; half of what chance would give
 * is added to what is expected, or symbols that nobody has would count without measure. */
static double score_probe(const eg_via_root *via, const tile *t, const uint8_t *probe)
{
    const double share = (double)t->rows / (double)via->rows;
    const double chance = 0.5 * t->rows / ENGRAM_SYMBOLS;
    double score = 0;
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++) {
        unsigned at = k * ENGRAM_SYMBOLS + probe[k];
        double expected = share * (double)via->totals[at] + chance;
        score += (t->counters[at] - expected) / sqrt(expected);
    }
    return score;
}

static int best_first(const void *a, const void *b)
{
    const promise *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->tile > y->tile) - (x->tile < y->tile);
}

static uint64_t live_rows(const uint64_t *bits, size_t words)
{
    uint64_t count = 0;
    for (size_t i = 0; i < words; i++)
        count += (uint64_t)__builtin_popcountll(bits[i]);
    return count;
}

/* The words of a tile in a bitmap of all rows, which has one word more than it needs. */
static size_t words_of(const eg_via_root *via, size_t at)
{
    return at + 1 < via->tile_count ? TILE_WORDS : (via->tiles[at]->rows + 63) / 64;
}

/* Bundles with live rows, the most promising first; *count of them in fresh memory. */
static engram_status rank(const eg_via_root *via, const eg_probes *p, const eg_live *live,
                          promise **promises, size_t *count, engram_error *error)
{
    promise *all = eg_alloc((via->tile_count + 1) * sizeof *all);
    if (all == NULL)
        return no_memory(error);
    *count = 0;
    for (size_t i = 0; i < via->tile_count; i++) {
        if (live_rows(live->bits + i * TILE_WORDS, words_of(via, i)) == 0)
            continue;
        promise *one = &all[(*count)++];
        *one = (promise){.tile = i};
        for (size_t q = 0; q < p->count; q++)
            one->score += score_probe(via, via->tiles[i], p->vectors + q * ENGRAM_BLOCKS);
    }
    qsort(all, *count, sizeof *all, best_first);
    *promises = all;
    return ENGRAM_OK;
}

/* Clears the bits of all bundles but the best that hold the share. */
static engram_status choose(eg_searcher *s, double share, const eg_probes *p, eg_live *live,
                            eg_via_root_report *report, engram_error *error)
{
    const eg_via_root *via = s->via_root;
    promise *promises = NULL;
    EG_TRY(rank(via, p, live, &promises, &report->bundles, error));
    for (size_t i = 0; i < report->bundles; i++) {
        uint64_t *bits = live->bits + promises[i].tile * TILE_WORDS;
        size_t words = words_of(via, promises[i].tile);
        if (report->chunks_read != 0 &&
            (double)report->chunks_read >= share * (double)live->count) {
            memset(bits, 0, words * sizeof *bits);
            continue;
        }
        report->chunks_read += live_rows(bits, words);
        report->bundles_read++;
    }
    eg_free(promises);
    report->share = live->count != 0 ? (double)report->chunks_read / (double)live->count : 1;
    return ENGRAM_OK;
}

/* ---- checking ---- */

typedef struct exact {
    eg_hit *hits; /* count * RECALL_BEST */
    uint32_t *counts;
} exact;

static engram_status scan_exactly(eg_searcher *s, const eg_probes *p, const eg_live *live,
                                  uint32_t minimum, exact *all, engram_error *error)
{
    all->hits = eg_alloc(p->count * RECALL_BEST * sizeof *all->hits);
    all->counts = eg_alloc_zero(p->count, sizeof *all->counts);
    if (all->hits == NULL || all->counts == NULL)
        return no_memory(error);
    if (eg_arena_rows(s->arena) == 0)
        return ENGRAM_OK;
    return eg_arena_top_k(s->arena, p->vectors, p->count, live->bits, RECALL_BEST, minimum,
                          all->hits, all->counts, error);
}

/* A row of the exact answer is found exactly when it is among those that are still live: fewer rows
 * only move it up. */
static void compare(const exact *all, size_t count, const eg_live *live, eg_via_root_report *report)
{
    uint64_t found = 0;
    for (size_t q = 0; q < count; q++)
        for (uint32_t i = 0; i < all->counts[q]; i++) {
            uint64_t row = all->hits[q * RECALL_BEST + i].row;
            found += live->bits[row / 64] >> (row % 64) & 1;
            report->exact_hits++;
        }
    report->found_hits = found;
    report->recall = report->exact_hits != 0 ? (double)found / (double)report->exact_hits : 1;
}

engram_status eg_via_root_narrow(eg_searcher *s, const eg_query_options *options,
                                 const eg_probes *p, eg_live *live, uint32_t minimum,
                                 eg_via_root_report *report, engram_error *error)
{
    exact all = {0};
    uint64_t start = eg_clock_monotonic_ns();
    pthread_mutex_lock(&s->via_root_lock);
    engram_status status = update(s, error);
    report->bundle_seconds = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    start = eg_clock_monotonic_ns();
    if (status == ENGRAM_OK && options->via_root_check)
        status = scan_exactly(s, p, live, minimum, &all, error);
    report->exact_seconds = (double)(eg_clock_monotonic_ns() - start) / 1e9;
    if (status == ENGRAM_OK)
        status = choose(s, options->via_root_share, p, live, report, error);
    if (status == ENGRAM_OK && options->via_root_check)
        compare(&all, p->count, live, report);
    pthread_mutex_unlock(&s->via_root_lock);
    eg_free(all.hits);
    eg_free(all.counts);
    return status;
}
