/* Merging neighbours into one file, without what is doomed.
 *
 * 1. Which doomed chunks must stay all the same: those on which a chunk outside the merge rests, and the bases of
 * those. 2. The corrections, in the order of ids: copied as they are, but that a chunk which stays on a doomed base is
 * encoded anew (rebase.c). 3. Records, index and vectors, as for any sealed segment.
 *
 * What is copied is held against the CRC of its section before, so that damage does not get a fresh CRC. */
#include <inttypes.h>

#include "base/memory.h"
#include "store/rebase.h"

enum { PACE_STEP = 1 << 20 };

struct eg_merge {
    eg_collection *collection;
    eg_merge_options options;
    eg_segment **old;
    size_t old_count;
    eg_id_set needed;  /* doomed, and to stay */
    eg_segment *fresh; /* NULL: nothing stays */
    eg_rebase rebase;
    eg_buffer stored;
    uint64_t unpaced;
    bool is_adopted;
    eg_merged done;
};

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to merge segments");
}

static engram_status pace(eg_merge *m, uint64_t bytes, engram_error *error)
{
    m->unpaced += bytes;
    if (m->options.pace == NULL || m->unpaced < PACE_STEP)
        return ENGRAM_OK;
    uint64_t step = m->unpaced;
    m->unpaced = 0;
    return m->options.pace(m->options.context, step, error);
}

/* ---- what is merged ---- */

static engram_status find_segments(eg_merge *m, const uint64_t *numbers, size_t count,
                                   engram_error *error)
{
    eg_segments segments = eg_store_segments(m->collection->store);
    size_t first = 0;
    while (first < segments.count && segments.at[first]->id != numbers[0])
        first++;
    m->old = eg_alloc_zero(count, sizeof *m->old);
    if (m->old == NULL)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        eg_segment *segment = first + i < segments.count ? segments.at[first + i] : NULL;
        if (segment == NULL || segment->id != numbers[i] || !eg_segment_is_at_rest(segment))
            return eg_fail(error, ENGRAM_INVALID,
                           "segment %" PRIu64 " is not there to be merged", numbers[i]);
        m->old[m->old_count++] = segment;
    }
    return ENGRAM_OK;
}

static engram_status check_sound(eg_merge *m, eg_segment *segment, engram_error *error)
{
    const eg_section *payload = eg_segment_section(&segment->header, EG_SECTION_PAYLOAD);
    EG_TRY(eg_segment_load(segment, error));
    for (uint32_t i = 0; i < segment->count && segment->bad_count > 0; i++)
        if (eg_segment_record(segment, i)->kind == EG_RECORD_BAD)
            return eg_segment_fail_record(segment, i, "the record fails its check", error);
    if (eg_segment_is_exact(segment)) /* else the section holds more than counts */
        EG_TRY(eg_segment_check_section(segment, payload, error));
    m->done.bytes_before += eg_segment_end(&segment->header);
    return pace(m, payload->size, error);
}

static bool is_within(const eg_merge *m, uint64_t id)
{
    return id >= m->old[0]->first_id && id <= eg_store_last_id(m->old[m->old_count - 1]);
}

static bool is_old(const eg_merge *m, const eg_segment *segment)
{
    for (size_t i = 0; i < m->old_count; i++)
        if (m->old[i] == segment)
            return true;
    return false;
}

/* ---- 1. what must stay ---- */

static bool is_needed_base(const eg_merge *m, const eg_chunk_record *record)
{
    return record->kind == EG_CORRECTION_DELTA && is_within(m, record->base) &&
           eg_collection_dooms(m->collection, record->base);
}

static engram_status note_needs(eg_merge *m, eg_segment *segment, engram_error *error)
{
    EG_TRY(eg_segment_load(segment, error));
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        const eg_chunk_record *record = eg_segment_record(segment, i);
        if (is_needed_base(m, record) && !eg_id_set_add(&m->needed, record->base))
            return no_memory(error);
    }
    return ENGRAM_OK;
}

/* The bases of what is needed, and theirs: once more for each depth there is. */
static engram_status note_chains(eg_merge *m, engram_error *error)
{
    uint64_t before;
    do {
        before = m->needed.count;
        for (size_t i = 0; i < m->old_count; i++)
            for (uint32_t j = 0; j < m->old[i]->count; j++) {
                const eg_chunk_record *record = eg_segment_record(m->old[i], j);
                if (eg_id_set_has(&m->needed, record->id) && is_needed_base(m, record) &&
                    !eg_id_set_add(&m->needed, record->base))
                    return no_memory(error);
            }
    } while (m->needed.count != before);
    return ENGRAM_OK;
}

static engram_status find_needed(eg_merge *m, engram_error *error)
{
    eg_segments segments = eg_store_segments(m->collection->store);
    if (!m->collection->has_doomed)
        return ENGRAM_OK;
    for (size_t i = 0; i < segments.count; i++)
        if (!is_old(m, segments.at[i]))
            EG_TRY(note_needs(m, segments.at[i], error));
    return note_chains(m, error);
}

static bool stays(const eg_merge *m, uint64_t id)
{
    return !eg_collection_dooms(m->collection, id) || eg_id_set_has(&m->needed, id);
}

static uint32_t count_staying(const eg_merge *m)
{
    uint64_t count = 0;
    for (size_t i = 0; i < m->old_count; i++)
        for (uint32_t j = 0; j < m->old[i]->count; j++)
            count += stays(m, eg_segment_record(m->old[i], j)->id);
    return count > EG_MERGE_CHUNKS_MAX ? UINT32_MAX : (uint32_t)count;
}

/* ---- 2. corrections ---- */

static engram_status read_stored(eg_merge *m, eg_segment *old, const eg_chunk_record *record,
                                 eg_view *correction, engram_error *error)
{
    eg_buffer_clear(&m->stored);
    uint8_t *bytes = eg_buffer_extend(&m->stored, record->stored_size);
    if (bytes == NULL)
        return no_memory(error);
    EG_TRY(eg_segment_read_payload(old, record, bytes, error));
    *correction = (eg_view){bytes, record->stored_size};
    return ENGRAM_OK;
}

/* It stays, and its base goes, now or some day. */
static bool is_orphan(const eg_merge *m, const eg_chunk_record *record)
{
    return record->kind == EG_CORRECTION_DELTA && !eg_collection_dooms(m->collection, record->id) &&
           eg_collection_dooms(m->collection, record->base);
}

static engram_status copy_chunk(eg_merge *m, eg_segment *old, uint32_t index, engram_error *error)
{
    eg_chunk_record record = *eg_segment_record(old, index);
    uint8_t vector[EG_SEGMENT_VECTOR_SIZE];
    eg_view correction;
    EG_TRY(eg_segment_get_vector(old, index, vector, error));
    if (is_orphan(m, &record)) {
        EG_TRY(eg_rebase_run(&m->rebase, &record, &correction, error));
        m->done.encoded++;
    } else {
        EG_TRY(read_stored(m, old, &record, &correction, error));
    }
    EG_TRY(eg_segment_reserve(m->fresh, 1, error));
    EG_TRY(eg_segment_add(m->fresh, &record, vector, correction.data, error));
    m->done.chunks++;
    return pace(m, record.stored_size, error);
}

static engram_status copy_chunks(eg_merge *m, engram_error *error)
{
    for (size_t i = 0; i < m->old_count; i++) {
        eg_segment *old = m->old[i];
        for (uint32_t j = 0; j < old->count; j++)
            if (stays(m, eg_segment_record(old, j)->id))
                EG_TRY(copy_chunk(m, old, j, error));
            else
                m->done.dropped++;
    }
    return ENGRAM_OK;
}

/* ---- 3. the rest ---- */

static engram_status get_vectors(void *context, uint32_t first, uint32_t count, uint8_t *vectors,
                                 engram_error *error)
{
    eg_merge *m = context;
    size_t at = 0;
    for (uint32_t i = first; i < first + count; i++, vectors += EG_SEGMENT_VECTOR_SIZE) {
        uint64_t id = eg_segment_record(m->fresh, i)->id;
        uint32_t index;
        while (id > eg_store_last_id(m->old[at]))
            at++;
        EG_TRY(eg_segment_find(m->old[at], id, &index, error));
        EG_TRY(eg_segment_get_vector(m->old[at], index, vectors, error));
    }
    return pace(m, (uint64_t)count * EG_SEGMENT_VECTOR_SIZE, error);
}

static engram_status create_file(eg_merge *m, uint32_t chunks, engram_error *error)
{
    eg_store *store = m->collection->store;
    eg_segment_plan plan = {.level = m->options.level};
    EG_TRY(eg_store_take_number(store, &plan.id, error));
    return eg_segment_create_dense(store->io, store->dir, &plan, chunks, &m->fresh, error);
}

static engram_status write_file(eg_merge *m, engram_error *error)
{
    uint32_t chunks = count_staying(m);
    if (chunks > EG_MERGE_CHUNKS_MAX)
        return eg_fail(error, ENGRAM_INVALID, "too many chunks for one segment");
    if (chunks == 0) {
        for (size_t i = 0; i < m->old_count; i++)
            m->done.dropped += m->old[i]->count;
        return ENGRAM_OK;
    }
    EG_TRY(create_file(m, chunks, error));
    EG_TRY(copy_chunks(m, error));
    EG_TRY(eg_segment_finish_dense(m->fresh, m->collection->store->dir, get_vectors, m, error));
    m->done.bytes_after = eg_segment_end(&m->fresh->header);
    return ENGRAM_OK;
}

static engram_status make(eg_merge *m, const uint64_t *segments, size_t count, engram_error *error)
{
    EG_TRY(find_segments(m, segments, count, error));
    for (size_t i = 0; i < count; i++)
        EG_TRY(check_sound(m, m->old[i], error));
    EG_TRY(find_needed(m, error));
    EG_TRY(eg_rebase_init(&m->rebase, m->collection, m->options.effort, error));
    return write_file(m, error);
}

engram_status eg_merge_create(eg_collection *collection, const uint64_t *segments, size_t count,
                              const eg_merge_options *options, eg_merge **merge,
                              engram_error *error)
{
    *merge = NULL;
    EG_TRY(eg_store_check_writable(collection->store, error));
    eg_merge *m = eg_alloc_zero(1, sizeof *m);
    if (m == NULL)
        return no_memory(error);
    m->collection = collection;
    m->options = *options;
    engram_status status = make(m, segments, count, error);
    eg_rebase_fini(&m->rebase);
    eg_buffer_fini(&m->stored);
    if (status != ENGRAM_OK) {
        eg_merge_free(&m);
        return status;
    }
    *merge = m;
    return ENGRAM_OK;
}

const eg_merged *eg_merge_get(const eg_merge *merge)
{
    return &merge->done;
}

/* Duplicates of what went are not looked for there any more. */
static void forget_dropped(eg_merge *m)
{
    eg_store *store = m->collection->store;
    for (size_t i = 0; i < m->old_count && store->dedup != NULL; i++)
        for (uint32_t j = 0; j < m->old[i]->count; j++) {
            const eg_chunk_record *record = eg_segment_record(m->old[i], j);
            if (!stays(m, record->id))
                eg_dedup_remove(store->dedup, eg_fingerprint_prefix(record->fingerprint),
                                record->id);
        }
}

engram_status eg_merge_adopt(eg_merge *m, engram_error *error)
{
    EG_TRY(eg_store_list_replace(m->collection->store, m->old, m->old_count, m->fresh, error));
    m->is_adopted = true;
    return ENGRAM_OK;
}

/* Heirs of a merge that was not adopted have the depth they had. */
static void give_up(eg_merge *m)
{
    eg_store *store = m->collection->store;
    eg_collection_forget_heirs(m->collection);
    if (m->fresh == NULL)
        return;
    store->io->unlink(store->io, eg_segment_name(m->fresh), NULL);
    eg_segment_free(m->fresh);
}

void eg_merge_free(eg_merge **merge)
{
    eg_merge *m = *merge;
    *merge = NULL;
    if (m == NULL)
        return;
    if (m->is_adopted)
        forget_dropped(m);
    else
        give_up(m);
    eg_id_set_fini(&m->needed);
    eg_free(m->old);
    eg_free(m);
}
