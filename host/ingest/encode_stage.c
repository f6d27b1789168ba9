/* The second stage: from cuts to chunks, and from a batch to a transaction.
 *
 * 1. in parallel: fingerprint each cut and compare it with the stored chunks of that
 * fingerprint. 2. In order: cuts equal to an earlier one of the batch. 3. The new ones: vectors by
 * the device, corrections in parallel (correct.c). 4. Append them to the active segment. 5. Write the
 * transaction: chunks, and the events with each file's content. */
#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "ingest/encode_stage.h"

/* What is spent to find the base of a chunk. Comparing with 32,768 takes 25 microseconds a chunk, a tenth of what the rest of
 * level 3 takes. From level 6 on, where packing takes milliseconds, several bases are tried. Memory of exact_max is 256 bytes
 * each. */
static eg_recall_effort effort_at(int level)
{
    if (level < 6)
        return (eg_recall_effort){.exact_max = 32 << 10, .bases = 2};
    return (eg_recall_effort){.exact_max = 128 << 10, .bases = level < 8 ? 4 : EG_RECALL_BASES};
}

enum { LEVEL_SEVERAL = 6, LEVEL_QUICK = 3 };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory encoding a batch");
}

void eg_encode_worker_failed(eg_encode_stage *s, engram_status status, const engram_error *error)
{
    pthread_mutex_lock(&s->error_lock);
    if (atomic_load(&s->status) == ENGRAM_OK) {
        s->error = *error;
        atomic_store(&s->status, (int)status);
    }
    pthread_mutex_unlock(&s->error_lock);
}

engram_status eg_encode_worker_status(eg_encode_stage *s, engram_error *error)
{
    engram_status status = (engram_status)atomic_load(&s->status);
    if (status != ENGRAM_OK && error != NULL && error->status == ENGRAM_OK)
        *error = s->error;
    return status;
}

static engram_status init_corrector(eg_corrector *c, int level, size_t size_max, engram_error *error)
{
    EG_TRY(eg_coder_create(level, &c->coder, error));
    if (level >= LEVEL_SEVERAL)
        EG_TRY(eg_coder_create(LEVEL_QUICK, &c->quick, error));
    c->bytes = eg_alloc(size_max);
    c->delta = eg_alloc(eg_coder_bound(size_max));
    return c->bytes != NULL && c->delta != NULL ? ENGRAM_OK : no_memory(error);
}

engram_status eg_encode_stage_create(eg_ingest *ingest, engram_error *error)
{
    eg_encode_stage *s = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return no_memory(error);
    ingest->encode = s;
    pthread_mutex_init(&s->error_lock, NULL);
    eg_store_hold_begin(eg_engram_store(ingest->engram), &s->hold);
    s->next_version = ingest->pinned.number + 1;
    s->width = eg_pool_width(ingest->pool);
    s->workers = eg_alloc_zero(s->width, sizeof *s->workers);
    if (s->workers == NULL)
        return no_memory(error);
    s->level = ingest->options.level != 0 ? ingest->options.level
                                          : eg_engram_get_config(ingest->engram)->level;
    for (size_t i = 0; i < s->width; i++)
        EG_TRY(init_corrector(&s->workers[i], s->level, ingest->chunker.size_max, error));
    if (s->level == 1)
        return ENGRAM_OK;
    return eg_recall_create(eg_engram_store(ingest->engram), effort_at(s->level), &s->recall, error);
}

void eg_encode_stage_free(eg_ingest *ingest)
{
    eg_encode_stage *s = ingest->encode;
    if (s == NULL)
        return;
    for (size_t i = 0; s->workers != NULL && i < s->width; i++) {
        eg_coder_free(s->workers[i].coder);
        eg_coder_free(s->workers[i].quick);
        eg_free(s->workers[i].bytes);
        eg_free(s->workers[i].delta);
    }
    eg_store_hold_end(eg_engram_store(ingest->engram), &s->hold);
    eg_recall_free(s->recall);
    eg_buffer_fini(&s->refs);
    void *arrays[] = {s->workers, s->fresh,  s->views,          s->chunks,      s->ids,  s->vectors,
                      s->spreads, s->packed, s->packed_offsets, s->predictions, s->table};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        eg_free(arrays[i]);
    pthread_mutex_destroy(&s->error_lock);
    eg_free(s);
    ingest->encode = NULL;
}

/* Step 1. */
static void find_one(void *context, size_t index, size_t worker)
{
    eg_ingest *ingest = context;
    eg_encode_stage *s = ingest->encode;
    eg_store *store = eg_engram_store(ingest->engram);
    eg_cut *cut = &s->batch->cuts[index];
    const uint8_t *bytes = s->batch->bytes + cut->offset;
    uint8_t *stored = s->workers[worker].bytes;
    uint64_t ids[EG_STORE_CANDIDATES];
    cut->fingerprint = eg_fingerprint_of(bytes, cut->size);
    cut->is_new = true;
    size_t count = eg_store_find(store, &cut->fingerprint, cut->size, ids);
    for (size_t i = 0; i < count; i++) {
        engram_error error = {0};
        size_t size;
        engram_status status = eg_store_read(store, ids[i], stored,
                                             ingest->chunker.size_max, &size, &error);
        if (status == ENGRAM_OK && size == cut->size && memcmp(stored, bytes, size) == 0 &&
            eg_store_use(store, ids[i])) {
            cut->is_new = false;
            cut->id = ids[i];
            return;
        }
        /* A stored chunk that cannot be read is no base for a new file: the bytes are stored again.
         */
        if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
            eg_encode_worker_failed(s, status, &error);
    }
}

static engram_status clear_table(eg_encode_stage *s, size_t cuts, engram_error *error)
{
    size_t need = 64;
    while (need < 2 * cuts)
        need *= 2;
    if (need > s->table_capacity) {
        eg_free(s->table);
        s->table_capacity = 0;
        s->table = eg_alloc(need * sizeof *s->table);
        if (s->table == NULL)
            return no_memory(error);
        s->table_capacity = need;
    }
    memset(s->table, 0, s->table_capacity * sizeof *s->table);
    return ENGRAM_OK;
}

/* Step 2: lists the new cuts; equal ones point to the first. */
static engram_status list_fresh(eg_encode_stage *s, engram_error *error)
{
    eg_batch *b = s->batch;
    EG_TRY(clear_table(s, b->cut_count, error));
    if (!eg_grow((void **)&s->fresh, &s->fresh_capacity, b->cut_count + 1, sizeof *s->fresh))
        return no_memory(error);
    s->fresh_count = 0;
    for (size_t i = 0; i < b->cut_count; i++) {
        eg_cut *cut = &b->cuts[i];
        cut->same_as = (uint32_t)i;
        if (!cut->is_new)
            continue;
        size_t mask = s->table_capacity - 1, at = eg_get_u64(cut->fingerprint.bytes) & mask;
        for (; s->table[at] != 0; at = (at + 1) & mask) {
            eg_cut *other = &b->cuts[s->table[at] - 1];
            if (other->size == cut->size &&
                memcmp(b->bytes + other->offset, b->bytes + cut->offset, cut->size) == 0)
                break;
        }
        if (s->table[at] != 0) {
            cut->same_as = s->table[at] - 1;
            continue;
        }
        s->table[at] = (uint32_t)i + 1;
        s->fresh[s->fresh_count++] = (uint32_t)i;
    }
    return ENGRAM_OK;
}

static engram_status reserve_fresh(eg_encode_stage *s, engram_error *error)
{
    size_t n = s->fresh_count + 1, packed = 0;
    if (!eg_grow((void **)&s->views, &s->views_capacity, n, sizeof *s->views) ||
        !eg_grow((void **)&s->chunks, &s->chunks_capacity, n, sizeof *s->chunks) ||
        !eg_grow((void **)&s->ids, &s->ids_capacity, n, sizeof *s->ids) ||
        !eg_grow((void **)&s->vectors, &s->vectors_capacity, n * ENGRAM_BLOCKS, 1) ||
        !eg_grow((void **)&s->spreads, &s->spreads_capacity, n, sizeof *s->spreads) ||
        !eg_grow((void **)&s->predictions, &s->predictions_capacity, n, sizeof *s->predictions) ||
        !eg_grow((void **)&s->packed_offsets, &s->packed_offsets_capacity, n,
                 sizeof *s->packed_offsets))
        return no_memory(error);
    for (size_t i = 0; i < s->fresh_count; i++) {
        s->packed_offsets[i] = packed;
        packed += eg_coder_bound(s->batch->cuts[s->fresh[i]].size);
    }
    return eg_grow((void **)&s->packed, &s->packed_capacity, packed + 1, 1) ? ENGRAM_OK
                                                                            : no_memory(error);
}

/* Steps 3 and 4. */
static engram_status store_fresh(eg_ingest *ingest, engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    eg_batch *b = s->batch;
    if (s->fresh_count == 0)
        return ENGRAM_OK;
    EG_TRY(reserve_fresh(s, error));
    uint64_t now = eg_clock_wall_ns();
    for (size_t i = 0; i < s->fresh_count; i++) {
        const eg_cut *cut = &b->cuts[s->fresh[i]];
        s->views[i] = (eg_view){b->bytes + cut->offset, cut->size};
        s->chunks[i] = (eg_new_chunk){.fingerprint = cut->fingerprint,
                                      .version = s->next_version,
                                      .created_ns = now,
                                      .size = cut->size,
                                      .vector = s->vectors + i * ENGRAM_BLOCKS};
    }
    EG_TRY(eg_device_encode(ingest->device, eg_engram_get_codebook(ingest->engram), s->views,
                            s->fresh_count, s->vectors, s->spreads, error));
    for (size_t i = 0; i < s->fresh_count; i++)
        s->chunks[i].spread = s->spreads[i];
    EG_TRY(eg_correct_all(ingest, error));
    uint64_t size = 0;
    for (size_t i = 0; i < s->fresh_count; i++)
        size += s->chunks[i].correction.size;
    EG_TRY(eg_store_check_room(eg_engram_store(ingest->engram), size, s->fresh_count, error));
    EG_TRY(
        eg_store_append(eg_engram_store(ingest->engram), s->chunks, s->fresh_count, s->ids, error));
    if (s->recall != NULL)
        EG_TRY(eg_recall_end(s->recall, s->ids, error));
    for (size_t i = 0; i < s->fresh_count; i++) {
        eg_cut *cut = &b->cuts[s->fresh[i]];
        cut->id = s->ids[i];
        eg_ops_write_chunk(&b->commit, cut->id, &cut->fingerprint, cut->size);
        b->delta.bytes_stored += s->chunks[i].correction.size + ENGRAM_BLOCKS + 72;
    }
    b->delta.chunks_new += s->fresh_count;
    return ENGRAM_OK;
}

/* The content of the complete file, in operations that fit a journal record. */
static void write_content(eg_encode_stage *s, uint64_t number)
{
    const size_t refs_max = 512 << 10; /* of 12 bytes: under half a record */
    size_t count = s->refs.size / EG_REF_SIZE, done = 0;
    uint64_t offset = 0;
    eg_buffer *out = &s->batch->commit;
    do {
        size_t n = count - done < refs_max ? count - done : refs_max;
        eg_chunk_ref none = {0};
        eg_ops_splice(out, number, offset, done == 0 ? UINT64_MAX : 0, &none, 0);
        uint8_t *body = eg_buffer_extend(out, n * EG_REF_SIZE);
        if (body == NULL)
            return;
        if (n != 0) /* an empty file has no references at all */
            memcpy(body, s->refs.data + done * EG_REF_SIZE, n * EG_REF_SIZE);
        eg_put_u32(body - 24 - 4, (uint32_t)(24 + n * EG_REF_SIZE));
        for (size_t end = done + n; done < end; done++)
            offset += eg_ref_get(s->refs.data + done * EG_REF_SIZE).size;
    } while (done < count);
}

/* Step 5. */
static engram_status write_events(eg_encode_stage *s, engram_error *error)
{
    eg_batch *b = s->batch;
    size_t cut = 0;
    for (size_t i = 0; i < b->event_count; i++) {
        const eg_event *event = &b->events[i];
        eg_write_bytes(&b->commit, b->ops.data + event->ops_offset, event->ops_size);
        for (uint32_t n = 0; n < event->cut_count; n++, cut++) {
            uint8_t ref[EG_REF_SIZE];
            eg_ref_put(ref, (eg_chunk_ref){b->cuts[cut].id, b->cuts[cut].size});
            eg_write_bytes(&s->refs, ref, sizeof ref);
        }
        if (event->kind == EG_EVENT_FILE)
            write_content(s, event->number);
        if (event->kind == EG_EVENT_FILE || event->kind == EG_EVENT_DISCARD)
            eg_buffer_clear(&s->refs);
    }
    return b->commit.failed || s->refs.failed ? no_memory(error) : ENGRAM_OK;
}

engram_status eg_encode_stage_run(eg_ingest *ingest, eg_batch *batch, engram_error *error)
{
    eg_encode_stage *s = ingest->encode;
    s->batch = batch;
    eg_pool_run(ingest->pool, batch->cut_count, find_one, ingest);
    EG_TRY(eg_encode_worker_status(s, error));
    EG_TRY(list_fresh(s, error));
    EG_TRY(store_fresh(ingest, error));
    for (size_t i = 0; i < batch->cut_count; i++)
        if (batch->cuts[i].same_as != i)
            batch->cuts[i].id = batch->cuts[batch->cuts[i].same_as].id;
    batch->delta.chunks += batch->cut_count;
    EG_TRY(write_events(s, error));
    s->next_version += batch->commit.size != 0;
    return ENGRAM_OK;
}
