/* From the best chunks to the files that hold them. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/internal.h"

enum { HOLDERS_MAX = 1024, HOLDERS_COMMON = 16 };

/* One file of one probe: its best value. Sorted by inode, then summed. */
typedef struct vote {
    uint64_t inode;
    uint32_t probe;
    double value;
} vote;

typedef struct vote_list {
    const eg_live *live;
    vote *votes;
    size_t count, capacity;
    size_t begin; /* of the chunk at hand: its votes get their weight when all holders are known */
    uint32_t probe;
    double value;
    uint64_t holders;
} vote_list;

double eg_holder_weight(uint64_t holders)
{
    return holders <= HOLDERS_COMMON ? 1.0 : 1.0 / (1.0 + log2((double)holders / HOLDERS_COMMON));
}

static engram_status count_holder(void *context, uint64_t chunk, uint64_t number, uint32_t count,
                                  engram_error *error)
{
    (void)chunk, (void)number, (void)count, (void)error;
    uint64_t *holders = context;
    return ++*holders < HOLDERS_MAX ? ENGRAM_OK : ENGRAM_CANCELLED;
}

engram_status eg_holder_count(const eg_version *version, uint64_t chunk, uint64_t *count,
                              engram_error *error)
{
    *count = 0;
    engram_status status = eg_fs_holders(version->root, chunk, count_holder, count, error);
    return status == ENGRAM_CANCELLED ? ENGRAM_OK : status;
}

static engram_status add_vote(void *context, uint64_t chunk, uint64_t number, uint32_t count,
                              engram_error *error)
{
    vote_list *l = context;
    (void)chunk, (void)count;
    if (eg_live_has(l->live, number)) {
        if (!eg_grow((void **)&l->votes, &l->capacity, l->count + 1, sizeof *l->votes))
            return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
        l->votes[l->count++] = (vote){number, l->probe, l->value};
    }
    return ++l->holders < HOLDERS_MAX ? ENGRAM_OK : ENGRAM_CANCELLED;
}

static engram_status vote_chunk(eg_searcher *s, const eg_version *version, const eg_probes *p,
                                uint32_t probe, const eg_hit *hit, vote_list *list,
                                engram_error *error)
{
    eg_chunk_info info;
    eg_query_hit pair;
    uint64_t id = eg_searcher_id(s, hit->row);
    EG_TRY(eg_store_get_info(eg_engram_store(s->engram), id, &info, error));
    eg_score_pair(&p->items[probe], hit->matches, info.spread, &pair);
    list->begin = list->count;
    list->probe = probe;
    list->holders = 0;
    list->value = pair.jaccard.value > pair.containment ? pair.jaccard.value : pair.containment;
    engram_status status = eg_fs_holders(version->root, id, add_vote, list, error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED)
        return status;
    for (size_t i = list->begin; i < list->count; i++)
        list->votes[i].value *= eg_holder_weight(list->holders) * p->items[probe].size;
    return ENGRAM_OK;
}

static int by_inode(const void *a, const void *b)
{
    const vote *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    if (x->probe != y->probe)
        return x->probe < y->probe ? -1 : 1;
    return (x->value < y->value) - (x->value > y->value);
}

static int by_score(const void *a, const void *b)
{
    const eg_candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

/* Sums each inode's best vote of each probe; keeps the best files. */
static engram_status tally(vote_list *list, eg_candidate *candidates, size_t *count,
                           engram_error *error)
{
    *count = 0;
    if (list->count == 0)
        return ENGRAM_OK;
    qsort(list->votes, list->count, sizeof *list->votes, by_inode);
    eg_candidate *all = eg_alloc((list->count + 1) * sizeof *all);
    if (all == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a query");
    size_t n = 0;
    for (size_t i = 0; i < list->count; i++) {
        const vote *v = &list->votes[i], *before = i != 0 ? v - 1 : NULL;
        if (before == NULL || before->inode != v->inode)
            all[n++] = (eg_candidate){v->inode, v->value};
        else if (before->probe != v->probe)
            all[n - 1].score += v->value;
    }
    qsort(all, n, sizeof *all, by_score);
    *count = n < EG_QUERY_FILES_MAX ? n : EG_QUERY_FILES_MAX;
    memcpy(candidates, all, *count * sizeof *all);
    eg_free(all);
    return ENGRAM_OK;
}

engram_status eg_candidates_find(eg_searcher *searcher, const eg_version *version,
                                 const eg_probes *probes, const eg_live *live,
                                 eg_candidate *candidates, size_t *count, engram_error *error)
{
    vote_list list = {.live = live};
    engram_status status = ENGRAM_OK;
    for (uint32_t q = 0; q < probes->count && status == ENGRAM_OK; q++)
        for (uint32_t i = 0; i < probes->hit_counts[q] && status == ENGRAM_OK; i++)
            status = vote_chunk(searcher, version, probes, q,
                                &probes->hits[(size_t)q * EG_QUERY_CHUNK_BEST + i], &list, error);
    if (status == ENGRAM_OK)
        status = tally(&list, candidates, count, error);
    eg_free(list.votes);
    return status;
}
