/* Opening and closing a store, sweeping, totals. */
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "store/internal.h"

#define SEGMENT_SIZE_DEFAULT (UINT64_C(64) << 20)

/* ---- open ---- */

static engram_status check_options(const eg_store_options *options, engram_error *error)
{
    if (options->segment_size > EG_SEGMENT_PAYLOAD_MAX - EG_CHUNK_BYTES_MAX)
        return eg_fail(error, ENGRAM_INVALID, "a segment size of %" PRIu64 " is too large",
                       options->segment_size);
    return ENGRAM_OK;
}

static eg_store *store_new(eg_io *io, const char *dir, const eg_store_options *options)
{
    eg_store *store = eg_alloc_zero(1, sizeof *store);
    if (store == NULL)
        return NULL;
    store->io = io;
    store->options = *options;
    if (options->segment_size == 0)
        store->options.segment_size = SEGMENT_SIZE_DEFAULT;
    store->next_segment = 1;
    pthread_mutex_init(&store->append_lock, NULL);
    eg_sealer_init(&store->sealer);
    eg_pins_init(&store->pins);
    pthread_mutex_init(&store->failure_lock, NULL);
    pthread_mutex_init(&store->scratch_lock, NULL);
    store->dir = eg_strdup(dir);
    if (store->dir == NULL)
        eg_store_close(&store);
    return store;
}

static engram_status open_segment(eg_store *store, const eg_segment_state *state,
                                  engram_error *error)
{
    eg_segment *segment;
    engram_error reason = {0};
    EG_TRY(eg_store_list_reserve(store, error));
    engram_status status = eg_segment_open(store->io, store->dir, state, &segment, &reason);
    if (eg_store_tolerates(store, status))
        return eg_store_note_damage(store, state, &reason, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", reason.message);
    eg_store_list_add(store, segment);
    return ENGRAM_OK;
}

static engram_status open_segments(eg_store *store, const eg_segment_state *states, size_t count,
                                   engram_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && states[i].id <= states[i - 1].id)
            return eg_fail(error, ENGRAM_INVALID, "states of segments are not in order of id");
        if (states[i].id >= store->next_segment && states[i].id <= EG_SEGMENT_ID_MAX)
            atomic_store(&store->next_segment, (uint32_t)states[i].id + 1);
        if (states[i].chunk_count > 0)
            EG_TRY(open_segment(store, &states[i], error));
    }
    return ENGRAM_OK;
}

/* What is damaged may stay as it is: its good chunks can be read. */
static engram_status recover_segment(eg_store *store, eg_segment **segment, engram_error *error)
{
    eg_segment *fresh;
    engram_error reason = {0};
    if (eg_segment_is_exact(*segment))
        return eg_store_trim_segment(store, *segment, error);
    engram_status status = eg_store_recover_segment(store, *segment, &fresh, &reason);
    if (status == ENGRAM_DAMAGED && store->options.tolerate)
        return eg_store_note_damage(store, NULL, &reason, error);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", reason.message);
    eg_segment_free(*segment);
    *segment = fresh;
    return ENGRAM_OK;
}

/* No reader is there yet: the list may be changed in place. */
static engram_status recover(eg_store *store, engram_error *error)
{
    EG_TRY(eg_store_number_segments(store, error));
    eg_segment_list *list = atomic_load(&store->list);
    for (size_t i = 0; list != NULL && i < list->count; i++)
        EG_TRY(recover_segment(store, &list->segments[i], error));
    store->first_own_segment = store->next_segment;
    return ENGRAM_OK;
}

static int compare_segments(const void *a, const void *b)
{
    const eg_segment *x = *(eg_segment *const *)a, *y = *(eg_segment *const *)b;
    return x->first_id < y->first_id ? -1 : x->first_id > y->first_id;
}

static engram_status order_segments(eg_store *store, engram_error *error)
{
    eg_segment_list *list = atomic_load(&store->list);
    if (list == NULL)
        return ENGRAM_OK;
    size_t count = list->count;
    qsort(list->segments, count, sizeof list->segments[0], compare_segments);
    for (size_t i = 1; i < count; i++)
        if (eg_store_last_id(list->segments[i - 1]) >= list->segments[i]->first_id)
            return eg_fail(error, ENGRAM_DAMAGED, "%s and %s hold the same ids",
                           eg_segment_name(list->segments[i - 1]),
                           eg_segment_name(list->segments[i]));
    return ENGRAM_OK;
}

/* All that is there is durable, and what is appended gets higher ids. */
static engram_status number_chunks(eg_store *store, engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    const eg_segment *end = segments.count == 0 ? NULL : segments.at[segments.count - 1];
    uint64_t last = end == NULL ? 0 : eg_store_last_id(end);
    uint64_t lost = last + eg_store_lost_behind(store, end == NULL ? 0 : end->id);
    uint64_t asked = store->options.next_id;
    if (asked != 0 && asked <= last && !store->options.read_only)
        return eg_fail(error, ENGRAM_INVALID,
                       "the next id is said to be %" PRIu64 ", but chunk %" PRIu64 " is in %s",
                       asked, last, store->dir);
    store->next_id = asked > last ? asked : lost + 1;
    store->opened_id = store->next_id - 1;
    store->last_id = last;
    store->synced_id = last;
    store->told_id = last;
    return ENGRAM_OK;
}

/* ---- the fingerprint index ---- */

static engram_status index_records(eg_store *store, eg_segment *segment, engram_error *error)
{
    EG_TRY(eg_segment_load(segment, error));
    uint32_t count = segment->count;
    for (uint32_t i = 0; i < count; i++) {
        const eg_chunk_record *record = eg_segment_record(segment, i);
        if (record->kind != EG_RECORD_BAD)
            EG_TRY(eg_dedup_add(store->dedup, eg_fingerprint_prefix(record->fingerprint),
                                record->id, error));
    }
    return ENGRAM_OK;
}

static engram_status index_pairs(eg_store *store, eg_segment *segment, const uint8_t *pairs,
                                 uint32_t count, engram_error *error)
{
    uint32_t visible = segment->count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *pair = pairs + (size_t)i * EG_SEGMENT_PAIR_SIZE;
        uint32_t index = eg_get_u32(pair + 8);
        if (index < visible)
            EG_TRY(eg_dedup_add(store->dedup, eg_get_u64(pair), segment->first_id + index, error));
    }
    return ENGRAM_OK;
}

/* From the file's own index where the places of chunks tell their ids, else from the records. */
static engram_status index_segment(eg_store *store, eg_segment *segment, engram_error *error)
{
    const eg_section *section = eg_segment_section(&segment->header, EG_SECTION_FINGERPRINTS);
    if (section == NULL || !segment->ids_contiguous || segment->header.stage != EG_SEGMENT_SEALED)
        return index_records(store, segment, error);
    uint8_t *pairs;
    engram_error reason = {0};
    engram_status status = eg_segment_read_section(segment, section, &pairs, &reason);
    if (status == ENGRAM_DAMAGED) {
        /* Nothing is lost with it; verify counts it as damage. */
        eg_log(EG_LOG_WARNING, "%s; using the records instead", reason.message);
        return index_records(store, segment, error);
    }
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", reason.message);
    status = index_pairs(store, segment, pairs, section->count, error);
    eg_free(pairs);
    return status;
}

static engram_status index_segments(eg_store *store, engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    uint64_t expected = 0;
    for (size_t i = 0; i < segments.count; i++)
        expected += segments.at[i]->count;
    EG_TRY(eg_dedup_create(expected, &store->dedup, error));
    for (size_t i = 0; i < segments.count; i++) {
        engram_error reason = {0};
        engram_status status = index_segment(store, segments.at[i], &reason);
        if (status != ENGRAM_OK && !eg_store_tolerates(store, status))
            return eg_fail(error, status, "%s", reason.message);
    }
    return ENGRAM_OK;
}

engram_status eg_store_open(eg_io *io, const char *dir, const eg_segment_state *states,
                            size_t state_count, const eg_store_options *options, eg_store **store,
                            engram_error *error)
{
    engram_status status;
    *store = NULL;
    EG_TRY(check_options(options, error));
    eg_store *made = store_new(io, dir, options);
    if (made == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to open %s", dir);
    EG_TRY_DONE(open_segments(made, states, state_count, error));
    if (!options->read_only)
        EG_TRY_DONE(recover(made, error));
    EG_TRY_DONE(order_segments(made, error));
    EG_TRY_DONE(number_chunks(made, error));
    if (options->dedup)
        EG_TRY_DONE(index_segments(made, error));
    *store = made;
    made = NULL;
done:
    eg_store_close(&made);
    return status;
}

void eg_store_close(eg_store **store)
{
    eg_store *closed = *store;
    *store = NULL;
    if (closed == NULL)
        return;
    eg_sealer_fini(closed);
    if (closed->active != NULL && atomic_load(&closed->active->count) == 0)
        eg_segment_free(closed->active); /* never listed */
    eg_store_list_free(closed);
    eg_store_free_damages(closed);
    eg_store_free_scratch(closed);
    eg_dedup_free(closed->dedup);
    eg_pins_fini(&closed->pins);
    pthread_mutex_destroy(&closed->append_lock);
    pthread_mutex_destroy(&closed->failure_lock);
    pthread_mutex_destroy(&closed->scratch_lock);
    eg_free(closed->dir);
    eg_free(closed);
}

/* ---- sweep ---- */

typedef struct file_list {
    uint32_t *ids;
    size_t count, capacity;
} file_list;

static engram_status collect_name(void *context, const char *name)
{
    file_list *files = context;
    void *ids = files->ids;
    uint32_t id;
    if (!eg_segment_parse_name(name, &id))
        return ENGRAM_OK;
    if (!eg_grow(&ids, &files->capacity, files->count + 1, sizeof id))
        return ENGRAM_NO_MEMORY;
    files->ids = ids;
    files->ids[files->count++] = id;
    return ENGRAM_OK;
}

/* Segments that this store has made, or is making, have the numbers given out since it was opened.
 */
static bool is_ours(eg_store *store, uint32_t id)
{
    if (eg_store_is_retired(store, id))
        return false;
    if (id >= store->first_own_segment && id < atomic_load(&store->next_segment))
        return true;
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < segments.count; i++)
        if (segments.at[i]->id == id)
            return true;
    for (size_t i = 0; i < store->damage_count; i++)
        if (store->damages[i].is_lost && store->damages[i].state.id == id)
            return true;
    return false;
}

static engram_status remove_file(eg_store *store, uint32_t id, engram_error *error)
{
    char *path = eg_segment_path(store->dir, id);
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to sweep %s", store->dir);
    engram_status status = store->io->unlink(store->io, path, error);
    eg_free(path);
    return status;
}

engram_status eg_store_sweep_but(eg_store *store, eg_store_keep *keep, void *context,
                                 engram_error *error)
{
    engram_status status;
    file_list files = {0};
    bool removed = false;
    EG_TRY(eg_store_check_writable(store, error));
    status = store->io->list(store->io, store->dir, collect_name, &files, error);
    if (status != ENGRAM_OK) {
        eg_fail(error, status, "cannot list %s", store->dir);
        goto done;
    }
    for (size_t i = 0; i < files.count; i++) {
        if (is_ours(store, files.ids[i]) || (keep != NULL && keep(context, files.ids[i])))
            continue;
        EG_TRY_DONE(remove_file(store, files.ids[i], error));
        removed = true;
    }
    if (removed)
        status = store->io->sync_dir(store->io, store->dir, error);
done:
    eg_free(files.ids);
    return status;
}

engram_status eg_store_sweep(eg_store *store, engram_error *error)
{
    return eg_store_sweep_but(store, NULL, NULL, error);
}

/* ---- holds ---- */

void eg_store_hold_begin(eg_store *store, eg_store_hold *hold)
{
    if (!hold->is_held)
        hold->side = eg_pins_begin(&store->pins, eg_store_next_id(store));
    hold->is_held = true;
}

void eg_store_hold_end(eg_store *store, eg_store_hold *hold)
{
    if (hold->is_held)
        eg_pins_end(&store->pins, hold->side);
    hold->is_held = false;
}

bool eg_store_use(eg_store *store, uint64_t id)
{
    return eg_pins_use(&store->pins, id);
}

/* ---- totals and invariants ---- */

static engram_status add_totals(eg_segment *segment, eg_store_totals *totals, engram_error *error)
{
    EG_TRY(eg_segment_load(segment, error));
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        const eg_chunk_record *record = eg_segment_record(segment, i);
        if (record->kind == EG_RECORD_BAD)
            return eg_segment_fail_record(segment, i, "the record fails its check", error);
        totals->bytes_logical += record->size;
        totals->bytes_payload += record->stored_size;
        totals->by_kind[record->kind]++;
        totals->bytes_by_kind[record->kind] += record->stored_size;
    }
    totals->chunks += count;
    totals->segments++;
    return ENGRAM_OK;
}

engram_status eg_store_get_totals(eg_store *store, eg_store_totals *totals, engram_error *error)
{
    eg_segments segments = eg_store_segments(store);
    *totals = (eg_store_totals){0};
    for (size_t i = 0; i < segments.count; i++)
        EG_TRY(add_totals(segments.at[i], totals, error));
    return ENGRAM_OK;
}

static bool validate_segment(eg_segment *segment)
{
    uint32_t count = atomic_load_explicit(&segment->count, memory_order_acquire);
    if (count == 0 || count > segment->block_count * EG_SEGMENT_BLOCK)
        return false;
    if (!atomic_load(&segment->loaded) || segment->bad_count > 0)
        return true;
    uint64_t payload_end = 0, id = segment->first_id - 1;
    for (uint32_t i = 0; i < count; i++) {
        const eg_chunk_record *record = eg_segment_record(segment, i);
        if (!eg_record_is_valid(record, UINT32_MAX) || record->id <= id ||
            record->payload_offset != payload_end)
            return false;
        id = record->id;
        payload_end += record->stored_size;
    }
    return true;
}

bool eg_store_validate(eg_store *store)
{
    eg_segments segments = eg_store_segments(store);
    for (size_t i = 0; i < segments.count; i++) {
        if (!validate_segment(segments.at[i]))
            return false;
        uint64_t last = eg_store_last_id(segments.at[i]);
        if (i + 1 < segments.count && last >= segments.at[i + 1]->first_id)
            return false;
        if (last >= store->next_id)
            return false;
    }
    return store->dedup == NULL || eg_dedup_validate(store->dedup);
}
