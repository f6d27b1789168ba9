/* A query from chunks to hits; probes.c has what comes before. */
#include "search/query.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

/* The match count that strangers among so many rows reach once in a hundred queries: the tail of a
 * Poisson variable of mean 1, which is what 256 blocks of 256 symbols give. */
uint32_t eg_noise_floor(uint64_t rows)
{
    double term = exp(-1.0), tail = 1.0;
    for (uint32_t matches = 0; matches < ENGRAM_BLOCKS; matches++) {
        if (tail * (double)(rows + 1) < 0.01)
            return matches;
        tail -= term;
        term /= matches + 1;
        if (tail < 1e-15)
            tail = term * 1.2; /* rounding: from here the next term is the tail */
    }
    return ENGRAM_BLOCKS;
}

int eg_compare_hits(const void *a, const void *b)
{
    const eg_query_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->jaccard.value != y->jaccard.value)
        return x->jaccard.value > y->jaccard.value ? -1 : 1;
    size_t least = x->path_size < y->path_size ? x->path_size : y->path_size;
    int order = memcmp(x->path, y->path, least);
    return order != 0 ? order : (x->path_size > y->path_size) - (x->path_size < y->path_size);
}

static engram_status name_hit(const eg_version *version, eg_query_hit *hit, engram_error *error)
{
    eg_buffer path = {0};
    engram_status status = eg_fs_path(version->root, hit->inode, &path, error);
    hit->path_size = path.size;
    eg_write_u8(&path, 0);
    if (status == ENGRAM_OK && path.failed)
        status = no_memory(error);
    if (status != ENGRAM_OK) {
        eg_buffer_fini(&path);
        return status;
    }
    hit->path = (char *)path.data;
    return ENGRAM_OK;
}

static void free_hit(eg_query_hit *hit)
{
    eg_free(hit->path);
    eg_free(hit->exact.ranges.items);
    *hit = (eg_query_hit){0};
}

/* Leaves hits begin .. end - 1. */
static void cut_page(eg_query_result *result, size_t begin, size_t end)
{
    size_t count = result->hit_count;
    for (size_t i = 0; i < count; i++)
        if (i < begin || i >= end)
            free_hit(&result->hits[i]);
    if (begin != 0)
        memmove(result->hits, result->hits + begin, (end - begin) * sizeof *result->hits);
    result->hit_count = end - begin;
    result->hits_before = begin;
    result->hits_behind = count - end;
}

/* Puts the hits in order and leaves those that are asked for; of files, looks at the twenties in
 * which they are. */
static engram_status take_page(eg_searcher *s, const eg_version *version, const eg_probes *p,
                               eg_view query, const eg_query_options *options,
                               eg_query_result *result, engram_error *error)
{
    size_t count = result->hit_count, k = options->k != 0 ? options->k : 10;
    size_t begin = options->skip < count ? options->skip : count,
           end = k < count - begin ? begin + k : count;
    qsort(result->hits, count, sizeof *result->hits, eg_compare_hits);
    if (!options->by_chunk && !options->estimate_only && begin != end) {
        size_t first = begin / EG_QUERY_RERANK * EG_QUERY_RERANK;
        size_t behind = (end + EG_QUERY_RERANK - 1) / EG_QUERY_RERANK * EG_QUERY_RERANK;
        size_t last = behind < count ? behind : count;
        EG_TRY(eg_rerank_hits(s, version, p, query, result->hits + first, last - first, error));
        result->files_looked_at = last - first;
    }
    cut_page(result, begin, end);
    return ENGRAM_OK;
}

static engram_status hits_by_file(eg_searcher *s, const eg_version *version, const eg_probes *p,
                                  const eg_live *live, const eg_query_options *options,
                                  eg_query_result *result, engram_error *error)
{
    eg_candidate candidates[EG_QUERY_FILES_MAX];
    size_t count = 0;
    EG_TRY(eg_candidates_find(s, version, p, live, candidates, &count, error));
    result->hits = eg_alloc_zero(count + 1, sizeof *result->hits);
    if (result->hits == NULL)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        eg_query_hit hit;
        bool found;
        EG_TRY(eg_score_file(s, version, p, candidates[i].inode, &hit, &found, NULL, error));
        if (!found || hit.score < options->min)
            continue;
        EG_TRY(name_hit(version, &hit, error));
        result->hits[result->hit_count++] = hit;
    }
    result->files_scored = count;
    return ENGRAM_OK;
}

typedef struct holder_context {
    const eg_live *live;
    uint64_t inode;
} holder_context;

static engram_status first_holder(void *context, uint64_t chunk, uint64_t number, uint32_t count,
                                  engram_error *error)
{
    holder_context *c = context;
    (void)chunk, (void)count, (void)error;
    if (!eg_live_has(c->live, number))
        return ENGRAM_OK;
    c->inode = number;
    return ENGRAM_CANCELLED;
}

typedef struct place_context {
    uint64_t chunk, offset;
} place_context;

static engram_status find_place(void *context, uint64_t offset, eg_chunk_ref ref,
                                engram_error *error)
{
    place_context *c = context;
    (void)error;
    if (ref.id != c->chunk)
        return ENGRAM_OK;
    c->offset = offset;
    return ENGRAM_CANCELLED;
}

static engram_status chunk_hit(eg_searcher *s, const eg_version *version, const eg_probe *probe,
                               const eg_hit *row, const eg_live *live, eg_query_hit *hit,
                               engram_error *error)
{
    eg_chunk_info info;
    holder_context holder = {.live = live};
    place_context place = {.chunk = eg_searcher_id(s, row->row)};
    *hit = (eg_query_hit){0};
    EG_TRY(eg_store_get_info(eg_engram_store(s->engram), place.chunk, &info, error));
    engram_status status = eg_fs_holders(version->root, place.chunk, first_holder, &holder, error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED)
        return status;
    status = eg_fs_refs(version->root, holder.inode, 0, find_place, &place, error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED)
        return status;
    eg_score_pair(probe, row->matches, info.spread, hit);
    hit->inode = holder.inode;
    hit->score = hit->jaccard.value;
    hit->pair =
        (eg_query_pair){probe->offset, probe->size, place.offset, info.size, info.id, row->matches};
    return name_hit(version, hit, error);
}

static engram_status hits_by_chunk(eg_searcher *s, const eg_version *version, const eg_probes *p,
                                   const eg_live *live, const eg_query_options *options,
                                   eg_query_result *result, engram_error *error)
{
    uint64_t k = (uint64_t)(options->k != 0 ? options->k : 10) + options->skip;
    size_t most = 0;
    for (size_t q = 0; q < p->count; q++)
        most += p->hit_counts[q] < k ? p->hit_counts[q] : (size_t)k;
    result->hits = eg_alloc_zero(most + 1, sizeof *result->hits);
    if (result->hits == NULL)
        return no_memory(error);
    for (size_t q = 0; q < p->count; q++) {
        for (uint32_t i = 0; i < p->hit_counts[q] && i < k; i++) {
            eg_query_hit *hit = &result->hits[result->hit_count];
            EG_TRY(chunk_hit(s, version, &p->items[q], &p->hits[q * EG_QUERY_CHUNK_BEST + i], live,
                             hit, error));
            result->hit_count++;
        }
    }
    return ENGRAM_OK;
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(eg_clock_monotonic_ns() - start_ns) / 1e9;
}

/* The rows that count: shared with other queries, or, where bundles narrow them, the query's own.
 */
typedef struct counted_rows {
    const eg_live *live, *shared;
    eg_live own;
} counted_rows;

static engram_status take_live(eg_searcher *s, const eg_version *version,
                               const eg_query_options *options, counted_rows *rows,
                               engram_error *error)
{
    bool is_own = options->via_root_share > 0;
    EG_TRY(is_own ? eg_live_init(s, version, options, &rows->own, error)
                  : eg_lives_take(s, version, options, &rows->shared, error));
    rows->live = is_own ? &rows->own : rows->shared;
    return ENGRAM_OK;
}

/* Which rows are compared, and what is noise among them. */
static engram_status choose_rows(eg_searcher *s, const eg_version *version,
                                 const eg_query_options *options, eg_probes *all,
                                 counted_rows *rows, uint32_t *minimum,
                                 eg_via_root_report *via_root, engram_error *error)
{
    EG_TRY(take_live(s, version, options, rows, error));
    *minimum = all->floor = eg_noise_floor(rows->live->count);
    if (options->by_chunk && options->min > 0 &&
        engram_matches_from_jaccard(options->min) > *minimum)
        *minimum = engram_matches_from_jaccard(options->min);
    return options->via_root_share > 0
               ? eg_via_root_narrow(s, options, all, &rows->own, *minimum, via_root, error)
               : ENGRAM_OK;
}

static engram_status find_hits(eg_searcher *s, const eg_version *version, eg_view query,
                               const eg_query_options *options, const eg_probes *p,
                               const eg_live *live, eg_query_result *result, engram_error *error)
{
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(options->by_chunk ? hits_by_chunk(s, version, p, live, options, result, error)
                             : hits_by_file(s, version, p, live, options, result, error));
    result->score_seconds = seconds_since(start);
    start = eg_clock_monotonic_ns();
    EG_TRY(take_page(s, version, p, query, options, result, error));
    result->look_seconds = seconds_since(start);
    result->version = version->number;
    result->query_chunks = p->count;
    result->chunks_live = live->count;
    return ENGRAM_OK;
}

static engram_status run_queries(eg_searcher *s, const eg_version *version,
                                 const eg_query_input *inputs, size_t count,
                                 const eg_query_options *options, eg_probes *all,
                                 counted_rows *rows, eg_query_result *results, engram_error *error)
{
    uint32_t minimum;
    uint64_t start = eg_clock_monotonic_ns();
    EG_TRY(eg_probes_encode(s, inputs, count, all, error));
    double encode_seconds = seconds_since(start);
    EG_TRY(choose_rows(s, version, options, all, rows, &minimum, &results->via_root, error));
    start = eg_clock_monotonic_ns();
    EG_TRY(eg_probes_scan(s, all, rows->live, minimum, error));
    double scan_seconds = seconds_since(start);
    for (size_t i = 0, first = 0; i < count; i++) {
        const eg_query_input *input = &inputs[i];
        eg_query_options own = *options;
        eg_probes p = eg_probes_of(all, &first, input);
        own.estimate_only |= input->vector != NULL;
        EG_TRY(find_hits(s, version, input->bytes, &own, &p, rows->live, &results[i], error));
        results[i].unsure = input->vector == NULL && input->bytes.size < EG_QUERY_UNSURE_SIZE;
        results[i].encode_seconds = encode_seconds;
        results[i].scan_seconds = scan_seconds;
    }
    return ENGRAM_OK;
}

engram_status eg_searcher_query_all(eg_searcher *searcher, const eg_version *version,
                                    const eg_query_input *inputs, size_t count,
                                    const eg_query_options *options, eg_query_result *results,
                                    engram_error *error)
{
    eg_probes all = {0};
    counted_rows rows = {0};
    if (count == 0)
        return ENGRAM_OK;
    memset(results, 0, count * sizeof *results);
    EG_TRY(eg_searcher_enter(searcher, error));
    engram_status status =
        run_queries(searcher, version, inputs, count, options, &all, &rows, results, error);
    for (size_t i = 0; i < count && status != ENGRAM_OK; i++)
        eg_query_result_fini(&results[i]);
    eg_lives_give(searcher, rows.shared);
    eg_live_fini(&rows.own);
    eg_searcher_leave(searcher);
    eg_probes_fini(&all);
    return status;
}

engram_status eg_searcher_query(eg_searcher *searcher, const eg_version *version,
                                const uint8_t *bytes, size_t size, const eg_query_options *options,
                                eg_query_result *result, engram_error *error)
{
    const eg_query_input input = {.bytes = {bytes, size}};
    return eg_searcher_query_all(searcher, version, &input, 1, options, result, error);
}

void eg_query_result_fini(eg_query_result *result)
{
    for (size_t i = 0; i < result->hit_count; i++)
        free_hit(&result->hits[i]);
    eg_free(result->hits);
    *result = (eg_query_result){0};
}
