/* Scoring one file over all its chunks. */
#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

void eg_score_pair(const eg_probe *probe, uint32_t matches, uint32_t spread, eg_query_hit *hit)
{
    hit->jaccard = engram_jaccard_from_matches(matches);
    double there = engram_distinct_windows(spread),
           here = probe->windows != EG_WINDOWS_UNKNOWN ? probe->windows : there;
    hit->containment = engram_containment(hit->jaccard.value, here, there);
}

typedef struct score_context {
    eg_searcher *searcher;
    const eg_version *version;
    const eg_probes *probes;
    double *best; /* of each probe */
    eg_place *places;
    double best_value;
    eg_query_hit *hit;
    bool found;
} score_context;

/* Of equal ones that which comes first in the file stays before. */
static void keep_place(eg_place *places, eg_place place)
{
    for (size_t i = 0; i < EG_PLACES; i++) {
        if (place.value <= places[i].value)
            continue;
        eg_place pushed = places[i];
        places[i] = place;
        place = pushed;
    }
}

static void score_probe(score_context *c, size_t probe, uint32_t matches, const eg_chunk_info *info,
                        uint64_t offset, double weight)
{
    eg_query_hit pair;
    const eg_probe *p = &c->probes->items[probe];
    eg_score_pair(p, matches, info->spread, &pair);
    double value = pair.jaccard.value > pair.containment ? pair.jaccard.value : pair.containment;
    if (value * weight > c->best[probe])
        c->best[probe] = value * weight;
    if (c->places != NULL)
        keep_place(c->places + probe * EG_PLACES,
                   (eg_place){value, offset, info->size, (uint32_t)probe});
    bool better = value > c->best_value || (value == c->best_value && c->found &&
                                            pair.jaccard.value > c->hit->jaccard.value);
    if (c->found && !better)
        return;
    c->found = true;
    c->best_value = value;
    c->hit->jaccard = pair.jaccard;
    c->hit->containment = pair.containment;
    c->hit->pair = (eg_query_pair){p->offset, p->size, offset, info->size, info->id, matches};
}

static engram_status score_ref(void *context, uint64_t offset, eg_chunk_ref ref,
                               engram_error *error)
{
    score_context *c = context;
    eg_store *store = eg_engram_store(c->searcher->engram);
    uint8_t vector[ENGRAM_BLOCKS];
    eg_chunk_info info;
    double weight = 0;
    engram_error inner = {0};
    engram_status status = eg_store_get_vector(store, ref.id, vector, &inner);
    if (status == ENGRAM_NOT_FOUND) /* a lost chunk is like nothing */
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    for (size_t q = 0; q < c->probes->count; q++) {
        uint32_t matches = engram_matches(vector, c->probes->vectors + q * ENGRAM_BLOCKS);
        if (matches < c->probes->floor)
            continue;
        if (weight == 0) { /* once for each chunk that is like anything asked for */
            uint64_t holders;
            EG_TRY(eg_store_get_info(store, ref.id, &info, error));
            EG_TRY(eg_holder_count(c->version, ref.id, &holders, error));
            weight = eg_holder_weight(holders);
        }
        score_probe(c, q, matches, &info, offset, weight);
    }
    return ENGRAM_OK;
}

engram_status eg_score_file(eg_searcher *searcher, const eg_version *version,
                            const eg_probes *probes, uint64_t inode, eg_query_hit *hit, bool *found,
                            eg_place *places, engram_error *error)
{
    *hit = (eg_query_hit){.inode = inode};
    score_context c = {
        .searcher = searcher, .version = version, .probes = probes, .places = places, .hit = hit};
    c.best = eg_alloc_zero(probes->count, sizeof *c.best);
    if (c.best == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    engram_status status = eg_fs_refs(version->root, inode, 0, score_ref, &c, error);
    for (size_t q = 0; q < probes->count; q++)
        hit->score += c.best[q] * probes->items[q].size;
    hit->score /= (double)(probes->size != 0 ? probes->size : 1);
    eg_free(c.best);
    *found = c.found;
    return status;
}
