/* From queries to the stored chunks that are most like theirs: cutting, encoding and one scan for
 * all of them. */
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

typedef struct cutting {
    eg_searcher *searcher;
    eg_probes *all;
    eg_view *views; /* of each probe; of a vector: none */
    size_t capacity;
} cutting;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
}

/* ---- cutting ---- */

static engram_status add(cutting *c, eg_view view, eg_probe probe, engram_error *error)
{
    eg_probes *p = c->all;
    if (!eg_grow((void **)&p->items, &p->capacity, p->count + 1, sizeof *p->items) ||
        !eg_grow((void **)&c->views, &c->capacity, p->count + 1, sizeof *c->views))
        return no_memory(error);
    c->views[p->count] = view;
    p->items[p->count++] = probe;
    return ENGRAM_OK;
}

/* At least one chunk, if only an empty one. */
static engram_status cut(cutting *c, eg_view bytes, engram_error *error)
{
    size_t at = 0;
    do {
        size_t left = bytes.size - at,
               take = left != 0 ? eg_chunker_cut(&c->searcher->chunker, bytes.data + at, left) : 0;
        const eg_probe probe = {.offset = at, .size = (uint32_t)take};
        EG_TRY(add(c, (eg_view){bytes.data + at, take}, probe, error));
        at += take;
    } while (at < bytes.size);
    return ENGRAM_OK;
}

static engram_status cut_all(cutting *c, const eg_query_input *inputs, size_t count,
                             engram_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const eg_probe vector = {
            .size = ENGRAM_BLOCKS, .spread = inputs[i].spread, .is_vector = true};
        EG_TRY(inputs[i].vector != NULL ? add(c, (eg_view){0}, vector, error)
                                        : cut(c, inputs[i].bytes, error));
    }
    return ENGRAM_OK;
}

/* ---- encoding ---- */

/* Room for all vectors, with those that were given in their places. */
static engram_status place_vectors(const cutting *c, const eg_query_input *inputs, size_t count,
                                   engram_error *error)
{
    eg_probes *p = c->all;
    p->vectors = eg_alloc_aligned(64, p->count * ENGRAM_BLOCKS);
    if (p->vectors == NULL)
        return no_memory(error);
    for (size_t i = 0, first = 0; i < count; i++) {
        size_t at = first;
        eg_probes_of(p, &first, &inputs[i]);
        if (inputs[i].vector != NULL)
            memcpy(p->vectors + at * ENGRAM_BLOCKS, inputs[i].vector, ENGRAM_BLOCKS);
    }
    return ENGRAM_OK;
}

/* Runs of probes that are bytes; with one query that is all of them. */
static engram_status encode_runs(const cutting *c, uint32_t *spreads, engram_error *error)
{
    eg_searcher *s = c->searcher;
    eg_probes *p = c->all;
    for (size_t from = 0, to; from < p->count; from = to) {
        bool is_vector = p->items[from].is_vector;
        for (to = from + 1; to < p->count && p->items[to].is_vector == is_vector; to++)
            ;
        if (!is_vector)
            EG_TRY(eg_batcher_encode(s->batcher, eg_engram_get_codebook(s->engram), c->views + from,
                                     to - from, p->vectors + from * ENGRAM_BLOCKS, spreads + from,
                                     error));
    }
    for (size_t i = 0; i < p->count; i++) {
        eg_probe *probe = &p->items[i];
        probe->spread = probe->is_vector ? probe->spread : spreads[i];
        probe->windows = probe->is_vector && probe->spread == 0
                             ? EG_WINDOWS_UNKNOWN
                             : engram_distinct_windows(probe->spread);
    }
    return ENGRAM_OK;
}

engram_status eg_probes_encode(eg_searcher *s, const eg_query_input *inputs, size_t count,
                               eg_probes *all, engram_error *error)
{
    cutting c = {.searcher = s, .all = all};
    uint32_t *spreads = NULL;
    engram_status status = cut_all(&c, inputs, count, error);
    if (status == ENGRAM_OK)
        status = place_vectors(&c, inputs, count, error);
    if (status == ENGRAM_OK) {
        spreads = eg_alloc_zero(all->count, sizeof *spreads);
        status = spreads != NULL ? encode_runs(&c, spreads, error) : no_memory(error);
    }
    eg_free(c.views);
    eg_free(spreads);
    return status;
}

eg_probes eg_probes_of(const eg_probes *all, size_t *first, const eg_query_input *input)
{
    size_t from = *first, to = from + 1; /* the next query's first chunk begins at 0 again */
    while (to < all->count && all->items[to].offset != 0)
        to++;
    *first = to;
    eg_probes p = {.items = all->items + from,
                   .count = to - from,
                   .size = input->vector != NULL ? ENGRAM_BLOCKS : input->bytes.size,
                   .floor = all->floor};
    if (all->vectors != NULL)
        p.vectors = all->vectors + from * ENGRAM_BLOCKS;
    if (all->hits != NULL) {
        p.hits = all->hits + from * EG_QUERY_CHUNK_BEST;
        p.hit_counts = all->hit_counts + from;
    }
    return p;
}

void eg_probes_fini(eg_probes *all)
{
    eg_free(all->items);
    eg_free(all->vectors);
    eg_free(all->hits);
    eg_free(all->hit_counts);
}

/* ---- the scan ---- */

/* Zeros in the place of vectors that could not be read must not pass for an answer. */
engram_status eg_searcher_check_vectors(eg_searcher *s, engram_error *error)
{
    return eg_store_check_vectors(eg_engram_store(s->engram), error);
}

engram_status eg_probes_scan(eg_searcher *s, eg_probes *p, const eg_live *live, uint32_t minimum,
                             engram_error *error)
{
    p->hits = eg_alloc(p->count * EG_QUERY_CHUNK_BEST * sizeof *p->hits);
    p->hit_counts = eg_alloc_zero(p->count, sizeof *p->hit_counts);
    if (p->hits == NULL || p->hit_counts == NULL)
        return no_memory(error);
    if (eg_arena_rows(s->arena) == 0)
        return ENGRAM_OK;
    EG_TRY(eg_batcher_top_k(s->batcher, s->arena, p->vectors, p->count, live->bits,
                            EG_QUERY_CHUNK_BEST, minimum, p->hits, p->hit_counts, error));
    return eg_searcher_check_vectors(s, error);
}
