/* The cpu backend's resident set and its scan.
 *
 * Rows are shared out over the pool in pieces; each worker keeps one list for each query, and the
 * lists are merged at the end. Where those lists would take more memory than they are worth (huge
 * k, many queries, many threads), the queries are shared out instead, and each task scans all rows
 * straight into the caller's lists. */
#include "compute/cpu_backend.h"

#include "base/memory.h"

enum {
    PIECE_ROWS = 2048, /* a multiple of 64; 512 KiB of vectors */
    PIECE_WORDS = PIECE_ROWS / 64,
    QUERIES_OF_TASK = 64
};
#define SCRATCH_MAX ((size_t)64 << 20)

typedef struct span {
    eg_vectors vectors;
    size_t first_row;
} span;

struct eg_resident {
    span *spans;
    size_t span_count, span_capacity;
    size_t row_count;
};

engram_status eg_cpu_resident_create(eg_backend *backend, eg_resident **resident,
                                     engram_error *error)
{
    (void)backend;
    *resident = eg_alloc_zero(1, sizeof **resident);
    if (*resident == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a resident set");
    return ENGRAM_OK;
}

void eg_cpu_resident_free(eg_backend *backend, eg_resident *resident)
{
    (void)backend;
    if (resident == NULL)
        return;
    eg_free(resident->spans);
    eg_free(resident);
}

engram_status eg_cpu_resident_append(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                     engram_error *error)
{
    (void)backend;
    if ((uintptr_t)vectors.bytes % 64 != 0)
        return eg_fail(error, ENGRAM_INVALID, "vectors to scan must be aligned to 64 bytes");
    if (vectors.count == 0)
        return ENGRAM_OK;
    if (!eg_grow((void **)&resident->spans, &resident->span_capacity, resident->span_count + 1,
                 sizeof *resident->spans))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a span of vectors");
    resident->spans[resident->span_count++] = (span){vectors, resident->row_count};
    resident->row_count += vectors.count;
    return ENGRAM_OK;
}

/* What is asked of one scan: some of the queries, with their lists. */
typedef struct request {
    const eg_cpu_backend *cpu;
    const eg_resident *resident;
    const uint8_t *queries;
    size_t query_count;
    const uint64_t *live;
} request;

static const span *find_span(const eg_resident *resident, size_t row)
{
    size_t low = 0, high = resident->span_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (resident->spans[middle].first_row <= row)
            low = middle;
        else
            high = middle;
    }
    return &resident->spans[low];
}

/* The live bits of rows first .. first + count - 1, the first at bit 0: in place where the rows
 * begin a word, else moved to words. */
static const uint64_t *live_bits(const uint64_t *live, size_t first, size_t count, uint64_t *words)
{
    const unsigned shift = first % 64;
    if (live == NULL || shift == 0)
        return live == NULL ? NULL : live + first / 64;
    for (size_t done = 0; done < count; done += 64) {
        const uint64_t *from = live + (first + done) / 64;
        words[done / 64] = *from >> shift;
        if (count - done > 64 - shift)
            words[done / 64] |= from[1] << (64 - shift);
    }
    return words;
}

/* Offers rows first .. end - 1, at most PIECE_ROWS, to tops. */
static void scan_rows(const request *r, size_t first, size_t end, eg_top *tops)
{
    uint64_t words[PIECE_WORDS];
    const span *s = find_span(r->resident, first);
    while (first < end) {
        size_t at = first - s->first_row;
        size_t run = eg_vectors_run(&s->vectors, at), count = run < end - first ? run : end - first;
        r->cpu->kernels.top_k(r->queries, r->query_count,
                              eg_vectors_part(s->vectors, at, count), first,
                              live_bits(r->live, first, count, words), tops);
        first += count;
        s += at + count == s->vectors.count;
    }
}

static void scan_piece(const request *r, size_t piece, eg_top *tops)
{
    size_t first = piece * PIECE_ROWS, left = r->resident->row_count - first;
    scan_rows(r, first, first + (left < PIECE_ROWS ? left : PIECE_ROWS), tops);
}

static size_t piece_count(const eg_resident *resident)
{
    return resident->row_count / PIECE_ROWS + (resident->row_count % PIECE_ROWS != 0);
}

static void scan_all(const request *r, eg_top *tops)
{
    for (size_t piece = 0; piece < piece_count(r->resident); piece++)
        scan_piece(r, piece, tops);
}

/* Rows shared out. tops: query_count lists for each worker, the first worker's in the caller's
 * memory. */
typedef struct row_job {
    request request;
    eg_top *tops;
} row_job;

static void row_task(void *context, size_t index, size_t worker)
{
    const row_job *job = context;
    scan_piece(&job->request, index, job->tops + worker * job->request.query_count);
}

static void merge(eg_top *into, const eg_top *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        if (from->hits[i].matches >= into->bar)
            eg_top_offer(into, from->hits[i].row, from->hits[i].matches);
}

static void share_rows(const request *r, size_t width, eg_top *tops)
{
    row_job job = {*r, tops};
    eg_pool_run(r->cpu->pool, piece_count(r->resident), row_task, &job);
    for (size_t w = 1; w < width; w++)
        for (size_t q = 0; q < r->query_count; q++)
            merge(&tops[q], &tops[w * r->query_count + q]);
}

/* Queries shared out. */
typedef struct query_job {
    request request;
    eg_top *tops;
    size_t queries_of_task;
} query_job;

static void query_task(void *context, size_t index, size_t worker)
{
    (void)worker;
    const query_job *job = context;
    request part = job->request;
    size_t first = index * job->queries_of_task, left = part.query_count - first;
    part.queries += first * ENGRAM_BLOCKS;
    part.query_count = left < job->queries_of_task ? left : job->queries_of_task;
    scan_all(&part, job->tops + first);
}

static void share_queries(const request *r, size_t width, eg_top *tops)
{
    size_t each = r->query_count / width + (r->query_count % width != 0);
    query_job job = {*r, tops, each < QUERIES_OF_TASK ? each : QUERIES_OF_TASK};
    size_t tasks = (r->query_count + job.queries_of_task - 1) / job.queries_of_task;
    eg_pool_run(r->cpu->pool, tasks, query_task, &job);
}

/* How many workers get lists of their own, and how long: 1 when rows are not shared out. */
static size_t list_owners(const request *r, uint32_t list_size)
{
    size_t width = eg_cpu_width(r->cpu);
    size_t lists = SCRATCH_MAX / sizeof(eg_hit) / list_size / r->query_count;
    return piece_count(r->resident) > 1 && width - 1 <= lists ? width : 1;
}

static void start_lists(eg_top *tops, size_t owners, size_t query_count, uint32_t k,
                        uint32_t minimum, eg_hit *hits, eg_hit *scratch, uint32_t list_size)
{
    for (size_t q = 0; q < query_count; q++)
        eg_top_init(&tops[q], hits + q * k, k, minimum);
    for (size_t i = query_count; i < owners * query_count; i++, scratch += list_size)
        eg_top_init(&tops[i], scratch, list_size, minimum);
}

static void scan_shared(const request *r, size_t owners, eg_top *tops)
{
    size_t width = eg_cpu_width(r->cpu);
    if (owners > 1)
        share_rows(r, owners, tops);
    else if (width > 1 && r->query_count > 1 && piece_count(r->resident) > 1)
        share_queries(r, width, tops);
    else
        scan_all(r, tops);
}

engram_status eg_cpu_top_k(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                           size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                           eg_hit *hits, uint32_t *counts, engram_error *error)
{
    if (k == 0 || k > EG_TOP_K_MAX)
        return eg_fail(error, ENGRAM_INVALID, "k is %u; it must be 1 to %d", k, EG_TOP_K_MAX);
    if (query_count == 0)
        return ENGRAM_OK;
    const request r = {eg_cpu_of(backend), resident, queries, query_count, live};
    uint32_t list_size = resident->row_count < k ? (uint32_t)resident->row_count : k;
    list_size = list_size == 0 ? 1 : list_size;
    size_t owners = list_owners(&r, list_size);
    eg_top *tops = eg_alloc_zero(owners * query_count, sizeof *tops);
    eg_hit *scratch = eg_alloc((owners - 1) * query_count * list_size * sizeof *scratch);
    engram_status status = ENGRAM_OK;
    if (tops == NULL || scratch == NULL) {
        status =
            eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the lists of %zu queries", query_count);
        goto done;
    }
    start_lists(tops, owners, query_count, k, minimum, hits, scratch, list_size);
    scan_shared(&r, owners, tops);
    for (size_t q = 0; q < query_count; q++) {
        eg_top_finish(&tops[q]);
        counts[q] = tops[q].count;
    }
done:
    eg_free(scratch);
    eg_free(tops);
    return status;
}
