/* Chunks that had a base in common are like each other: the first of them that comes is encoded on the nearest base of
 * their base that lives, or alone, and becomes the heir; the others are tried on it. An heir is no deeper than the base
 * was, so that they get no deeper either. */
#include "store/rebase.h"

#include "base/memory.h"

typedef struct candidate {
    uint64_t id; /* 0: none */
    uint8_t depth;
} candidate;

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

static engram_status try_base(eg_rebase *r, const candidate *base, uint8_t depth_max, size_t *size,
                              engram_error *error)
{
    *size = SIZE_MAX;
    if (base->id == 0 || base->depth >= depth_max)
        return ENGRAM_OK;
    EG_TRY(read_chunk(r, base->id, &r->base, error));
    EG_TRY(make_room(&r->delta, eg_coder_bound(r->bytes.size), error));
    return eg_coder_pack_delta(r->coder, r->bytes.data, r->bytes.size,
                               (eg_view){r->base.data, r->base.size}, r->delta.data, size, error);
}

/* On the base, or alone where that is as good. */
static engram_status encode(eg_rebase *r, eg_chunk_record *record, const candidate *base,
                            eg_view *correction, engram_error *error)
{
    eg_correction_kind kind;
    size_t delta_size, packed_size;
    EG_TRY(try_base(r, base, record->depth, &delta_size, error));
    bool is_delta = delta_size != SIZE_MAX && eg_delta_is_obvious(record->size, delta_size);
    if (!is_delta) {
        EG_TRY(make_room(&r->packed, eg_coder_bound(r->bytes.size), error));
        EG_TRY(eg_coder_pack(r->coder, r->bytes.data, r->bytes.size, r->packed.data, &kind,
                             &packed_size, error));
        is_delta = eg_delta_pays(delta_size, packed_size);
    }
    *correction = is_delta ? (eg_view){r->delta.data, delta_size}
                           : (eg_view){r->packed.data, packed_size};
    record->kind = (uint8_t)(is_delta ? EG_CORRECTION_DELTA : kind);
    record->base = is_delta ? base->id : 0;
    record->depth = is_delta ? (uint8_t)(base->depth + 1) : 0;
    record->stored_size = (uint32_t)correction->size;
    return ENGRAM_OK;
}

engram_status eg_rebase_run(eg_rebase *r, eg_chunk_record *record, eg_view *correction,
                            engram_error *error)
{
    uint64_t lost = record->base;
    const eg_heir *heir = eg_collection_heir(r->collection, lost);
    candidate base;
    EG_TRY(read_chunk(r, record->id, &r->bytes, error));
    if (heir != NULL)
        base = (candidate){heir->id, heir->depth};
    else
        EG_TRY(find_ancestor(r, lost, &base, error));
    EG_TRY(encode(r, record, &base, correction, error));
    if (heir == NULL &&
        !eg_collection_add_heir(r->collection, (eg_heir){lost, record->id, record->depth}))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to encode a chunk anew");
    return ENGRAM_OK;
}
