/* Every live row against all that come after it, a batch at a time; what is alike gives pairs of
 * files to score.
 *
 * Rows that are done leave the bitmap, so each pair of rows is compared once but for those within a
 * batch. Pairs of files that are in one group already need no score, and of those that did not join
 * as many are remembered as a table of fixed size holds. */
#include "base/memory.h"
#include "base/status.h"
#include "search/dups_parts.h"

enum {
    BATCH_ROWS = 256,
    BEST = 16,
    HITS = BEST + 1,    /* a row is its own best */
    HOLDERS = 32,       /* files of one chunk that are set against each other */
    HOLDERS_ACROSS = 8, /* against those of another chunk */
    VISITED_MAX = 4096,
    TRIED = 1 << 16 /* a power of two */
};

typedef struct holder_list { /* different contents that hold a chunk */
    eg_dups *dups;
    uint32_t files[HOLDERS];
    size_t count, visited;
} holder_list;

typedef struct batch {
    uint64_t rows[BATCH_ROWS];
    size_t count;
    uint8_t *vectors;
    eg_hit *hits;
    uint32_t counts[BATCH_ROWS];
} batch;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory looking for duplicates");
}

static engram_status add_holder(void *context, uint64_t chunk, uint64_t number, uint32_t count,
                                engram_error *error)
{
    holder_list *l = context;
    (void)chunk, (void)count, (void)error;
    uint32_t file = eg_dups_find_file(l->dups, number);
    if (file != UINT32_MAX) {
        file = l->dups->files[file].twin;
        size_t i = 0;
        while (i < l->count && l->files[i] != file)
            i++;
        if (i == l->count)
            l->files[l->count++] = file;
    }
    return l->count < HOLDERS && ++l->visited < VISITED_MAX ? ENGRAM_OK : ENGRAM_CANCELLED;
}

static engram_status list_holders(eg_dups *d, uint64_t chunk, holder_list *list,
                                  engram_error *error)
{
    list->dups = d;
    list->count = list->visited = 0;
    engram_status status = eg_fs_holders(d->version->root, chunk, add_holder, list, error);
    return status == ENGRAM_CANCELLED ? ENGRAM_OK : status;
}

static uint64_t *tried_place(eg_dups *d, uint64_t pair)
{
    return &d->tried[(pair * 0x9E3779B97F4A7C15u) >> 32 & (TRIED - 1)];
}

/* Two files with the chunks, a's and b's, that made them meet. */
static engram_status try_pair(eg_dups *d, uint32_t a, uint32_t b, uint64_t chunk_a,
                              uint64_t chunk_b, uint32_t matches, engram_error *error)
{
    double score = 0, least = d->options->min;
    uint64_t pair = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
    if (eg_dups_group_of(d, a) == eg_dups_group_of(d, b) || *tried_place(d, pair) == pair)
        return ENGRAM_OK;
    bool single = d->files[a].chunks == 1 && d->files[b].chunks == 1;
    EG_TRY(single ? eg_dups_score_chunks(d, chunk_a, chunk_b, matches, &score, error)
                  : eg_dups_score(d, a, b, least, &score, error));
    if (score >= least)
        eg_dups_join(d, a, b);
    else
        *tried_place(d, pair) = pair; /* never 0: a and b differ */
    return ENGRAM_OK;
}

static engram_status try_holders(eg_dups *d, const holder_list *list, uint64_t chunk,
                                 engram_error *error)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = i + 1; j < list->count; j++)
            EG_TRY(try_pair(d, list->files[i], list->files[j], chunk, chunk, ENGRAM_BLOCKS, error));
    return ENGRAM_OK;
}

static engram_status try_across(eg_dups *d, const holder_list *list, uint64_t chunk, uint64_t other,
                                uint32_t matches, engram_error *error)
{
    holder_list others;
    EG_TRY(list_holders(d, other, &others, error));
    for (size_t i = 0; i < list->count && i < HOLDERS_ACROSS; i++)
        for (size_t j = 0; j < others.count && j < HOLDERS_ACROSS; j++)
            if (list->files[i] != others.files[j])
                EG_TRY(try_pair(d, list->files[i], others.files[j], chunk, other, matches, error));
    return ENGRAM_OK;
}

static engram_status take_hits(eg_dups *d, const batch *b, size_t at, engram_error *error)
{
    holder_list list;
    uint64_t chunk = eg_searcher_id(d->searcher, b->rows[at]);
    EG_TRY(list_holders(d, chunk, &list, error));
    EG_TRY(try_holders(d, &list, chunk, error));
    for (uint32_t i = 0; i < b->counts[at]; i++) {
        const eg_hit *hit = &b->hits[at * HITS + i];
        if (hit->row != b->rows[at])
            EG_TRY(try_across(d, &list, chunk, eg_searcher_id(d->searcher, hit->row), hit->matches,
                              error));
    }
    return ENGRAM_OK;
}

static engram_status run_batch(eg_dups *d, batch *b, engram_error *error)
{
    eg_searcher *s = d->searcher;
    if (b->count == 0)
        return ENGRAM_OK;
    EG_TRY(eg_arena_top_k(s->arena, b->vectors, b->count, d->live.bits, HITS, d->minimum, b->hits,
                          b->counts, error));
    EG_TRY(eg_searcher_check_vectors(s, error));
    for (size_t i = 0; i < b->count; i++)
        EG_TRY(take_hits(d, b, i, error));
    for (size_t i = 0; i < b->count; i++)
        d->live.bits[b->rows[i] / 64] &= ~((uint64_t)1 << (b->rows[i] % 64));
    d->stats.chunks += b->count;
    b->count = 0;
    return ENGRAM_OK;
}

/* In vectors' bytes that were compared with others: so that the rate is steady. */
static engram_status tell_progress(const eg_dups *d, engram_error *error)
{
    const eg_dups_options *o = d->options;
    double left = 1 - (double)d->stats.chunks / (double)(d->live.count + (d->live.count == 0));
    uint64_t total = d->live.count * ENGRAM_BLOCKS;
    if (o->progress == NULL ||
        o->progress(o->context, (uint64_t)((1 - left * left) * (double)total), total))
        return ENGRAM_OK;
    return eg_fail(error, ENGRAM_CANCELLED, "interrupted; nothing was changed");
}

static engram_status scan_span(eg_dups *d, const eg_row_span *span, batch *b, engram_error *error)
{
    for (size_t i = 0; i < span->vectors.count; i++) {
        uint64_t row = span->first + i;
        if ((d->live.bits[row / 64] >> (row % 64) & 1) == 0)
            continue;
        eg_vectors_get(&span->vectors, i, b->vectors + b->count * ENGRAM_BLOCKS);
        b->rows[b->count++] = row;
        if (b->count == BATCH_ROWS) {
            EG_TRY(run_batch(d, b, error));
            EG_TRY(tell_progress(d, error));
        }
    }
    return ENGRAM_OK;
}

engram_status eg_dups_scan(eg_dups *d, engram_error *error)
{
    batch b = {.vectors = eg_alloc_aligned(64, BATCH_ROWS * ENGRAM_BLOCKS),
               .hits = eg_alloc(BATCH_ROWS * HITS * sizeof(eg_hit))};
    d->tried = eg_alloc_zero(TRIED, sizeof *d->tried);
    engram_status status = b.vectors == NULL || b.hits == NULL || d->tried == NULL
                               ? no_memory(error)
                               : tell_progress(d, error);
    for (size_t i = 0; i < d->searcher->span_count && status == ENGRAM_OK; i++)
        status = scan_span(d, &d->searcher->spans[i], &b, error);
    if (status == ENGRAM_OK)
        status = run_batch(d, &b, error);
    eg_free(b.vectors);
    eg_free(b.hits);
    eg_free(d->tried);
    d->tried = NULL;
    return status;
}
