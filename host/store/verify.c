/* Verification: everything is read again and compared with everything that vouches for it.
 *
 * Of a sealed segment the header, every section's CRC, the fingerprint index and each record; of
 * every segment the bases, the depths and the chunks' bytes. What is still active has its records
 * and vectors in memory and nothing on disk that is final, so that only its chunks are read.
 * Chunks are read in parallel; findings and progress are told one at a time. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "store/internal.h"

enum { CHUNKS_A_TASK = 64, MESSAGE_SIZE = 1200 };

typedef struct verification {
    eg_store *store;
    const eg_store_verifier *verifier;
    pthread_mutex_t lock; /* of what follows, and around the caller's functions */
    uint64_t bytes_done;
    engram_status status; /* what kept us from going on */
    engram_error reason;

    /* The segment that is being read. */
    eg_segment *segment;
    uint32_t count;
    bool vectors_are_good;
} verification;

static void report(verification *v, uint64_t chunk_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void report(verification *v, uint64_t chunk_id, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    pthread_mutex_lock(&v->lock);
    v->verifier->problem(v->verifier->context, chunk_id, message);
    pthread_mutex_unlock(&v->lock);
}

static bool is_end(const verification *v, engram_status status)
{
    return status == ENGRAM_NO_MEMORY || (status == ENGRAM_IO && v->verifier->ends_with_disk);
}

/* Takes a failure apart: what is wrong with the store is a finding, no memory is an end. */
static bool note(verification *v, uint64_t chunk_id, engram_status status,
                 const engram_error *reason)
{
    if (status == ENGRAM_OK)
        return true;
    if (is_end(v, status)) {
        pthread_mutex_lock(&v->lock);
        if (v->status == ENGRAM_OK)
            v->reason = *reason;
        v->status = v->status == ENGRAM_OK ? status : v->status;
        pthread_mutex_unlock(&v->lock);
    } else {
        report(v, chunk_id, "%s", reason->message);
    }
    return false;
}

static bool has_ended(verification *v)
{
    pthread_mutex_lock(&v->lock);
    bool ended = v->status != ENGRAM_OK;
    pthread_mutex_unlock(&v->lock);
    return ended;
}

/* ---- sections ---- */

/* The header as it is now, or false when the segment is not sealed. */
static bool get_sealed_header(eg_segment *segment, eg_segment_header *header)
{
    pthread_mutex_lock(&segment->lock);
    *header = segment->header;
    pthread_mutex_unlock(&segment->lock);
    return header->stage == EG_SEGMENT_SEALED;
}

static void check_header(verification *v, const eg_segment_header *header)
{
    eg_segment_header again;
    engram_error reason = {0};
    uint8_t ours[EG_SEGMENT_SLOT_SIZE], theirs[EG_SEGMENT_SLOT_SIZE];
    engram_status status =
        eg_segment_header_read(v->segment->io, v->segment->file, v->segment->id, &again, &reason);
    if (!note(v, 0, status, &reason))
        return;
    eg_segment_header_encode(header, ours);
    eg_segment_header_encode(&again, theirs);
    if (memcmp(ours, theirs, sizeof ours) != 0)
        report(v, 0, "%s: the header has changed since it was opened", eg_segment_name(v->segment));
}

static bool check_crc(verification *v, const eg_segment_header *header, uint32_t tag)
{
    engram_error reason = {0};
    const eg_section *section = eg_segment_section(header, tag);
    engram_status status = eg_segment_check_section(v->segment, section, &reason);
    return note(v, 0, status, &reason);
}

/* Pairs rise, and each is what its record says. A damaged record is reported by itself. */
static bool pairs_agree(const eg_segment *segment, const uint8_t *pairs, uint32_t count,
                        uint32_t visible)
{
    uint64_t before = 0;
    uint32_t index_before = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t prefix = eg_get_u64(pairs + (size_t)i * EG_SEGMENT_PAIR_SIZE);
        uint32_t index = eg_get_u32(pairs + (size_t)i * EG_SEGMENT_PAIR_SIZE + 8);
        if (index >= count ||
            (i > 0 && (prefix < before || (prefix == before && index <= index_before))))
            return false;
        before = prefix;
        index_before = index;
        const eg_chunk_record *record = index < visible ? eg_segment_record(segment, index) : NULL;
        if (record != NULL && record->kind != EG_RECORD_BAD &&
            eg_fingerprint_prefix(record->fingerprint) != prefix)
            return false;
    }
    return true;
}

static void check_fingerprints(verification *v, const eg_segment_header *header)
{
    const eg_section *section = eg_segment_section(header, EG_SECTION_FINGERPRINTS);
    engram_error reason = {0};
    uint8_t *pairs;
    if (section == NULL)
        return;
    engram_status status = eg_segment_read_section(v->segment, section, &pairs, &reason);
    if (!note(v, 0, status, &reason))
        return;
    if (!pairs_agree(v->segment, pairs, section->count, v->count))
        report(v, 0, "%s at %" PRIu64 ": the fingerprint index does not agree with the records",
               eg_segment_name(v->segment), section->offset);
    eg_free(pairs);
}

static void check_sections(verification *v, const eg_segment_header *header)
{
    check_header(v, header);
    check_crc(v, header, EG_SECTION_RECORDS);
    v->vectors_are_good = check_crc(v, header, EG_SECTION_VECTORS);
    if (v->verifier->subset >= 1.0)
        check_crc(v, header, EG_SECTION_PAYLOAD);
    check_fingerprints(v, header);
}

/* ---- chunks ---- */

/* The same ids every time, spread evenly. */
static bool is_chosen(const verification *v, uint64_t id)
{
    id = (id ^ id >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    id = (id ^ id >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)(id >> 11) * 0x1p-53 < v->verifier->subset;
}

static void add_progress(verification *v, size_t bytes)
{
    pthread_mutex_lock(&v->lock);
    v->bytes_done += bytes;
    if (v->verifier->progress != NULL)
        v->verifier->progress(v->verifier->context, v->bytes_done);
    pthread_mutex_unlock(&v->lock);
}

static void check_vector(verification *v, uint32_t index, const eg_chunk_record *record,
                         const uint8_t *bytes)
{
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
    engram_error reason = {0};
    if (v->verifier->check_vector == NULL || !v->vectors_are_good)
        return;
    engram_status status = eg_segment_get_vector(v->segment, index, vector, &reason);
    if (!note(v, record->id, status, &reason))
        return;
    if (eg_vector_check(vector) != record->vector_check ||
        !v->verifier->check_vector(v->verifier->context, bytes, record->size, vector,
                                   record->spread))
        report(v, record->id, "%s: chunk %" PRIu64 ": its vector is not that of its bytes",
               eg_segment_name(v->segment), record->id);
}

/* Since the segment was listed a merge has taken its place, and dropped the chunk or gave it another base: what is missing
 * then is missed by nobody. */
static bool is_replaced(const verification *v, const eg_chunk_record *record)
{
    eg_chunk_info now;
    engram_error ignored = {0};
    engram_status status = eg_store_get_info(v->store, record->id, &now, &ignored);
    return status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && now.base != record->base);
}

/* The base is there and less deep. Reading would notice too, but not every chunk may be read. */
static void check_base(verification *v, const eg_chunk_record *record)
{
    eg_chunk_info base;
    engram_error reason = {0};
    if (record->kind != EG_CORRECTION_DELTA)
        return;
    engram_status status = eg_store_get_info(v->store, record->base, &base, &reason);
    if (is_end(v, status))
        note(v, record->id, status, &reason);
    else if (status == ENGRAM_NOT_FOUND && is_replaced(v, record))
        return;
    else if (status != ENGRAM_OK)
        report(v, record->id, "%s: chunk %" PRIu64 ": its base: %s", eg_segment_name(v->segment),
               record->id, reason.message);
    else if (base.depth >= record->depth)
        report(v, record->id, "%s: chunk %" PRIu64 " has depth %u, its base %" PRIu64 " has %u",
               eg_segment_name(v->segment), record->id, record->depth, base.id, base.depth);
}

static void check_chunk(verification *v, uint32_t index, eg_buffer *buffer)
{
    const eg_chunk_record *record = eg_segment_record(v->segment, index);
    engram_error reason = {0};
    size_t size;
    if (record->kind == EG_RECORD_BAD) {
        engram_status status =
            eg_segment_fail_record(v->segment, index, "the record fails its check", &reason);
        note(v, v->segment->ids_contiguous ? record->id : 0, status, &reason);
        return;
    }
    check_base(v, record);
    if (!is_chosen(v, record->id))
        return;
    eg_buffer_clear(buffer);
    uint8_t *bytes = eg_buffer_extend(buffer, record->size);
    engram_status status =
        bytes == NULL ? ENGRAM_NO_MEMORY
                      : eg_store_read(v->store, record->id, bytes, record->size, &size, &reason);
    if (status == ENGRAM_NOT_FOUND && is_replaced(v, record))
        return;
    if (note(v, record->id, status, &reason))
        check_vector(v, index, record, bytes);
    add_progress(v, record->size);
}

static void check_some(void *context, size_t task, size_t worker)
{
    verification *v = context;
    uint32_t first = (uint32_t)task * CHUNKS_A_TASK;
    eg_buffer buffer = {0};
    (void)worker;
    for (uint32_t i = first; i < v->count && i < first + CHUNKS_A_TASK && !has_ended(v); i++)
        check_chunk(v, i, &buffer);
    eg_buffer_fini(&buffer);
}

static void check_segment(verification *v, eg_segment *segment)
{
    eg_segment_header header;
    engram_error reason = {0};
    v->segment = segment;
    v->count = atomic_load_explicit(&segment->count, memory_order_acquire);
    v->vectors_are_good = true;
    if (!note(v, 0, eg_segment_load(segment, &reason), &reason))
        return;
    if (get_sealed_header(segment, &header))
        check_sections(v, &header);
    eg_pool_run(v->verifier->pool, (v->count + CHUNKS_A_TASK - 1) / CHUNKS_A_TASK, check_some, v);
}

static engram_status verify_segments(eg_store *store, eg_segment *const *segments, size_t count,
                                     const eg_store_verifier *verifier, engram_error *error)
{
    verification v = {.store = store, .verifier = verifier};
    pthread_mutex_init(&v.lock, NULL);
    for (size_t i = 0; i < count && v.status == ENGRAM_OK; i++)
        check_segment(&v, segments[i]);
    pthread_mutex_destroy(&v.lock);
    if (v.status == ENGRAM_NO_MEMORY)
        return eg_fail(error, v.status, "no memory to verify %s", store->dir);
    return v.status == ENGRAM_OK ? v.status : eg_fail(error, v.status, "%s", v.reason.message);
}

engram_status eg_store_verify_segment(eg_store *store, eg_segment *segment,
                                      const eg_store_verifier *verifier, engram_error *error)
{
    return verify_segments(store, &segment, 1, verifier, error);
}

engram_status eg_store_verify(eg_store *store, const eg_store_verifier *verifier,
                              engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < store->damage_count; i++)
        verifier->problem(verifier->context, 0, store->damages[i].reason);
    return verify_segments(store, segments.at, segments.count, verifier, error);
}
