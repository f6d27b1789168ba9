/* Chunks that had a base in common are like each other: the first of them that comes becomes the heir, and the others
 * are tried on it. All are tried on the nearest base of their base that lives, and on what the vectors say is most like
 * them of all that stays. A base is less deep than the chunk was, so that no chunk gains depth: what rests on it may stay
 * as it is. */
#include "store/rebase.h"

#include "base/memory.h"

enum { CANDIDATES_MAX = 4 };

typedef struct candidate {
    uint64_t id; /* 0: none */
    uint8_t depth;
} candidate;

typedef struct candidates {
    candidate list[CANDIDATES_MAX];
    size_t count;
} candidates;

engram_status eg_rebase_init(eg_rebase *r, eg_collection *collection, int effort,
                             engram_error *error)
{
    r->collection = collection;
    return eg_coder_create(effort, &r->coder, error);
}

void eg_rebase_fini(eg_rebase *r)
{
    eg_coder_free(r->coder);
    eg_buffer_fini(&r->bytes);
    eg_buffer_fini(&r->base);
    eg_buffer_fini(&r->packed);
    eg_buffer_fini(&r->delta);
    eg_buffer_fini(&r->trial);
    *r = (eg_rebase){0};
}

static engram_status make_room(eg_buffer *buffer, size_t size, engram_error *error)
{
    eg_buffer_clear(buffer);
    return eg_buffer_extend(buffer, size) != NULL
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_NO_MEMORY, "no memory to encode a chunk anew");
}

static engram_status read_chunk(eg_rebase *r, uint64_t id, eg_buffer *bytes, engram_error *error)
{
    eg_chunk_info info;
    size_t size;
    EG_TRY(eg_store_get_info(r->collection->store, id, &info, error));
    EG_TRY(make_room(bytes, info.size, error));
    return eg_store_read(r->collection->store, id, bytes->data, info.size, &size, error);
}

/* The nearest base of the doomed base that lives. */
static engram_status find_ancestor(eg_rebase *r, uint64_t base, candidate *found,
                                   engram_error *error)
{
    eg_chunk_info info = {.base = base};
    *found = (candidate){0};
    do {
        EG_TRY(eg_store_get_info(r->collection->store, info.base, &info, error));
        if (!eg_collection_dooms(r->collection, info.id)) {
            *found = (candidate){info.id, info.depth};
            return ENGRAM_OK;
        }
    } while (info.kind == EG_CORRECTION_DELTA);
    return ENGRAM_OK;
}

/* As it will be once all that was encoded anew is adopted. */
static engram_status depth_of(eg_rebase *r, uint64_t id, uint8_t *depth, engram_error *error)
{
    const eg_heir *anew = eg_collection_heir(r->collection, id);
    eg_chunk_info info = {0};
    if (anew == NULL)
        EG_TRY(eg_store_get_info(r->collection->store, id, &info, error));
    *depth = anew != NULL ? anew->depth : info.depth;
    return ENGRAM_OK;
}

static void add_candidate(candidates *all, candidate c, uint8_t depth_max)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i].id == c.id)
            return;
    if (c.id != 0 && c.depth < depth_max && all->count < CANDIDATES_MAX)
        all->list[all->count++] = c;
}

static engram_status find_candidates(eg_rebase *r, const eg_chunk_record *record, candidates *all,
                                     engram_error *error)
{
    const eg_heir *heir = eg_collection_heir(r->collection, record->base);
    candidate ancestor;
    eg_like like[EG_LIKE_MAX];
    size_t count;
    all->count = 0;
    if (heir != NULL)
        add_candidate(all, (candidate){heir->id, heir->depth}, record->depth);
    EG_TRY(eg_collection_find_like(r->collection, record->id, like, &count, error));
    for (size_t i = 0; i < count; i++) {
        candidate c = {.id = like[i].id};
        EG_TRY(depth_of(r, c.id, &c.depth, error));
        add_candidate(all, c, record->depth);
    }
    EG_TRY(find_ancestor(r, record->base, &ancestor, error));
    add_candidate(all, ancestor, record->depth);
    return ENGRAM_OK;
}

static engram_status try_base(eg_rebase *r, const candidate *base, size_t *size,
                              engram_error *error)
{
    EG_TRY(read_chunk(r, base->id, &r->base, error));
    EG_TRY(make_room(&r->trial, eg_coder_bound(r->bytes.size), error));
    return eg_coder_pack_delta(r->coder, r->bytes.data, r->bytes.size,
                               (eg_view){r->base.data, r->base.size}, r->trial.data, size, error);
}

/* The smallest delta, into r->delta; SIZE_MAX: there is none. */
static engram_status try_bases(eg_rebase *r, const candidates *all, candidate *best, size_t *size,
                               engram_error *error)
{
    *size = SIZE_MAX;
    for (size_t i = 0; i < all->count; i++) {
        size_t trial;
        EG_TRY(try_base(r, &all->list[i], &trial, error));
        if (trial >= *size)
            continue;
        eg_buffer smaller = r->trial;
        r->trial = r->delta;
        r->delta = smaller;
        *size = trial;
        *best = all->list[i];
    }
    return ENGRAM_OK;
}

/* On the best base, or alone where that is as good. */
static engram_status encode(eg_rebase *r, eg_chunk_record *record, const candidates *all,
                            eg_view *correction, engram_error *error)
{
    eg_correction_kind kind;
    size_t delta_size, packed_size = 0;
    candidate base = {0};
    EG_TRY(try_bases(r, all, &base, &delta_size, error));
    bool is_delta = delta_size != SIZE_MAX && eg_delta_is_obvious(record->size, delta_size);
    if (!is_delta) {
        EG_TRY(make_room(&r->packed, eg_coder_bound(r->bytes.size), error));
        EG_TRY(eg_coder_pack(r->coder, r->bytes.data, r->bytes.size, r->packed.data, &kind,
                             &packed_size, error));
        is_delta = eg_delta_pays(delta_size, packed_size, base.depth + 1u);
    }
    *correction = is_delta ? (eg_view){r->delta.data, delta_size}
                           : (eg_view){r->packed.data, packed_size};
    record->kind = (uint8_t)(is_delta ? EG_CORRECTION_DELTA : kind);
    record->base = is_delta ? base.id : 0;
    record->depth = is_delta ? (uint8_t)(base.depth + 1) : 0;
    record->stored_size = (uint32_t)correction->size;
    return ENGRAM_OK;
}

static bool note(eg_rebase *r, uint64_t lost, const eg_chunk_record *record)
{
    eg_heir heir = {lost, record->id, record->depth}, own = {record->id, record->id, record->depth};
    return (eg_collection_heir(r->collection, lost) != NULL ||
            eg_collection_add_heir(r->collection, heir)) &&
           eg_collection_add_heir(r->collection, own);
}

engram_status eg_rebase_run(eg_rebase *r, eg_chunk_record *record, eg_view *correction,
                            engram_error *error)
{
    uint64_t lost = record->base;
    candidates all;
    EG_TRY(read_chunk(r, record->id, &r->bytes, error));
    EG_TRY(find_candidates(r, record, &all, error));
    EG_TRY(encode(r, record, &all, correction, error));
    return note(r, lost, record)
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_NO_MEMORY, "no memory to encode a chunk anew");
}
