/* The reading half: chunks by id, their facts and vectors, and ids by fingerprint.
 *
 * A chunk that is a delta is decoded from the far end of its chain: first the base that stands
 * alone, then each delta on the one before. The chunk's own fingerprint answers for all of them. When
 * it does not match, the chain is decoded again and every link checked against its own, so that a
 * failure names the chunk that is damaged and not one that rests on it. */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/internal.h"

enum {
    SCRATCH_IDLE_MAX = 16,         /* kept between reads */
    SCRATCH_BUFFER_MAX = 256 << 10 /* a larger buffer is not kept */
};

typedef struct chain_link {
    eg_segment *segment;
    const eg_chunk_record *record;
} chain_link;

/* What one read needs; idle ones wait in a list. */
typedef struct eg_scratch {
    struct eg_scratch *next;
    eg_coder *coder;
    eg_buffer stored;
    eg_buffer bases[2]; /* a base and what rests on it, by turns */
    chain_link chain[EG_CHUNK_DEPTH_MAX + 1];
} eg_scratch;

eg_fingerprint eg_fingerprint_of(const void *bytes, size_t size)
{
    XXH128_canonical_t canonical;
    eg_fingerprint fingerprint;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
    static_assert(sizeof canonical.digest == sizeof fingerprint.bytes, "128 bits");
    memcpy(fingerprint.bytes, canonical.digest, sizeof fingerprint.bytes);
    return fingerprint;
}

/* ---- scratch ---- */

static void scratch_free(eg_scratch *scratch)
{
    eg_coder_free(scratch->coder);
    eg_buffer_fini(&scratch->stored);
    eg_buffer_fini(&scratch->bases[0]);
    eg_buffer_fini(&scratch->bases[1]);
    eg_free(scratch);
}

void eg_store_free_scratch(eg_store *store)
{
    while (store->scratch != NULL) {
        eg_scratch *next = store->scratch->next;
        scratch_free(store->scratch);
        store->scratch = next;
    }
}

static engram_status scratch_new(eg_scratch **scratch, engram_error *error)
{
    eg_scratch *made = eg_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read a chunk");
    engram_status status = eg_coder_create(1, &made->coder, error);
    if (status != ENGRAM_OK) {
        eg_free(made);
        return status;
    }
    *scratch = made;
    return ENGRAM_OK;
}

static engram_status take_scratch(eg_store *store, eg_scratch **scratch, engram_error *error)
{
    pthread_mutex_lock(&store->scratch_lock);
    eg_scratch *taken = store->scratch;
    if (taken != NULL) {
        store->scratch = taken->next;
        store->scratch_count--;
    }
    pthread_mutex_unlock(&store->scratch_lock);
    *scratch = taken;
    return taken != NULL ? ENGRAM_OK : scratch_new(scratch, error);
}

static void trim(eg_buffer *buffer)
{
    if (buffer->failed || buffer->capacity > SCRATCH_BUFFER_MAX)
        eg_buffer_fini(buffer);
}

static void give_scratch(eg_store *store, eg_scratch *scratch)
{
    trim(&scratch->stored);
    trim(&scratch->bases[0]);
    trim(&scratch->bases[1]);
    pthread_mutex_lock(&store->scratch_lock);
    bool keep = store->scratch_count < SCRATCH_IDLE_MAX;
    if (keep) {
        scratch->next = store->scratch;
        store->scratch = scratch;
        store->scratch_count++;
    }
    pthread_mutex_unlock(&store->scratch_lock);
    if (!keep)
        scratch_free(scratch);
}

static engram_status make_room(eg_buffer *buffer, size_t size, uint8_t **bytes, engram_error *error)
{
    eg_buffer_clear(buffer);
    *bytes = eg_buffer_extend(buffer, size);
    return *bytes != NULL ? ENGRAM_OK
                          : eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read a chunk");
}

/* ---- by id ---- */

engram_status eg_store_locate(eg_store *store, uint64_t id, eg_segment **segment, uint32_t *index,
                              engram_error *error)
{
    if (store->damage_count > 0)
        EG_TRY(eg_store_check_lost(store, id, error));
    *segment = eg_store_segment_of(store, id);
    if (*segment == NULL)
        return eg_fail(error, ENGRAM_NOT_FOUND, "there is no chunk %" PRIu64, id);
    return eg_segment_find(*segment, id, index, error);
}

static engram_status locate_link(eg_store *store, uint64_t id, chain_link *link,
                                 engram_error *error)
{
    uint32_t index;
    EG_TRY(eg_store_locate(store, id, &link->segment, &index, error));
    link->record = eg_segment_record(link->segment, index);
    return ENGRAM_OK;
}

static engram_status fail_link(const chain_link *link, engram_status status, const char *what,
                               engram_error *error)
{
    return eg_fail(
        error, status, "%s at %" PRIu64 ": chunk %" PRIu64 ": %s", eg_segment_name(link->segment),
        link->segment->payload_start + link->record->payload_offset, link->record->id, what);
}

/* The chunk, its base, that one's base, and so on. Depths fall, so that it ends. */
static engram_status collect_chain(eg_store *store, uint64_t id, chain_link *chain, size_t *length,
                                   engram_error *error)
{
    EG_TRY(locate_link(store, id, &chain[0], error));
    size_t n = 1;
    while (chain[n - 1].record->kind == EG_CORRECTION_DELTA) {
        const chain_link *link = &chain[n - 1];
        engram_error reason = {0};
        engram_status status = locate_link(store, link->record->base, &chain[n], &reason);
        if (status == ENGRAM_NOT_FOUND)
            return fail_link(link, ENGRAM_DAMAGED, "the base it rests on is not there", error);
        if (status != ENGRAM_OK)
            return eg_fail(error, status, "%s", reason.message);
        if (chain[n].record->depth >= link->record->depth)
            return fail_link(link, ENGRAM_DAMAGED, "the base it rests on is as deep", error);
        n++;
    }
    *length = n;
    return ENGRAM_OK;
}

static bool is_exact(const chain_link *link, const uint8_t *bytes)
{
    eg_fingerprint fingerprint = eg_fingerprint_of(bytes, link->record->size);
    return memcmp(fingerprint.bytes, link->record->fingerprint, sizeof fingerprint.bytes) == 0;
}

static engram_status unpack(const chain_link *link, eg_scratch *scratch, eg_view base,
                            uint8_t *bytes, engram_error *error)
{
    const eg_chunk_record *record = link->record;
    uint8_t *stored;
    EG_TRY(make_room(&scratch->stored, record->stored_size, &stored, error));
    EG_TRY(eg_segment_read_payload(link->segment, record, stored, error));
    engram_error reason = {0};
    engram_status status =
        eg_coder_unpack(scratch->coder, (eg_correction_kind)record->kind,
                        (eg_view){stored, record->stored_size}, base, bytes, record->size, &reason);
    return status == ENGRAM_OK ? ENGRAM_OK : fail_link(link, status, reason.message, error);
}

static engram_status decode_link(const chain_link *link, eg_scratch *scratch, eg_view base,
                                 uint8_t *bytes, engram_error *error)
{
    if (link->record->kind == EG_CORRECTION_VERBATIM) /* no copy on the way */
        return eg_segment_read_payload(link->segment, link->record, bytes, error);
    return unpack(link, scratch, base, bytes, error);
}

static engram_status decode_chain(eg_scratch *scratch, size_t length, bool checks_links,
                                  uint8_t *bytes, engram_error *error)
{
    eg_view base = {0};
    for (size_t i = length; i-- > 0;) {
        const chain_link *link = &scratch->chain[i];
        uint8_t *out = bytes;
        if (i > 0)
            EG_TRY(make_room(&scratch->bases[i % 2], link->record->size, &out, error));
        EG_TRY(decode_link(link, scratch, base, out, error));
        if ((i == 0 || checks_links) && !is_exact(link, out))
            return fail_link(link, ENGRAM_DAMAGED, "the bytes do not match its fingerprint", error);
        base = (eg_view){out, link->record->size};
    }
    return ENGRAM_OK;
}

static engram_status read_chunk(eg_store *store, eg_scratch *scratch, uint64_t id, void *bytes,
                                size_t capacity, size_t *size, engram_error *error)
{
    size_t length = 0;
    EG_TRY(collect_chain(store, id, scratch->chain, &length, error));
    *size = scratch->chain[0].record->size;
    if (*size > capacity)
        return eg_fail(error, ENGRAM_INVALID,
                       "chunk %" PRIu64 " has %zu bytes, there is room for %zu", id, *size,
                       capacity);
    engram_error reason = {0};
    engram_status status = decode_chain(scratch, length, false, bytes, &reason);
    if (status == ENGRAM_DAMAGED) /* by whom? */
        return decode_chain(scratch, length, true, bytes, error);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail_like(error, &reason);
}

engram_status eg_store_read(eg_store *store, uint64_t id, void *bytes, size_t capacity,
                            size_t *size, engram_error *error)
{
    eg_scratch *scratch;
    *size = 0;
    EG_TRY(take_scratch(store, &scratch, error));
    engram_status status = read_chunk(store, scratch, id, bytes, capacity, size, error);
    give_scratch(store, scratch);
    return status;
}

engram_status eg_store_get_info(eg_store *store, uint64_t id, eg_chunk_info *info,
                                engram_error *error)
{
    chain_link link;
    EG_TRY(locate_link(store, id, &link, error));
    const eg_chunk_record *record = link.record;
    *info = (eg_chunk_info){.id = record->id,
                            .version = record->version,
                            .created_ns = record->created_ns,
                            .base = record->base,
                            .size = record->size,
                            .spread = record->spread,
                            .stored_size = record->stored_size,
                            .kind = (eg_correction_kind)record->kind,
                            .depth = record->depth};
    memcpy(info->fingerprint.bytes, record->fingerprint, sizeof info->fingerprint.bytes);
    return ENGRAM_OK;
}

engram_status eg_store_get_vector(eg_store *store, uint64_t id, uint8_t *vector,
                                  engram_error *error)
{
    eg_segment *segment;
    uint32_t index;
    EG_TRY(eg_store_locate(store, id, &segment, &index, error));
    return eg_segment_get_vector(segment, index, vector, error);
}

/* ---- by segment ---- */

size_t eg_store_segment_count(eg_store *store)
{
    return eg_store_segments(store).count;
}

engram_status eg_store_get_vectors(eg_store *store, size_t segment_index, eg_vector_span *span,
                                   engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    *span = (eg_vector_span){0};
    if (segment_index >= segments.count)
        return eg_fail(error, ENGRAM_INVALID, "segment %zu of %zu", segment_index, segments.count);
    return eg_segment_get_vectors(segments.at[segment_index], span, error);
}

/* The part of a span beyond an id. */
static void cut_span(eg_vector_span *span, uint64_t after)
{
    size_t low = 0, high = span->vectors.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span->ids[middle] <= after)
            low = middle + 1;
        else
            high = middle;
    }
    span->vectors = eg_vectors_part(span->vectors, low, span->vectors.count - low);
    span->ids += low;
}

engram_status eg_store_next_vectors(eg_store *store, uint64_t after, eg_vector_span *span,
                                    engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    *span = (eg_vector_span){0};
    for (size_t i = 0; i < segments.count && span->vectors.count == 0; i++) {
        if (eg_store_last_id(segments.at[i]) <= after)
            continue;
        EG_TRY(eg_segment_get_vectors(segments.at[i], span, error));
        cut_span(span, after);
    }
    return ENGRAM_OK;
}

engram_status eg_store_check_vectors(eg_store *store, engram_error *error)
{
    eg_vector_span span;
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < segments.count; i++)
        EG_TRY(eg_segment_get_vectors(segments.at[i], &span, error));
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&store->append_lock);
    for (size_t i = 0; i < store->retired_count && status == ENGRAM_OK; i++)
        if (store->retired[i]->mapped_ids != NULL) /* it was lent */
            status = eg_segment_get_vectors(store->retired[i], &span, error);
    pthread_mutex_unlock(&store->append_lock);
    return status;
}

/* ---- by fingerprint ---- */

size_t eg_store_find(eg_store *store, const eg_fingerprint *fingerprint, uint32_t size,
                     uint64_t ids[EG_STORE_CANDIDATES])
{
    size_t found = 0;
    if (store->dedup == NULL)
        return 0;
    size_t count = eg_dedup_find(store->dedup, eg_fingerprint_prefix(fingerprint->bytes), ids);
    for (size_t i = 0; i < count; i++) {
        chain_link link;
        if (locate_link(store, ids[i], &link, NULL) != ENGRAM_OK || link.record->size != size ||
            memcmp(link.record->fingerprint, fingerprint->bytes, sizeof fingerprint->bytes) != 0)
            continue; /* only a hint, so a damaged record is passed over */
        if (eg_pins_is_doomed(&store->pins, ids[i]))
            continue;
        ids[found++] = ids[i];
    }
    return found;
}
