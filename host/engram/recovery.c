/* Opening: what the disk holds becomes the newest committed version.
 *
 * 1. The checkpoint that MANIFEST.json names. 2. The journal from there, read once for what it says
 * of segments: the store must know what is committed. 3. The store; a writer's copies committed
 * chunks out of files that were not sealed. 4. The journal again, each committed transaction
 * applied as at its commit, and the root bundle held against the hash in the record. 5. A writer
 * cuts the torn tail, and checkpoints if anything was replayed or rewritten. A reader does all this
 * in memory and changes nothing. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory opening an engram");
}

/* Pass 1: pending records wait in `pending` for their committed one. */
typedef struct scan_context {
    eg_engram *engram;
    uint64_t transaction;
    eg_buffer pending;
} scan_context;

static void keep_segments(eg_buffer *out, eg_view operations)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op))
        if (op.tag == EG_OP_SEGMENT || op.tag == EG_OP_WRITE_CHUNK)
            eg_write_bytes(out, op.whole.data, op.whole.size);
}

static engram_status scan_record(void *context, const eg_record *record, engram_error *error)
{
    scan_context *c = context;
    eg_engram *e = c->engram;
    if (record->transaction != c->transaction)
        eg_buffer_clear(&c->pending);
    c->transaction = record->transaction;
    if (record->transaction >= e->transaction_next)
        e->transaction_next = record->transaction + 1;
    keep_segments(&c->pending, record->operations);
    if (c->pending.failed)
        return no_memory(error);
    if (record->state != EG_RECORD_COMMITTED)
        return ENGRAM_OK;
    engram_status status =
        eg_engram_note_segments(e, (eg_view){c->pending.data, c->pending.size}, error);
    eg_buffer_clear(&c->pending);
    return status;
}

/* Pass 2. */
typedef struct replay_context {
    eg_engram *engram;
    eg_edit *edit; /* of the transaction at hand, or NULL */
    eg_apply apply;
    uint64_t transaction;
    uint64_t end;        /* sequence at which pass 1 ended: a writer may have gone on since */
    bool chunks_missing; /* of the transaction at hand; damage once it proves committed */
    uint64_t missing_id;
} replay_context;

static void drop_edit(replay_context *c)
{
    if (c->edit != NULL) {
        eg_edit_abort(&c->edit);
        eg_apply_fini(&c->apply);
    }
}

/* Every chunk that a committed transaction wrote must be in the store with that fingerprint. */
static engram_status check_chunks(replay_context *c, const eg_record *record, engram_error *error)
{
    eg_engram *e = c->engram;
    eg_reader in = eg_reader_make(record->operations.data, record->operations.size);
    eg_op op;
    while (!c->chunks_missing && eg_op_next(&in, &op)) {
        eg_chunk_info info;
        if (op.tag != EG_OP_WRITE_CHUNK)
            continue;
        uint64_t id = eg_get_u64(op.body.data);
        engram_error inner = {0};
        engram_status status = eg_store_get_info(e->store, id, &info, &inner);
        if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
            return eg_fail(error, status, "%s", inner.message);
        if (status != ENGRAM_OK || memcmp(info.fingerprint.bytes, op.body.data + 8, 16) != 0) {
            c->chunks_missing = true;
            c->missing_id = id;
        }
    }
    if (c->chunks_missing && record->state == EG_RECORD_COMMITTED)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: the journal committed chunk %" PRIu64
                       ", which its segment does not hold",
                       e->dir, c->missing_id);
    return ENGRAM_OK;
}

static engram_status replay_commit(replay_context *c, engram_error *error)
{
    eg_engram *e = c->engram;
    EG_TRY(eg_apply_finish(&c->apply, error));
    EG_TRY(eg_engram_count_root(e, &c->apply.live, &c->apply.dead, error));
    uint8_t hash[32];
    eg_engram_hash_root(e, hash);
    if (c->apply.has_root_hash && memcmp(hash, c->apply.root_hash, sizeof hash) != 0)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: the root bundle of version %" PRIu64 " is not what was committed",
                       e->dir, c->apply.version);
    EG_TRY(eg_engram_publish(e, &c->edit, &c->apply, error));
    eg_apply_fini(&c->apply);
    e->recovery.transactions++;
    return ENGRAM_OK;
}

static engram_status replay_record(void *context, const eg_record *record, engram_error *error)
{
    replay_context *c = context;
    eg_engram *e = c->engram;
    if (record->sequence >= c->end)
        return ENGRAM_OK;
    e->recovery.records++;
    if (record->transaction != c->transaction) {
        drop_edit(c); /* it was never committed */
        c->chunks_missing = false;
    }
    c->transaction = record->transaction;
    if (record->state != EG_RECORD_COMMITTED && record->state != EG_RECORD_PENDING) {
        drop_edit(c);
        return ENGRAM_OK;
    }
    if (c->edit == NULL) {
        EG_TRY(eg_edit_begin(e->root, &c->edit, error));
        engram_status status =
            eg_apply_init(&c->apply, c->edit, e->version + 1, record->time_ns, error);
        if (status != ENGRAM_OK) {
            drop_edit(c);
            return status;
        }
    }
    c->apply.time_ns = record->time_ns;
    EG_TRY(check_chunks(c, record, error));
    engram_error inner = {0};
    engram_status status = eg_apply_run(&c->apply, record->operations, &inner);
    if (status == ENGRAM_INVALID)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: journal record %" PRIu64 ": %s", e->dir,
                       record->sequence, inner.message);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    return record->state == EG_RECORD_COMMITTED ? replay_commit(c, error) : ENGRAM_OK;
}

static engram_status open_nodes(eg_engram *e, const eg_checkpoint *c, engram_error *error)
{
    char *path = eg_path_join(e->dir, "tree");
    if (path == NULL)
        return no_memory(error);
    eg_nodes_options options = {.read_only = e->options.read_only,
                                .end = c->nodes_end,
                                .cache_size = e->options.cache_size};
    engram_status status = eg_nodes_open(e->io, path, &options, &e->nodes, error);
    eg_free(path);
    if (status == ENGRAM_OK)
        status = eg_root_open(e->nodes, c->tree, &e->root, error);
    if (status == ENGRAM_OK)
        status = eg_root_open(e->nodes, c->catalog, &e->catalog, error);
    return status;
}

static engram_status open_store(eg_engram *e, engram_error *error)
{
    char *path = eg_path_join(e->dir, "segments");
    if (path == NULL)
        return no_memory(error);
    eg_store_options options = {.read_only = e->options.read_only,
                                .dedup = !e->options.read_only,
                                .segment_size = e->options.segment_size,
                                .next_id = e->chunk_next};
    engram_status status =
        eg_store_open(e->io, path, e->segments, e->segment_count, &options, &e->store, error);
    eg_free(path);
    return status;
}

/* What recovery made of the segments; counts those that were rewritten. */
static engram_status take_states(eg_engram *e, engram_error *error)
{
    eg_segment_state *states = NULL;
    size_t count = 0;
    EG_TRY(eg_store_get_states(e->store, &states, &count, error));
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t j = 0; j < e->segment_count && !known; j++)
            known = e->segments[j].id == states[i].id;
        e->recovery.segments_rewritten += !known;
    }
    eg_free(e->segments);
    e->segments = states;
    e->segment_count = e->segment_capacity = count;
    return ENGRAM_OK;
}

static engram_status start_writing(eg_engram *e, const char *journal_dir, const eg_journal_end *end,
                                   engram_error *error)
{
    EG_TRY(take_states(e, error));
    EG_TRY(eg_journal_open(e->io, journal_dir, end,
                           &(eg_journal_options){.file_size = e->options.journal_size}, &e->journal,
                           error));
    bool clean = e->manifest.clean && e->recovery.records == 0 && end->torn == 0 &&
                 e->recovery.segments_rewritten == 0;
    if (!clean) {
        eg_log(EG_LOG_INFO,
               "%s: recovered %" PRIu64 " transactions from the journal, cut %" PRIu64
               " bytes, rewrote %" PRIu64 " segments",
               e->dir, e->recovery.transactions, e->recovery.torn_bytes,
               e->recovery.segments_rewritten);
        return eg_engram_checkpoint_locked(e, error); /* nobody else has it yet */
    }
    eg_engram_sweep(e);
    return ENGRAM_OK;
}

static engram_status load_checkpoint(eg_engram *e, eg_checkpoint *c, engram_error *error)
{
    EG_TRY(eg_checkpoint_read(e->io, e->dir, e->manifest.checkpoint, c, e->bundle, error));
    e->replay_start = c->journal;
    e->version = c->version;
    e->time_ns = c->time_ns;
    e->transaction_next = c->transaction_next;
    e->chunk_next = c->chunk_next;
    atomic_store(&e->inode_next, c->inode_next);
    e->segment_count = e->segment_capacity = e->manifest.segment_count;
    e->segments = eg_memdup(e->manifest.segments, (e->segment_count + 1) * sizeof *e->segments);
    return e->segments == NULL ? no_memory(error) : ENGRAM_OK;
}

static engram_status recover_from(eg_engram *e, const char *journal_dir, engram_error *error)
{
    eg_checkpoint c;
    eg_journal_end end = {0};
    EG_TRY(load_checkpoint(e, &c, error));
    uint64_t durable = e->manifest.clean && e->manifest.clean_end.sequence != 0
                           ? e->manifest.clean_end.sequence - 1
                           : 0;
    scan_context scan = {.engram = e};
    engram_status status =
        eg_journal_read(e->io, journal_dir, c.journal, durable, scan_record, &scan, &end, error);
    eg_buffer_fini(&scan.pending);
    EG_TRY(status);
    EG_TRY(open_nodes(e, &c, error));
    EG_TRY(open_store(e, error));
    replay_context replay = {.engram = e, .end = end.sequence};
    eg_journal_end now;
    status = eg_journal_read(e->io, journal_dir, c.journal, durable, replay_record, &replay, &now,
                             error);
    drop_edit(&replay);
    EG_TRY(status);
    e->recovery.torn_bytes = end.torn;
    return e->options.read_only ? ENGRAM_OK : start_writing(e, journal_dir, &end, error);
}

engram_status eg_engram_recover(eg_engram *engram, engram_error *error)
{
    char *journal_dir = eg_path_join(engram->dir, "journal");
    if (journal_dir == NULL)
        return no_memory(error);
    engram_status status = recover_from(engram, journal_dir, error);
    eg_free(journal_dir);
    return status;
}

void eg_engram_sweep(eg_engram *engram)
{
    engram_error inner = {0};
    eg_file *lock = NULL;
    engram_status status = eg_lock_against_readers(engram->io, engram->dir, &lock, NULL);
    if (status != ENGRAM_OK)
        return; /* a reader is there: the next sweep takes them */
    status = eg_journal_release(engram->journal, engram->replay_start.file, &inner);
    if (status == ENGRAM_OK)
        status = eg_checkpoint_sweep(engram->io, engram->dir, engram->manifest.checkpoint, &inner);
    if (status == ENGRAM_OK)
        status = eg_store_sweep(engram->store, &inner);
    engram->io->close(engram->io, &lock);
    if (status != ENGRAM_OK) /* everything committed is safe: only space was not returned */
        eg_log(EG_LOG_WARNING, "%s: old files could not be removed: %s", engram->dir,
               inner.message);
}
