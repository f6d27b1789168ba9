/* What is garbage in a store, and where it lies. */
#include "store/collect.h"

#include <inttypes.h>

#include "base/memory.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to collect garbage");
}

engram_status eg_collection_begin(eg_store *store, eg_collection **collection, engram_error *error)
{
    eg_collection *made = eg_alloc_zero(1, sizeof *made);
    *collection = made;
    if (made == NULL)
        return no_memory(error);
    made->store = store;
    made->floor = eg_pins_collect(&store->pins, eg_store_next_id(store));
    return ENGRAM_OK;
}

void eg_collection_end(eg_collection **collection)
{
    eg_collection *c = *collection;
    *collection = NULL;
    if (c == NULL)
        return;
    eg_pins_lift(&c->store->pins);
    eg_id_set_fini(&c->doomed);
    eg_free(c->heirs);
    eg_likeness_free(c->likeness);
    eg_free(c);
}

/* ---- dooming ---- */

typedef engram_status record_visit(void *context, const eg_chunk_record *record,
                                   engram_error *error);

/* Of a chunk whose record cannot be read nobody knows what it rests on: then nothing may go. */
static engram_status for_records(eg_segment *segment, record_visit *visit, void *context,
                                 engram_error *error)
{
    EG_TRY(eg_segment_load(segment, error));
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        const eg_chunk_record *record = eg_segment_record(segment, i);
        if (record->kind == EG_RECORD_BAD)
            return eg_segment_fail_record(segment, i, "the record fails its check", error);
        EG_TRY(visit(context, record, error));
    }
    return ENGRAM_OK;
}

typedef struct dooming {
    eg_collection *collection;
    const eg_id_set *held;
} dooming;

static engram_status doom_one(void *context, const eg_chunk_record *record, engram_error *error)
{
    dooming *d = context;
    if (record->id >= d->collection->floor || eg_id_set_has(d->held, record->id))
        return ENGRAM_OK;
    return eg_id_set_add(&d->collection->doomed, record->id) ? ENGRAM_OK : no_memory(error);
}

engram_status eg_collection_doom(eg_collection *c, const eg_id_set *held, engram_error *error)
{
    dooming d = {c, held};
    eg_segments segments = eg_store_segments(c->store);
    for (size_t i = 0; i < segments.count; i++)
        EG_TRY(for_records(segments.at[i], doom_one, &d, error));
    eg_pins_doom(&c->store->pins, &c->doomed);
    c->has_doomed = true;
    return ENGRAM_OK;
}

/* ---- where it lies ---- */

typedef struct surveying {
    eg_collection *collection;
    eg_share *share;    /* of the segment at hand */
    eg_segment *segment;
    eg_id_set charged;  /* doomed bases that were counted for a segment that binds them */
} surveying;

/* A doomed base is bound by a chunk that stays. */
static engram_status count_bound(surveying *s, const eg_chunk_record *record, engram_error *error)
{
    eg_segment *segment;
    uint32_t index;
    if (!eg_collection_dooms(s->collection, record->base) ||
        eg_collection_dooms(s->collection, record->id) ||
        eg_id_set_has(&s->charged, record->base))
        return ENGRAM_OK;
    if (!eg_id_set_add(&s->charged, record->base))
        return no_memory(error);
    if (eg_store_locate(s->collection->store, record->base, &segment, &index, NULL) == ENGRAM_OK &&
        segment != s->segment)
        s->share->bound_bytes += eg_record_bytes(eg_segment_record(segment, index));
    return ENGRAM_OK;
}

static engram_status survey_one(void *context, const eg_chunk_record *record, engram_error *error)
{
    surveying *s = context;
    uint64_t bytes = eg_record_bytes(record);
    s->share->chunks++;
    s->share->bytes += bytes;
    if (eg_collection_dooms(s->collection, record->id)) {
        s->share->doomed++;
        s->share->doomed_bytes += bytes;
    }
    return record->kind == EG_CORRECTION_DELTA ? count_bound(s, record, error) : ENGRAM_OK;
}

static engram_status survey(eg_collection *c, eg_segments segments, eg_share *shares,
                            engram_error *error)
{
    surveying s = {.collection = c};
    engram_status status = ENGRAM_OK;
    for (size_t i = segments.count; i-- > 0 && status == ENGRAM_OK;) {
        eg_segment *segment = segments.at[i];
        s.share = &shares[i];
        s.segment = segment;
        *s.share = (eg_share){.segment = segment->id,
                              .level = segment->level,
                              .is_sealed = eg_segment_is_at_rest(segment)};
        s.share->is_in_rows = s.share->is_sealed && eg_segment_is_in_rows(segment);
        status = for_records(segment, survey_one, &s, error);
    }
    eg_id_set_fini(&s.charged);
    return status;
}

engram_status eg_collection_survey(eg_collection *c, eg_share **shares, size_t *count,
                                   engram_error *error)
{
    eg_segments segments = eg_store_segments(c->store);
    eg_share *made = eg_alloc_zero(segments.count + 1, sizeof *made);
    *shares = NULL;
    *count = 0;
    if (made == NULL)
        return no_memory(error);
    engram_status status = survey(c, segments, made, error);
    if (status != ENGRAM_OK) {
        eg_free(made);
        return status;
    }
    *shares = made;
    *count = segments.count;
    return ENGRAM_OK;
}

/* ---- heirs ---- */

static eg_heir *place_of(eg_heir *heirs, size_t capacity, uint64_t base)
{
    size_t at = (size_t)(base * UINT64_C(0x9E3779B97F4A7C15)) & (capacity - 1);
    while (heirs[at].base != 0 && heirs[at].base != base)
        at = (at + 1) & (capacity - 1);
    return &heirs[at];
}

const eg_heir *eg_collection_heir(const eg_collection *c, uint64_t base)
{
    const eg_heir *heir =
        c->heir_capacity == 0 ? NULL : place_of(c->heirs, c->heir_capacity, base);
    return heir != NULL && heir->base == base ? heir : NULL;
}

static bool grow_heirs(eg_collection *c)
{
    enum { FIRST = 256 };
    size_t capacity = c->heir_capacity != 0 ? 2 * c->heir_capacity : FIRST;
    eg_heir *heirs = eg_alloc_zero(capacity, sizeof *heirs);
    if (heirs == NULL)
        return false;
    for (size_t i = 0; i < c->heir_capacity; i++)
        if (c->heirs[i].base != 0)
            *place_of(heirs, capacity, c->heirs[i].base) = c->heirs[i];
    eg_free(c->heirs);
    c->heirs = heirs;
    c->heir_capacity = capacity;
    return true;
}

bool eg_collection_add_heir(eg_collection *c, eg_heir heir)
{
    if (2 * (c->heir_count + 1) > c->heir_capacity && !grow_heirs(c))
        return false;
    *place_of(c->heirs, c->heir_capacity, heir.base) = heir;
    c->heir_count++;
    return true;
}

void eg_collection_forget_heirs(eg_collection *c)
{
    eg_free(c->heirs);
    c->heirs = NULL;
    c->heir_count = c->heir_capacity = 0;
}
