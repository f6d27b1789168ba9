/* Bands over the chunks that stay: the same index by which encode finds bases (bands.h), made once for a collection.
 *
 * Similarity is the number of equal symbols of two vectors, as everywhere; here it only chooses what is tried. */
#include <string.h>

#include "base/memory.h"
#include "store/bands.h"
#include "store/collect.h"

/* Under it a delta hardly ever pays: 27 of 256 is a Jaccard similarity of 0.1. */
enum { MATCHES_MIN = 27 };

typedef struct eg_likeness {
    eg_store *store;
    eg_bands *bands;
    uint64_t *ids; /* by number */
    size_t capacity;
} eg_likeness;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to look for similar chunks");
}

void eg_likeness_free(eg_likeness *likeness)
{
    if (likeness == NULL)
        return;
    eg_bands_free(likeness->bands);
    eg_free(likeness->ids);
    eg_free(likeness);
}

/* One that has gone since, with a merge, or cannot be read is as good as none. */
static engram_status get_vector(void *context, uint32_t number, uint8_t *vector,
                                engram_error *error)
{
    eg_likeness *l = context;
    engram_error inner = {0};
    engram_status status = eg_store_get_vector(l->store, l->ids[number], vector, &inner);
    if (status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", inner.message);
    if (status != ENGRAM_OK)
        memset(vector, 0, EG_SEGMENT_VECTOR_SIZE);
    return ENGRAM_OK;
}

static engram_status add(eg_likeness *l, uint64_t id, const uint8_t *vector, engram_error *error)
{
    uint32_t number = eg_bands_count(l->bands);
    if (number == EG_BANDS_NUMBERS_MAX)
        return ENGRAM_OK;
    if (!eg_grow((void **)&l->ids, &l->capacity, (size_t)number + 1, sizeof *l->ids))
        return no_memory(error);
    l->ids[number] = id;
    return eg_bands_add(l->bands, vector, error);
}

static engram_status add_all(eg_collection *c, eg_likeness *l, engram_error *error)
{
    uint64_t last = 0;
    for (eg_vector_span span;; last = span.ids[span.vectors.count - 1]) {
        EG_TRY(eg_store_next_vectors(c->store, last, &span, error));
        if (span.vectors.count == 0)
            return ENGRAM_OK;
        for (size_t i = 0; i < span.vectors.count; i++)
            if (span.ids[i] < c->floor && !eg_collection_dooms(c, span.ids[i])) {
                uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
                eg_vectors_get(&span.vectors, i, vector);
                EG_TRY(add(l, span.ids[i], vector, error));
            }
    }
}

static engram_status need_likeness(eg_collection *c, engram_error *error)
{
    if (c->likeness != NULL)
        return ENGRAM_OK;
    eg_likeness *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    made->store = c->store;
    engram_status status = eg_bands_create(0, get_vector, made, &made->bands, error);
    if (status == ENGRAM_OK)
        status = add_all(c, made, error);
    if (status != ENGRAM_OK) {
        eg_likeness_free(made);
        return status;
    }
    c->likeness = made;
    return ENGRAM_OK;
}

static uint32_t count_matches(const uint8_t *a, const uint8_t *b)
{
    uint32_t matches = 0;
    for (size_t i = 0; i < EG_SEGMENT_VECTOR_SIZE; i++)
        matches += a[i] == b[i];
    return matches;
}

static void keep(eg_like found[EG_LIKE_MAX], size_t *count, eg_like like)
{
    size_t at = *count < EG_LIKE_MAX ? (*count)++ : EG_LIKE_MAX;
    if (at == EG_LIKE_MAX && found[at - 1].matches >= like.matches)
        return;
    at -= at == EG_LIKE_MAX;
    for (; at > 0 && found[at - 1].matches < like.matches; at--)
        found[at] = found[at - 1];
    found[at] = like;
}

engram_status eg_collection_find_like(eg_collection *c, uint64_t id, eg_like found[EG_LIKE_MAX],
                                      size_t *count, engram_error *error)
{
    uint32_t numbers[EG_BANDS_CANDIDATES];
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE], other[EG_SEGMENT_VECTOR_SIZE];
    *count = 0;
    EG_TRY(need_likeness(c, error));
    eg_likeness *l = c->likeness;
    EG_TRY(eg_store_get_vector(c->store, id, vector, error));
    size_t n = eg_bands_find(l->bands, vector, eg_bands_count(l->bands), numbers);
    for (size_t i = 0; i < n; i++) {
        EG_TRY(get_vector(l, numbers[i], other, error));
        eg_like like = {l->ids[numbers[i]], count_matches(vector, other)};
        if (like.id != id && like.matches >= MATCHES_MIN)
            keep(found, count, like);
    }
    return ENGRAM_OK;
}
