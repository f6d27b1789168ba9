/* Calls between the engram, its store and its journal, some of which go wrong when asked to. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "crash/lies.h"
#include "crash/util.h"
#include "engram/internal.h"
#include "engram/ops.h"
#include "journal/journal.h"
#include "store/segment.h"
#include "store/store.h"

static struct {
    slip slip;
    unsigned at; /* only the n-th; 0: all */
    atomic_uint seen;
    atomic_bool owes_flush;
} now;

static struct { /* of the committing thread, one at a time */
    bool is_there;
    uint64_t transaction, time_ns;
    eg_view operations;
} held;

void slips_begin(const liar *l)
{
    now.slip = l->what != NULL ? l->what->slip : SLIP_NONE;
    now.at = l->at;
    atomic_store(&now.seen, 0);
}

void slips_end(void)
{
    now.slip = SLIP_NONE;
    atomic_store(&now.owes_flush, false);
    if (held.is_there)
        free((void *)held.operations.data);
    held.is_there = false;
}

static bool slips(slip kind)
{
    if (now.slip != kind)
        return false;
    unsigned seen = atomic_fetch_add(&now.seen, 1) + 1;
    return now.at == 0 || seen == now.at;
}

engram_status __real_eg_store_sync(eg_store *store, engram_error *error);
engram_status __wrap_eg_store_sync(eg_store *store, engram_error *error);

engram_status __wrap_eg_store_sync(eg_store *store, engram_error *error)
{
    return slips(SLIP_STORE_SYNC) ? ENGRAM_OK : __real_eg_store_sync(store, error);
}

engram_status __real_eg_store_take_synced(eg_store *store, eg_segment_state **states, size_t *count,
                                          engram_error *error);
engram_status __wrap_eg_store_take_synced(eg_store *store, eg_segment_state **states, size_t *count,
                                          engram_error *error);

engram_status __wrap_eg_store_take_synced(eg_store *store, eg_segment_state **states, size_t *count,
                                          engram_error *error)
{
    return slips(SLIP_EXTENTS) ? eg_store_get_states(store, states, count, error)
                               : __real_eg_store_take_synced(store, states, count, error);
}

void __real_eg_ops_chunk(eg_buffer *out, uint64_t id, const eg_new_chunk *chunk);
void __wrap_eg_ops_chunk(eg_buffer *out, uint64_t id, const eg_new_chunk *chunk);

void __wrap_eg_ops_chunk(eg_buffer *out, uint64_t id, const eg_new_chunk *chunk)
{
    if (slips(SLIP_CARRY))
        eg_ops_write_chunk(out, id, &chunk->fingerprint, chunk->size);
    else
        __real_eg_ops_chunk(out, id, chunk);
}

/* ---- the journal ---- */

engram_status __real_eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns,
                                       eg_view operations, uint64_t *sequence, engram_error *error);
engram_status __wrap_eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns,
                                       eg_view operations, uint64_t *sequence, engram_error *error);
engram_status __real_eg_journal_flush(eg_journal *journal, engram_error *error);
engram_status __wrap_eg_journal_flush(eg_journal *journal, engram_error *error);
engram_status __real_eg_journal_sync(eg_journal *journal, engram_error *error);
engram_status __wrap_eg_journal_sync(eg_journal *journal, engram_error *error);

static void hold(uint64_t transaction, uint64_t time_ns, eg_view operations)
{
    uint8_t *copy = memcpy(crash_alloc(operations.size), operations.data, operations.size);
    held.is_there = true;
    held.transaction = transaction;
    held.time_ns = time_ns;
    held.operations = (eg_view){copy, operations.size};
}

static engram_status append_held(eg_journal *journal, engram_error *error)
{
    uint64_t sequence;
    if (!held.is_there)
        return ENGRAM_OK;
    held.is_there = false;
    engram_status status = __real_eg_journal_append(journal, held.transaction, held.time_ns,
                                                    held.operations, &sequence, error);
    free((void *)held.operations.data);
    return status;
}

/* Each record waits for the one behind it, which may then go first. */
static engram_status append_in_some_order(eg_journal *journal, uint64_t transaction,
                                          uint64_t time_ns, eg_view operations, uint64_t *sequence,
                                          engram_error *error)
{
    if (held.is_there && slips(SLIP_ORDER)) {
        EG_TRY(
            __real_eg_journal_append(journal, transaction, time_ns, operations, sequence, error));
        return append_held(journal, error);
    }
    EG_TRY(append_held(journal, error));
    hold(transaction, time_ns, operations);
    return ENGRAM_OK;
}

engram_status __wrap_eg_journal_append(eg_journal *journal, uint64_t transaction, uint64_t time_ns,
                                       eg_view operations, uint64_t *sequence, engram_error *error)
{
    return now.slip == SLIP_ORDER
               ? append_in_some_order(journal, transaction, time_ns, operations, sequence, error)
               : __real_eg_journal_append(journal, transaction, time_ns, operations, sequence,
                                          error);
}

engram_status __wrap_eg_journal_flush(eg_journal *journal, engram_error *error)
{
    engram_status status = append_held(journal, error);
    if (status == ENGRAM_OK && slips(SLIP_FLUSH)) {
        atomic_store(&now.owes_flush, true);
        return ENGRAM_OK;
    }
    return status == ENGRAM_OK ? __real_eg_journal_flush(journal, error) : status;
}

engram_status __wrap_eg_journal_sync(eg_journal *journal, engram_error *error)
{
    engram_status status = __real_eg_journal_sync(journal, error);
    if (status == ENGRAM_OK && atomic_exchange(&now.owes_flush, false))
        status = __real_eg_journal_flush(journal, error);
    return status;
}

/* ---- the manifest ---- */

engram_status __real_eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest,
                                       engram_error *error);
engram_status __wrap_eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest,
                                       engram_error *error);

static bool names(const eg_manifest *manifest, uint64_t segment)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].id == segment)
            return true;
    return false;
}

static void sweep_early(eg_io *io, const char *dir, const eg_manifest *next)
{
    eg_manifest now_on_disk;
    char *segments = eg_path_join(dir, "segments");
    if (segments == NULL)
        abort();
    bool is_there = eg_manifest_read(io, dir, &now_on_disk, NULL) == ENGRAM_OK;
    for (size_t i = 0; is_there && i < now_on_disk.segment_count; i++) {
        uint64_t segment = now_on_disk.segments[i].id;
        if (names(next, segment) || !slips(SLIP_SWEEP))
            continue;
        char *path = eg_segment_path(segments, (uint32_t)segment);
        io->unlink(io, path, NULL);
        eg_free(path);
    }
    eg_manifest_fini(&now_on_disk);
    eg_free(segments);
}

engram_status __wrap_eg_manifest_write(eg_io *io, const char *dir, const eg_manifest *manifest,
                                       engram_error *error)
{
    if (now.slip == SLIP_SWEEP)
        sweep_early(io, dir, manifest);
    return __real_eg_manifest_write(io, dir, manifest, error);
}
