/* Numbers of the bands index are given out in the order in which chunks come: a list leads from them to ids. Those of
 * the batch at hand have no id yet. */
#include "ingest/recall.h"

#include <string.h>

#include "base/memory.h"
#include "engram/hypervector.h"
#include "store/bands.h"

/* Under it a delta hardly ever pays: 27 of 256 is a Jaccard similarity of 0.1. */
enum { MATCHES_MIN = 27 };

struct eg_recall {
    eg_store *store;
    eg_bands *bands;
    uint64_t *ids; /* by number; of the batch at hand: not yet */
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

static engram_status add(eg_recall *r, uint64_t id, const uint8_t *vector, engram_error *error)
{
    uint32_t number = eg_bands_count(r->bands);
    r->is_full |= number == EG_BANDS_NUMBERS_MAX;
    if (r->is_full)
        return ENGRAM_OK;
    if (!eg_grow((void **)&r->ids, &r->capacity, (size_t)number + 1, sizeof *r->ids))
        return no_memory(error);
    r->ids[number] = id;
    return eg_bands_add(r->bands, vector, error);
}

static engram_status add_segment(eg_recall *r, size_t index, engram_error *error)
{
    eg_vector_span span;
    engram_error inner = {0};
    engram_status status = eg_store_get_vectors(r->store, index, &span, &inner);
    if (status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", inner.message);
    for (size_t i = 0; i < span.count && status == ENGRAM_OK; i++)
        EG_TRY(add(r, span.ids[i], span.vectors + i * ENGRAM_BLOCKS, error));
    return ENGRAM_OK; /* vectors that cannot be read: their chunks are no bases */
}

engram_status eg_recall_create(eg_store *store, eg_recall **recall, engram_error *error)
{
    eg_recall *r = eg_alloc_zero(1, sizeof *r);
    eg_store_totals totals;
    if (r == NULL)
        return no_memory(error);
    r->store = store;
    engram_status status = eg_store_get_totals(store, &totals, error);
    if (status == ENGRAM_OK)
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
    eg_free(recall->ids);
    eg_free(recall);
}

engram_status eg_recall_begin(eg_recall *recall, const uint8_t *vectors, size_t count, engram_error *error)
{
    recall->batch = vectors;
    recall->batch_first = eg_bands_count(recall->bands);
    for (size_t i = 0; i < count; i++)
        EG_TRY(add(recall, 0, vectors + i * ENGRAM_BLOCKS, error));
    return ENGRAM_OK;
}

void eg_recall_end(eg_recall *recall, const uint64_t *ids)
{
    uint32_t count = eg_bands_count(recall->bands);
    for (uint32_t number = recall->batch_first; number < count; number++)
        recall->ids[number] = ids[number - recall->batch_first];
    recall->batch = NULL;
}

/* ---- finding ---- */

/* Into a list of the best. */
static void keep(eg_base bases[EG_RECALL_BASES], size_t *count, eg_base base)
{
    size_t at = *count;
    while (at > 0 && base.matches > bases[at - 1].matches)
        at--;
    if (at == EG_RECALL_BASES)
        return;
    size_t last = *count < EG_RECALL_BASES ? *count : EG_RECALL_BASES - 1;
    memmove(bases + at + 1, bases + at, (last - at) * sizeof *bases);
    bases[at] = base;
    *count = last + 1;
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

static engram_status look_at(eg_recall *r, const uint8_t *vector, uint32_t number, eg_base bases[EG_RECALL_BASES],
                             size_t *count, engram_error *error)
{
    bool in_batch = number >= r->batch_first, may = true;
    uint8_t other[ENGRAM_BLOCKS];
    eg_base base = {.id = in_batch ? 0 : r->ids[number], .place = in_batch ? number - r->batch_first : 0};
    EG_TRY(get_vector(r, number, other, error));
    base.matches = engram_matches(vector, other);
    if (base.matches < MATCHES_MIN || (*count == EG_RECALL_BASES && base.matches <= bases[*count - 1].matches))
        return ENGRAM_OK;
    if (!in_batch)
        EG_TRY(may_be_base(r, base.id, &may, &base.depth, error));
    if (may)
        keep(bases, count, base);
    return ENGRAM_OK;
}

engram_status eg_recall_find(eg_recall *recall, size_t place, eg_base bases[EG_RECALL_BASES], size_t *count,
                             engram_error *error)
{
    uint32_t numbers[EG_BANDS_CANDIDATES];
    const uint8_t *vector = recall->batch + place * ENGRAM_BLOCKS;
    size_t found = eg_bands_find(recall->bands, vector, recall->batch_first + (uint32_t)place, numbers);
    *count = 0;
    for (size_t i = 0; i < found; i++)
        EG_TRY(look_at(recall, vector, numbers[i], bases, count, error));
    return ENGRAM_OK;
}
