/* Batches: memory taken once, reused for the whole run. */
#include "base/memory.h"
#include "base/status.h"
#include "ingest/internal.h"

engram_status eg_batch_create(size_t capacity, eg_batch **batch, engram_error *error)
{
    eg_batch *b = eg_alloc_zero(1, sizeof *b);
    uint8_t *bytes = eg_alloc_aligned(64, capacity);
    if (b == NULL || bytes == NULL) {
        eg_free(b);
        eg_free(bytes);
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for a batch of %zu bytes", capacity);
    }
    b->bytes = bytes;
    b->capacity = capacity;
    *batch = b;
    return ENGRAM_OK;
}

void eg_batch_free(eg_batch *batch)
{
    if (batch == NULL)
        return;
    eg_buffer_fini(&batch->ops);
    eg_buffer_fini(&batch->commit);
    eg_free(batch->bytes);
    eg_free(batch->cuts);
    eg_free(batch->events);
    eg_free(batch);
}

void eg_batch_clear(eg_batch *batch)
{
    batch->size = batch->cut_count = batch->event_count = 0;
    eg_buffer_clear(&batch->ops);
    eg_buffer_clear(&batch->commit);
    batch->delta = (eg_ingest_stats){0};
}

engram_status eg_batch_add_cut(eg_batch *batch, size_t offset, uint32_t size, engram_error *error)
{
    if (!eg_grow((void **)&batch->cuts, &batch->cut_capacity, batch->cut_count + 1,
                 sizeof *batch->cuts))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory cutting chunks");
    batch->cuts[batch->cut_count++] = (eg_cut){.offset = offset, .size = size};
    return ENGRAM_OK;
}

engram_status eg_batch_add_event(eg_batch *batch, eg_event_kind kind, uint64_t number,
                                 uint32_t cut_count, size_t ops_offset, engram_error *error)
{
    if (batch->ops.failed || !eg_grow((void **)&batch->events, &batch->event_capacity,
                                      batch->event_count + 1, sizeof *batch->events))
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory planning a batch");
    batch->events[batch->event_count++] =
        (eg_event){kind, cut_count, number, ops_offset, batch->ops.size - ops_offset};
    return ENGRAM_OK;
}
