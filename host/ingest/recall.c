/* Numbers are given out in the order in which chunks come: a list leads from them to ids. Those of the batch at hand have
 * no id yet. There are two ways to find: all are compared with (nearest.h), until that are effort.exact_max; from then on bands
 * are asked (store/bands.h). */
#include "ingest/recall.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "engram/hypervector.h"
#include "ingest/nearest.h"
#include "store/bands.h"

/* Under it a delta hardly ever pays: 27 of 256 is a Jaccard similarity of 0.1. */
enum { MATCHES_MIN = 27 };

static_assert((int)EG_RECALL_AT_ONCE <= (int)EG_NEAREST_QUERIES, "one call of eg_nearest_find");

struct eg_recall {
    eg_store *store;
    eg_recall_effort effort;
    eg_nearest nearest; /* while bands is NULL */
    eg_bands *bands;
    uint64_t *ids; /* by number; of the batch at hand: not yet */
    uint32_t count;
    size_t capacity;
    const uint8_t *batch; /* vectors of the batch at hand */
    uint32_t batch_first; /* their first number */
    bool is_full;         /* the index takes no more */
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for similar chunks");
}

/* A vector that cannot be read is as good as none: nothing is like it. */
static engram_status get_vector(void *context, uint32_t number, uint8_t *vector, engram_error *error)
{
    eg_recall *r = context;
    if (r->batch != NULL && number >= r->batch_first) {
        memcpy(vector, r->batch + (size_t)(number - r->batch_first) * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
        return ENGRAM_OK;
    }
    engram_status status = eg_store_get_vector(r->store, r->ids[number], vector, error);
    if (status == ENGRAM_NO_MEMORY)
        return status;
    if (status != ENGRAM_OK) {
        if (error != NULL)
            error->status = ENGRAM_OK;
        memset(vector, 0, ENGRAM_BLOCKS);
    }
    return ENGRAM_OK;
}

/* Whether a stored chunk may be a base; *depth: its own. */
static engram_status may_be_base(eg_recall *r, uint64_t id, bool *may, uint8_t *depth, engram_error *error)
{
    eg_chunk_info info;
    engram_error inner = {0};
    engram_status status = eg_store_get_info(r->store, id, &info, &inner);
    *may = status == ENGRAM_OK && info.depth < EG_RECALL_DEPTH;
    *depth = *may ? info.depth : 0;
    return status == ENGRAM_NO_MEMORY ? eg_fail(error, status, "%s", inner.message) : ENGRAM_OK;
}

static engram_status start_bands(eg_recall *r, engram_error *error)
{
    engram_status status = eg_bands_create(r->count, get_vector, r, &r->bands, error);
    for (uint32_t i = 0; i < r->nearest.count && status == ENGRAM_OK; i++)
        status = eg_bands_add(r->bands, r->nearest.vectors + (size_t)i * ENGRAM_BLOCKS, error);
    eg_nearest_fini(&r->nearest);
    return status;
}

static engram_status add(eg_recall *r, uint64_t id, const uint8_t *vector, engram_error *error)
{
    r->is_full |= r->count == EG_BANDS_NUMBERS_MAX;
    if (r->is_full)
        return ENGRAM_OK;
    if (!eg_grow((void **)&r->ids, &r->capacity, (size_t)r->count + 1, sizeof *r->ids))
        return no_memory(error);
    if (r->bands == NULL && r->count == r->effort.exact_max)
        EG_TRY(start_bands(r, error));
    EG_TRY(r->bands != NULL ? eg_bands_add(r->bands, vector, error) : eg_nearest_add(&r->nearest, vector, error));
    r->ids[r->count++] = id;
    return ENGRAM_OK;
}

/* What is too deep to be a base is not to be found. */
static engram_status drop_if_deep(eg_recall *r, uint32_t number, engram_error *error)
{
    bool may;
    uint8_t depth;
    if (r->bands != NULL || number >= r->count)
        return ENGRAM_OK;
    EG_TRY(may_be_base(r, r->ids[number], &may, &depth, error));
    if (!may)
        eg_nearest_drop(&r->nearest, number);
    return ENGRAM_OK;
}

static engram_status add_segment(eg_recall *r, size_t index, engram_error *error)
{
    eg_vector_span span;
    engram_error inner = {0};
    engram_status status = eg_store_get_vectors(r->store, index, &span, &inner);
    if (status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", inner.message);
    for (size_t i = 0; status == ENGRAM_OK && i < span.vectors.count; i++) {
        uint8_t vector[ENGRAM_BLOCKS];
        eg_vectors_get(&span.vectors, i, vector);
        EG_TRY(add(r, span.ids[i], vector, error));
        EG_TRY(drop_if_deep(r, r->count - 1, error));
    }
    return ENGRAM_OK; /* vectors that cannot be read: their chunks are no bases */
}

engram_status eg_recall_create(eg_store *store, eg_recall_effort effort, eg_recall **recall, engram_error *error)
{
    eg_recall *r = eg_alloc_zero(1, sizeof *r);
    eg_store_totals totals;
    if (r == NULL)
        return no_memory(error);
    r->store = store;
    r->effort = effort;
    eg_nearest_init(&r->nearest);
    engram_status status = eg_store_get_totals(store, &totals, error);
    if (status == ENGRAM_OK && totals.chunks > effort.exact_max)
        status = eg_bands_create(totals.chunks, get_vector, r, &r->bands, error);
    for (size_t i = 0; i < eg_store_segment_count(store) && status == ENGRAM_OK; i++)
        status = add_segment(r, i, error);
    if (status != ENGRAM_OK) {
        eg_recall_free(r);
        return status;
    }
    *recall = r;
    return ENGRAM_OK;
}

void eg_recall_free(eg_recall *recall)
{
    if (recall == NULL)
        return;
    eg_bands_free(recall->bands);
    eg_nearest_fini(&recall->nearest);
    eg_free(recall->ids);
    eg_free(recall);
}

engram_status eg_recall_begin(eg_recall *recall, const uint8_t *vectors, size_t count, engram_error *error)
{
    recall->batch = vectors;
    recall->batch_first = recall->count;
    for (size_t i = 0; i < count; i++)
        EG_TRY(add(recall, 0, vectors + i * ENGRAM_BLOCKS, error));
    return ENGRAM_OK;
}

engram_status eg_recall_end(eg_recall *recall, const uint64_t *ids, engram_error *error)
{
    for (uint32_t number = recall->batch_first; number < recall->count; number++)
        recall->ids[number] = ids[number - recall->batch_first];
    recall->batch = NULL;
    for (uint32_t number = recall->batch_first; number < recall->count; number++)
        EG_TRY(drop_if_deep(recall, number, error));
    return ENGRAM_OK;
}

/* ---- finding ---- */

/* Into a list of the best, `most` of them. */
static void keep(eg_bases *bases, size_t most, eg_base base)
{
    size_t at = bases->count;
    while (at > 0 && base.matches > bases->list[at - 1].matches)
        at--;
    if (at == most)
        return;
    size_t last = bases->count < most ? bases->count : most - 1;
    memmove(bases->list + at + 1, bases->list + at, (last - at) * sizeof *bases->list);
    bases->list[at] = base;
    bases->count = last + 1;
}

/* A candidate that may be a base goes into the list. */
static engram_status consider(eg_recall *r, uint32_t number, uint32_t matches, eg_bases *bases,
                              engram_error *error)
{
    bool in_batch = number >= r->batch_first, may = true;
    eg_base base = {.id = in_batch ? 0 : r->ids[number],
                    .place = in_batch ? number - r->batch_first : 0,
                    .matches = matches};
    const size_t most = r->effort.bases;
    if (matches < MATCHES_MIN || (bases->count == most && matches <= bases->list[most - 1].matches))
        return ENGRAM_OK;
    if (!in_batch)
        EG_TRY(may_be_base(r, base.id, &may, &base.depth, error));
    if (may)
        keep(bases, most, base);
    return ENGRAM_OK;
}

static engram_status find_by_bands(eg_recall *r, size_t place, eg_bases *bases, engram_error *error)
{
    uint32_t numbers[EG_BANDS_CANDIDATES];
    uint8_t other[ENGRAM_BLOCKS];
    const uint8_t *vector = r->batch + place * ENGRAM_BLOCKS;
    size_t found = eg_bands_find(r->bands, vector, r->batch_first + (uint32_t)place, numbers);
    for (size_t i = 0; i < found; i++) {
        EG_TRY(get_vector(r, numbers[i], other, error));
        EG_TRY(consider(r, numbers[i], engram_matches(vector, other), bases, error));
    }
    return ENGRAM_OK;
}

static engram_status find_nearest(eg_recall *r, size_t place, size_t count, eg_bases *found, engram_error *error)
{
    eg_hit hits[EG_NEAREST_QUERIES * EG_RECALL_BASES];
    uint32_t counts[EG_NEAREST_QUERIES];
    const uint32_t k = (uint32_t)r->effort.bases;
    eg_nearest_find(&r->nearest, r->batch_first + (uint32_t)place, count, k, MATCHES_MIN, hits, counts);
    for (size_t i = 0; i < count; i++)
        for (uint32_t h = 0; h < counts[i]; h++) {
            const eg_hit *hit = &hits[i * k + h];
            EG_TRY(consider(r, (uint32_t)hit->row, hit->matches, &found[i], error));
        }
    return ENGRAM_OK;
}

engram_status eg_recall_find(eg_recall *recall, size_t place, size_t count, eg_bases *found, engram_error *error)
{
    memset(found, 0, count * sizeof *found);
    if (recall->batch_first + place + count > recall->count) /* the index was full: these are not in it */
        return ENGRAM_OK;
    if (recall->bands == NULL)
        return find_nearest(recall, place, count, found, error);
    for (size_t i = 0; i < count; i++)
        EG_TRY(find_by_bands(recall, place + i, &found[i], error));
    return ENGRAM_OK;
}
