/* Exact top-k on a device: tiles of rows against batches of queries (kernels/top_k.cl tells how
 * one tile is done), merged here.
 *
 * Tiles come in row order and keep their k best, so a row enters a query's list only by more
 * matches than its worst hit: that bar goes to the device with each tile, and soon almost no row
 * passes it. The first tiles are small for that reason. Scores, the largest buffer, are bounded by
 * pairs_max whatever the numbers of rows and queries.
 *
 * Rows that the device has no room for come last, in pieces that are copied to it while those before
 * them are scanned, for all queries at once.
 *
 * Rows in planes differ in how they are counted only: their queries are in planes, too. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum {
    VECTOR = ENGRAM_BLOCKS,
    SCORES = 258,        /* bins of a histogram, in top_k.cl */
    ROWS_ALIGNED = 64,   /* rows of a tile, but for the last: whole work-groups */
    ROWS_READ = 32,      /* scores that kernels read at once */
    ROWS_COUNTED = 512,  /* rows of one work-item of the counting kernel, */
    LONG_COUNTED = 2048, /* and of the one for planes for one query */
    QUERIES_ALIGNED = 4, /* queries are read up to a multiple of this */
    SECTIONS_MAX = 1024,
    SECTION_MIN = 1024 /* rows */
};

typedef struct cut { /* as written by top_k_threshold */
    cl_uint threshold, above, need, unused;
} cut;

typedef struct found { /* as written by top_k_gather */
    cl_uint row, matches;
} found;

/* One batch of queries on its way through the rows. */
typedef struct scan {
    eg_opencl *cl;
    size_t query_count;
    bool has_live;
    uint32_t k, minimum;
    eg_hit *hits; /* k a query, sorted */
    uint32_t *counts;
    cl_uint bars[256];
    cut cuts[256];
    found *found; /* of one tile; found_capacity entries */
    size_t found_capacity;
    eg_hit *merged; /* 2 k entries of scratch */
} scan;

typedef struct tile {
    cl_mem memory;
    eg_layout layout;
    cl_ulong total; /* vectors in memory */
    cl_ulong first; /* row in memory */
    cl_ulong row;   /* row in the resident set */
    cl_uint rows;
    cl_uint stride; /* rows, up to a multiple of 32 */
    cl_uint section_rows;
    cl_uint k; /* at most rows */
    size_t sections;
} tile;

static void set_bars(scan *s)
{
    for (size_t q = 0; q < s->query_count; q++)
        s->bars[q] = s->counts[q] < s->k ? s->minimum : s->hits[q * s->k + s->k - 1].matches + 1;
}

static bool is_any_open(const scan *s)
{
    for (size_t q = 0; q < s->query_count; q++)
        if (s->bars[q] <= ENGRAM_BLOCKS)
            return true;
    return false;
}

static engram_status count_matches(scan *s, const tile *t, engram_error *error)
{
    eg_opencl *cl = s->cl;
    cl_uint queries = (cl_uint)s->query_count;
    cl_mem none = NULL;
    bool in_planes = t->layout == EG_LAYOUT_PLANES;
    size_t rows_each = cl->form == EG_CL_GROUP     ? ROWS_ALIGNED
                       : in_planes && queries == 1 ? LONG_COUNTED
                                                   : ROWS_COUNTED;
    EG_TRY(eg_cl_write_slot(cl, EG_CL_BARS, s->bars, s->query_count * sizeof *s->bars, error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_SCORES, s->query_count * t->stride * sizeof(cl_ushort), error));
    const eg_cl_arg args[] = {EG_CL_ARG(t->memory),
                              EG_CL_ARG(t->first),
                              EG_CL_ARG(t->rows),
                              EG_CL_SLOT(cl, in_planes ? EG_CL_QUERY_PLANES : EG_CL_QUERIES),
                              EG_CL_ARG(queries),
                              {sizeof(cl_mem), s->has_live ? &cl->slots[EG_CL_LIVE].memory : &none},
                              EG_CL_ARG(t->row),
                              EG_CL_SLOT(cl, EG_CL_BARS),
                              EG_CL_SLOT(cl, EG_CL_SCORES),
                              EG_CL_ARG(t->stride),
                              EG_CL_ARG(t->total)}; /* of planes only */
    return eg_cl_run(cl, in_planes ? EG_CL_COUNT_PLANES : EG_CL_COUNT,
                     (t->stride + rows_each - 1) / rows_each, 1, args,
                     sizeof args / sizeof *args - !in_planes, error);
}

static engram_status find_cuts(scan *s, const tile *t, engram_error *error)
{
    eg_opencl *cl = s->cl;
    const cl_uint zero = 0;
    size_t size = s->query_count * SCORES * sizeof(cl_uint);
    EG_TRY(eg_cl_reserve(cl, EG_CL_HISTOGRAMS, size, error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_CUTS, s->query_count * sizeof(cut), error));
    EG_TRY(EG_CL(error, clEnqueueFillBuffer, cl->queue, cl->slots[EG_CL_HISTOGRAMS].memory, &zero,
                 sizeof zero, 0, size, 0, NULL, NULL));
    const eg_cl_arg histogram[] = {EG_CL_SLOT(cl, EG_CL_SCORES), EG_CL_ARG(t->stride),
                                   EG_CL_ARG(t->section_rows), EG_CL_SLOT(cl, EG_CL_HISTOGRAMS)};
    EG_TRY(eg_cl_run(cl, EG_CL_HISTOGRAM, t->sections, s->query_count, histogram, 4, error));
    const eg_cl_arg threshold[] = {EG_CL_SLOT(cl, EG_CL_HISTOGRAMS), EG_CL_ARG(t->k),
                                   EG_CL_SLOT(cl, EG_CL_CUTS)};
    EG_TRY(eg_cl_run(cl, EG_CL_THRESHOLD, s->query_count, 1, threshold, 3, error));
    return eg_cl_read_slot(cl, EG_CL_CUTS, s->cuts, s->query_count * sizeof(cut), error);
}

static engram_status gather(scan *s, const tile *t, engram_error *error)
{
    eg_opencl *cl = s->cl;
    cl_uint sections = (cl_uint)t->sections;
    size_t tallies = s->query_count * t->sections;
    EG_TRY(eg_cl_reserve(cl, EG_CL_TALLIES, tallies * sizeof(cl_uint), error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_TAKEN, s->query_count * sizeof(cl_uint), error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_HITS, s->query_count * t->k * sizeof(found), error));
    const eg_cl_arg tally[] = {EG_CL_SLOT(cl, EG_CL_SCORES), EG_CL_ARG(t->stride),
                               EG_CL_ARG(t->section_rows), EG_CL_SLOT(cl, EG_CL_CUTS),
                               EG_CL_SLOT(cl, EG_CL_TALLIES)};
    EG_TRY(eg_cl_run(cl, EG_CL_TALLY, t->sections, s->query_count, tally, 5, error));
    const eg_cl_arg prefix[] = {EG_CL_SLOT(cl, EG_CL_TALLIES), EG_CL_ARG(sections),
                                EG_CL_SLOT(cl, EG_CL_TAKEN)};
    EG_TRY(eg_cl_run(cl, EG_CL_PREFIX, s->query_count, 1, prefix, 3, error));
    const eg_cl_arg args[] = {EG_CL_SLOT(cl, EG_CL_SCORES),  EG_CL_ARG(t->stride),
                              EG_CL_ARG(t->section_rows),    EG_CL_SLOT(cl, EG_CL_CUTS),
                              EG_CL_SLOT(cl, EG_CL_TALLIES), EG_CL_SLOT(cl, EG_CL_TAKEN),
                              EG_CL_SLOT(cl, EG_CL_HITS),    EG_CL_ARG(t->k)};
    return eg_cl_run(cl, EG_CL_GATHER, t->sections, s->query_count, args, 8, error);
}

/* The first `width` entries of each query's k. */
static engram_status read_found(scan *s, const tile *t, size_t width, engram_error *error)
{
    const size_t origin[3] = {0, 0, 0};
    const size_t region[3] = {width * sizeof(found), s->query_count, 1};
    if (!eg_grow((void **)&s->found, &s->found_capacity, width * s->query_count, sizeof(found)))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the hits of a query");
    return EG_CL(error, clEnqueueReadBufferRect, s->cl->queue, s->cl->slots[EG_CL_HITS].memory,
                 CL_TRUE, origin, origin, region, t->k * sizeof(found), 0, region[0], 0, s->found,
                 0, NULL, NULL);
}

static int compare_hits(const void *a, const void *b)
{
    const eg_hit *x = a, *y = b;
    return eg_hit_before(*x, *y) ? -1 : eg_hit_before(*y, *x);
}

/* Merges the count hits found for query q into its list. */
static void merge(scan *s, const tile *t, size_t q, const found *entries, uint32_t count)
{
    eg_hit *list = s->hits + q * s->k, *fresh = s->merged + s->k;
    for (uint32_t i = 0; i < count; i++)
        fresh[i] = (eg_hit){t->row + entries[i].row, entries[i].matches};
    qsort(fresh, count, sizeof *fresh, compare_hits);
    uint32_t old = 0, new = 0, kept = 0;
    while (kept < s->k && (old < s->counts[q] || new < count)) {
        bool takes_old =
            new == count || (old < s->counts[q] && eg_hit_before(list[old], fresh[new]));
        s->merged[kept++] = takes_old ? list[old++] : fresh[new ++];
    }
    memcpy(list, s->merged, kept * sizeof *list);
    s->counts[q] = kept;
}

static engram_status scan_tile(scan *s, const tile *t, engram_error *error)
{
    uint32_t width = 0;
    set_bars(s);
    if (!is_any_open(s))
        return ENGRAM_OK;
    EG_TRY(count_matches(s, t, error));
    EG_TRY(find_cuts(s, t, error));
    for (size_t q = 0; q < s->query_count; q++) {
        uint32_t found_count = s->cuts[q].above + s->cuts[q].need;
        width = found_count > width ? found_count : width;
    }
    if (width == 0)
        return ENGRAM_OK;
    if (width > t->k)
        return eg_fail(error, ENGRAM_DEVICE, "%s found %u rows where %u were asked for",
                       s->cl->info.spec, width, t->k);
    EG_TRY(gather(s, t, error));
    EG_TRY(read_found(s, t, width, error));
    for (size_t q = 0; q < s->query_count; q++)
        merge(s, t, q, s->found + q * width, s->cuts[q].above + s->cuts[q].need);
    return ENGRAM_OK;
}

static void set_rows(tile *t, size_t rows, uint32_t k)
{
    t->rows = (cl_uint)rows;
    /* Odd, so that one row's scores for many queries do not meet in one set of a cache. */
    t->stride = (cl_uint)(((rows + ROWS_READ - 1) / ROWS_READ | 1) * ROWS_READ);
    size_t section = (rows + SECTIONS_MAX - 1) / SECTIONS_MAX;
    section = (section + ROWS_READ - 1) / ROWS_READ * ROWS_READ;
    t->section_rows = (cl_uint)(section > SECTION_MIN ? section : SECTION_MIN);
    t->sections = (rows + t->section_rows - 1) / t->section_rows;
    t->k = k < rows ? k : (cl_uint)rows;
}

/* Rows of one buffer, of which the first is `row` in the resident set. *pairs: of the next tile. */
static engram_status scan_rows(scan *s, const eg_cl_span *span, size_t row, size_t *pairs,
                               engram_error *error)
{
    size_t rows;
    for (size_t done = 0; done < span->rows; done += rows) {
        size_t most = *pairs / s->query_count / ROWS_ALIGNED * ROWS_ALIGNED;
        most = most > ROWS_ALIGNED ? most : ROWS_ALIGNED;
        rows = eg_cl_smaller(span->rows - done, most);
        tile t = {.memory = span->memory,
                  .layout = span->layout,
                  .total = span->capacity,
                  .first = span->first + done,
                  .row = row + done};
        set_rows(&t, rows, s->k);
        EG_TRY(scan_tile(s, &t, error));
        *pairs = *pairs < s->cl->limits.pairs_max / 2 ? 2 * *pairs : s->cl->limits.pairs_max;
    }
    return ENGRAM_OK;
}

static engram_status load_queries(scan *s, eg_cl_slot slot, const uint8_t *queries,
                                  engram_error *error)
{
    size_t room = (s->query_count + QUERIES_ALIGNED - 1) / QUERIES_ALIGNED * QUERIES_ALIGNED;
    EG_TRY(eg_cl_reserve(s->cl, slot, room * VECTOR, error));
    return eg_cl_write_slot(s->cl, slot, queries, s->query_count * VECTOR, error);
}

static engram_status load_live(scan *s, size_t rows, const uint64_t *live, engram_error *error)
{
    s->has_live = live && rows > 0;
    if (!s->has_live)
        return ENGRAM_OK;
    return eg_cl_write_slot(s->cl, EG_CL_LIVE, live, (rows + 63) / 64 * sizeof *live, error);
}

/* All queries of a call, batch by batch. What is queued refers to it until the queue is empty. */
typedef struct call {
    scan scan; /* of the batch at hand */
    const uint8_t *queries;
    uint8_t *query_planes; /* the same in planes, or NULL: no rows are */
    size_t query_count;
    eg_hit *hits;
    uint32_t *counts;
    const eg_resident *resident;
    bool has_rows; /* in rows */
} call;

/* The batch that begins with this query. */
static engram_status choose_batch(call *c, size_t first, engram_error *error)
{
    scan *s = &c->scan;
    s->query_count = eg_cl_smaller(c->query_count - first, s->cl->limits.query_count);
    s->hits = c->hits + first * s->k;
    s->counts = c->counts + first;
    if (c->query_planes)
        EG_TRY(load_queries(s, EG_CL_QUERY_PLANES, c->query_planes + first * VECTOR, error));
    return c->has_rows ? load_queries(s, EG_CL_QUERIES, c->queries + first * VECTOR, error)
                       : ENGRAM_OK;
}

/* The rows that are on the device. */
static engram_status scan_near(call *c, engram_error *error)
{
    for (size_t q = 0; q < c->query_count; q += c->scan.query_count) {
        size_t pairs = c->scan.cl->limits.pairs_first, row = 0;
        EG_TRY(choose_batch(c, q, error));
        for (size_t i = 0; i < c->resident->count && c->resident->spans[i].memory; i++) {
            const eg_cl_span *span = &c->resident->spans[i];
            EG_TRY(scan_rows(&c->scan, span, row, &pairs, error));
            row += span->rows;
        }
    }
    return ENGRAM_OK;
}

/* A piece of the rows that are not on the device. */
typedef struct piece {
    size_t span, first; /* row in the span */
    size_t rows, row;   /* row in the resident set; rows 0: there is none any more */
    eg_cl_slot slot;
    cl_event event;
} piece;

/* How many of these vectors fit into a tile. In planes the next tile begins with a group, so that
 * groups are copied as they are. */
static size_t fitting(const eg_opencl *cl, eg_vectors v)
{
    size_t size = eg_cl_smaller(cl->limits.tile_size, cl->info.allocation_max);
    size_t most = size / VECTOR / ROWS_ALIGNED * ROWS_ALIGNED;
    most = most > ROWS_ALIGNED ? most : ROWS_ALIGNED;
    if (v.layout == EG_LAYOUT_PLANES && most > EG_GROUP_ROWS)
        most = most / EG_GROUP_ROWS * EG_GROUP_ROWS - v.first % EG_GROUP_ROWS;
    return eg_cl_smaller(v.count, most);
}

/* Goes on to the next piece, from one of no rows to the first, and queues its copying. */
static engram_status fetch_next(const call *c, piece *p, engram_error *error)
{
    const eg_resident *r = c->resident;
    p->first += p->rows;
    p->row += p->rows;
    p->rows = 0;
    while (p->span < r->count && (r->spans[p->span].memory || p->first == r->spans[p->span].rows)) {
        p->row += r->spans[p->span].memory ? r->spans[p->span].rows : 0;
        p->span++;
        p->first = 0;
    }
    if (p->span == r->count)
        return ENGRAM_OK;
    const eg_cl_span *span = &r->spans[p->span];
    eg_vectors left = eg_vectors_part(span->lent, p->first, span->rows - p->first);
    p->rows = fitting(c->scan.cl, left);
    p->slot = p->slot == EG_CL_TILE ? EG_CL_TILE_OTHER : EG_CL_TILE;
    return eg_cl_upload(c->scan.cl, p->slot, eg_vectors_part(left, 0, p->rows), &p->event, error);
}

static engram_status scan_piece(call *c, const piece *p, engram_error *error)
{
    const eg_cl_span held = {.memory = c->scan.cl->slots[p->slot].memory,
                             .layout = c->resident->spans[p->span].layout,
                             .capacity = p->rows,
                             .rows = p->rows};
    for (size_t q = 0; q < c->query_count; q += c->scan.query_count) {
        size_t pairs = c->scan.cl->limits.pairs_first;
        EG_TRY(choose_batch(c, q, error));
        EG_TRY(scan_rows(&c->scan, &held, p->row, &pairs, error));
    }
    return ENGRAM_OK;
}

/* When a piece is scanned, its kernels are done: the next but one may take its place. */
static engram_status scan_far(call *c, engram_error *error)
{
    piece next = {.slot = EG_CL_TILE};
    engram_status status = fetch_next(c, &next, error);
    while (status == ENGRAM_OK && next.rows > 0) {
        piece now = next;
        next.event = NULL;
        status = eg_cl_await_upload(c->scan.cl, &now.event, error);
        if (status == ENGRAM_OK)
            status = fetch_next(c, &next, error);
        if (status == ENGRAM_OK)
            status = scan_piece(c, &now, error);
    }
    EG_CL_RELEASE(clReleaseEvent, next.event);
    return status;
}

/* The queries in the layouts that are met. */
static engram_status prepare_queries(call *c, engram_error *error)
{
    bool has_planes = false;
    for (size_t i = 0; i < c->resident->count; i++) {
        bool is_in_planes = c->resident->spans[i].layout == EG_LAYOUT_PLANES;
        has_planes |= is_in_planes;
        c->has_rows |= !is_in_planes;
    }
    if (!has_planes || c->query_count == 0)
        return ENGRAM_OK;
    c->query_planes = eg_alloc(c->query_count * VECTOR);
    if (!c->query_planes)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for %zu queries", c->query_count);
    for (size_t q = 0; q < c->query_count; q++)
        eg_vector_turn(c->queries + q * VECTOR, c->query_planes + q * VECTOR);
    return ENGRAM_OK;
}

static engram_status top_k(call *c, const uint64_t *live, engram_error *error)
{
    size_t rows = 0;
    for (size_t i = 0; i < c->resident->count; i++)
        rows += c->resident->spans[i].rows;
    memset(c->counts, 0, c->query_count * sizeof *c->counts);
    EG_TRY(prepare_queries(c, error));
    EG_TRY(load_live(&c->scan, rows, live, error));
    EG_TRY(scan_near(c, error));
    return scan_far(c, error);
}

engram_status eg_cl_top_k(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                          size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                          eg_hit *hits, uint32_t *counts, engram_error *error)
{
    eg_opencl *cl = (eg_opencl *)backend;
    call c = {.scan = {.cl = cl, .k = k, .minimum = minimum},
              .hits = hits,
              .counts = counts,
              .queries = queries,
              .query_count = query_count,
              .resident = resident};
    engram_status status;
    c.scan.merged = eg_alloc_zero(2 * (size_t)k, sizeof *c.scan.merged);
    if (!c.scan.merged)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for %u hits", k);
    pthread_mutex_lock(&cl->mutex);
    status = top_k(&c, live, error);
    eg_cl_drain(cl);
    pthread_mutex_unlock(&cl->mutex);
    eg_free(c.query_planes);
    eg_free(c.scan.merged);
    eg_free(c.scan.found);
    return status;
}
