/* A chunk as it is stored, for another store. */
#include "base/memory.h"
#include "store/internal.h"

engram_status eg_store_export(eg_store *store, uint64_t id, eg_new_chunk *chunk,
                              uint8_t vector[256], eg_buffer *correction, engram_error *error)
{
    eg_segment *segment;
    uint32_t index;
    EG_TRY(eg_store_locate(store, id, &segment, &index, error));
    const eg_chunk_record *record = eg_segment_record(segment, index);
    EG_TRY(eg_segment_get_vector(segment, index, vector, error));
    eg_buffer_clear(correction);
    uint8_t *bytes = eg_buffer_extend(correction, record->stored_size);
    if (bytes == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to copy a chunk");
    EG_TRY(eg_segment_read_payload(segment, record, bytes, error));
    *chunk = (eg_new_chunk){.id = id,
                            .version = record->version,
                            .created_ns = record->created_ns,
                            .base = record->base,
                            .vector = vector,
                            .spread = record->spread,
                            .size = record->size,
                            .kind = (eg_correction_kind)record->kind,
                            .depth = record->depth,
                            .correction = {bytes, record->stored_size}};
    memcpy(chunk->fingerprint.bytes, record->fingerprint, sizeof chunk->fingerprint.bytes);
    return ENGRAM_OK;
}
