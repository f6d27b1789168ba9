/* Opening: what the disk holds becomes the newest committed version.
 *
 * 1. The checkpoint that MANIFEST.json names. 2. The journal from there, read once for what it says
 * of segments: the store must know how far they are durable. 3. The store; a writer's copies those
 * chunks out of files that were not sealed. 4. The journal again: chunks that records carry and that
 * the segments do not hold are appended under their ids; each committed transaction is applied as at
 * its commit, a group at a time, and the root bundle held against the hash at the group's end. 5. A
 * writer cuts the torn tail, and checkpoints if anything was replayed or rewritten. A reader does all
 * this in memory and changes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory opening an engram");
}

enum { MANY_RECORDS = 4096 };

/* ---- pass 1: segments, and versions that are named ---- */

/* Pending records wait in `pending` for their committed one. */
typedef struct scan_context {
    eg_engram *engram;
    uint64_t transaction;
    eg_buffer pending;
    eg_buffer named; /* u64 each: versions that a snapshot names after their commit */
} scan_context;

static eg_segment_state *find_segment(eg_engram *e, uint64_t id)
{
    for (size_t i = e->segment_count; i > 0; i--)
        if (e->segments[i - 1].id == id)
            return &e->segments[i - 1];
    return NULL;
}

/* Extents only grow: an operation that was made ready early may say less than one before it. */
static engram_status note_segment(eg_engram *e, eg_reader in, engram_error *error)
{
    eg_segment_state state = {.id = eg_read_u64(&in)};
    state.chunk_count = eg_read_u64(&in);
    state.payload_size = eg_read_u64(&in);
    state.level = eg_read_u8(&in);
    eg_segment_state *known = find_segment(e, state.id);
    if (in.failed || state.id == 0)
        return eg_fail(error, ENGRAM_INVALID, "malformed segment operation");
    if (known != NULL) {
        if (state.chunk_count > known->chunk_count)
            *known = state;
        return ENGRAM_OK;
    }
    if (!eg_grow((void **)&e->segments, &e->segment_capacity, e->segment_count + 1,
                 sizeof *e->segments))
        return no_memory(error);
    size_t at = e->segment_count++;
    for (; at > 0 && e->segments[at - 1].id > state.id; at--) /* rising; mostly it is the last */
        e->segments[at] = e->segments[at - 1];
    e->segments[at] = state;
    return ENGRAM_OK;
}

/* Moves the extents on, and chunk_next; takes down what is named. */
static engram_status note_operations(scan_context *c, eg_view operations, engram_error *error)
{
    eg_engram *e = c->engram;
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op)) {
        if (op.tag == EG_OP_SEGMENT)
            EG_TRY(note_segment(e, eg_reader_make(op.body.data, op.body.size), error));
        bool has_id = op.tag == EG_OP_WRITE_CHUNK || (op.tag == EG_OP_CHUNK && op.body.size >= 8);
        if (has_id && eg_get_u64(op.body.data) >= e->chunk_next)
            e->chunk_next = eg_get_u64(op.body.data) + 1;
        if (op.tag == EG_OP_SNAPSHOT && op.body.size >= 8 && eg_get_u64(op.body.data) != 0)
            eg_write_bytes(&c->named, op.body.data, 8);
    }
    if (c->named.failed)
        return no_memory(error);
    return in.failed ? eg_fail(error, ENGRAM_INVALID, "malformed operation in a transaction")
                     : ENGRAM_OK;
}

static void keep_noted(eg_buffer *out, eg_view operations)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op))
        if (op.tag == EG_OP_SEGMENT || op.tag == EG_OP_WRITE_CHUNK || op.tag == EG_OP_SNAPSHOT)
            eg_write_bytes(out, op.whole.data, op.whole.size);
}

static engram_status scan_operations(scan_context *c, const eg_record *record, eg_view operations,
                                     engram_error *error)
{
    engram_error inner = {0};
    engram_status status = note_operations(c, operations, &inner);
    if (status == ENGRAM_INVALID)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: journal record %" PRIu64 ": %s", c->engram->dir,
                       record->sequence, inner.message);
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", inner.message);
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
    if (record->state == EG_RECORD_COMMITTED && c->pending.size == 0)
        return scan_operations(c, record, record->operations, error);
    keep_noted(&c->pending, record->operations);
    if (c->pending.failed)
        return no_memory(error);
    if (record->state != EG_RECORD_COMMITTED)
        return ENGRAM_OK;
    engram_status status =
        scan_operations(c, record, (eg_view){c->pending.data, c->pending.size}, error);
    eg_buffer_clear(&c->pending);
    return status;
}

/* ---- pass 2: transactions ---- */

typedef struct replay_context {
    eg_engram *engram;
    eg_edit *edit; /* of the group at hand, or NULL */
    eg_apply apply;
    uint64_t version, time_ns; /* of the last transaction in it */
    uint64_t begun_ns;         /* of the first */
    bool many;                 /* transactions: not every one needs a version of its own */
    uint64_t transaction;
    eg_buffer pending; /* operations of a transaction whose committed record has not come */
    uint64_t end;      /* sequence at which pass 1 ended: a writer may have gone on since */
    eg_view named;     /* as pass 1 found them */
} replay_context;

static void replay_fini(replay_context *c)
{
    if (c->edit != NULL)
        eg_apply_fini(&c->apply);
    eg_edit_abort(&c->edit);
    eg_buffer_fini(&c->pending);
}

static engram_status missing(eg_engram *e, uint64_t id, engram_error *error)
{
    return eg_fail(error, ENGRAM_DAMAGED,
                   "%s: the journal committed chunk %" PRIu64 ", which its segment does not hold",
                   e->dir, id);
}

/* A chunk that a committed transaction wrote must be in the store with that fingerprint. */
static engram_status check_chunk(eg_engram *e, uint64_t id, const uint8_t *fingerprint,
                                 engram_error *error)
{
    eg_chunk_info info;
    engram_error inner = {0};
    engram_status status = eg_store_get_info(e->store, id, &info, &inner);
    if (status == ENGRAM_NO_MEMORY || status == ENGRAM_IO)
        return eg_fail(error, status, "%s", inner.message);
    if (status != ENGRAM_OK ||
        memcmp(info.fingerprint.bytes, fingerprint, sizeof info.fingerprint.bytes) != 0)
        return missing(e, id, error);
    return ENGRAM_OK;
}

/* A chunk that the record carries: appended, unless its segment is durable that far. */
static engram_status take_chunk(eg_engram *e, eg_view body, engram_error *error)
{
    uint64_t id;
    eg_new_chunk chunk;
    if (!eg_ops_read_chunk(body, &id, &chunk))
        return eg_fail(error, ENGRAM_INVALID, "malformed chunk in a transaction");
    if (id < eg_store_next_id(e->store))
        return check_chunk(e, id, chunk.fingerprint.bytes, error);
    chunk.id = id;
    e->recovery.chunks++;
    return eg_store_append(e->store, &chunk, 1, &id, error);
}

static engram_status take_chunks(eg_engram *e, eg_view operations, engram_error *error)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op)) {
        if (op.tag == EG_OP_CHUNK)
            EG_TRY(take_chunk(e, op.body, error));
        if (op.tag == EG_OP_WRITE_CHUNK)
            EG_TRY(check_chunk(e, eg_get_u64(op.body.data), op.body.data + 8, error));
    }
    return ENGRAM_OK;
}

static engram_status check_root(replay_context *c, engram_error *error)
{
    uint8_t hash[32];
    eg_hash_root(c->engram->bundle, hash);
    if (c->apply.has_root_hash && memcmp(hash, c->apply.root_hash, sizeof hash) != 0)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: the root bundle of version %" PRIu64 " is not what was committed",
                       c->engram->dir, c->version);
    return ENGRAM_OK;
}

static engram_status publish_root(replay_context *c, eg_root *root, engram_error *error)
{
    eg_engram *e = c->engram;
    eg_pending *pending;
    eg_root *assigned = eg_root_retain(root);
    engram_status status =
        eg_pending_create(e, root, c->version, c->time_ns, &c->apply, &pending, error);
    if (status != ENGRAM_OK) {
        eg_root_release(assigned);
        return status;
    }
    eg_root_release(e->assigned);
    e->assigned = assigned;
    e->assigned_version = c->version;
    e->assigned_time_ns = c->time_ns;
    if (c->apply.totals.next_inode > atomic_load(&e->inode_next))
        atomic_store(&e->inode_next, c->apply.totals.next_inode);
    eg_engram_publish(e, pending);
    return ENGRAM_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = eg_get_u64(a), y = eg_get_u64(b);
    return x < y ? -1 : x > y;
}

/* Then it is not let go of until the record that names it comes. */
static bool is_named(const replay_context *c, uint64_t version)
{
    return c->named.size != 0 &&
           bsearch(&version, c->named.data, c->named.size / 8, 8, compare_numbers) != NULL;
}

/* The group at hand becomes a version that can be pinned, as at its commit. */
static engram_status end_group(replay_context *c, engram_error *error)
{
    eg_engram *e = c->engram;
    eg_root *root = NULL;
    if (c->edit == NULL)
        return ENGRAM_OK;
    EG_TRY(eg_apply_finish(&c->apply, error));
    EG_TRY(eg_count_root(e, e->bundle, &c->apply.live, 0, &c->apply.dead, 0, error));
    EG_TRY(check_root(c, error));
    c->apply.keep |= is_named(c, c->version);
    engram_status status = eg_edit_finish(&c->edit, &root, error);
    if (status == ENGRAM_OK)
        status = publish_root(c, root, error);
    eg_apply_fini(&c->apply);
    return status;
}

static engram_status begin_group(replay_context *c, engram_error *error)
{
    eg_engram *e = c->engram;
    if (c->edit != NULL)
        return ENGRAM_OK;
    EG_TRY(eg_edit_begin(e->assigned, &c->edit, error));
    engram_status status =
        eg_apply_init(&c->apply, c->edit, e->assigned_version, e->assigned_time_ns, error);
    if (status != ENGRAM_OK) {
        eg_apply_fini(&c->apply);
        eg_edit_abort(&c->edit);
    }
    c->version = e->assigned_version;
    return status;
}

/* Of a long journal, groups that follow one another within moments are replayed as one: a version for
 * each would cost copies of nodes and a look at the whole root bundle, and they would be thinned out
 * anyhow. Those that are named or labelled stay apart. */
static bool is_stride_over(const replay_context *c, uint64_t time_ns)
{
    const uint64_t stride_ns = 20000000;
    return c->edit != NULL && c->apply.has_root_hash &&
           (!c->many || time_ns < c->begun_ns || time_ns - c->begun_ns >= stride_ns);
}

static engram_status replay_transaction(replay_context *c, const eg_record *record,
                                        eg_view operations, engram_error *error)
{
    eg_engram *e = c->engram;
    engram_error inner = {0};
    if (is_stride_over(c, record->time_ns))
        EG_TRY(end_group(c, error));
    if (c->edit == NULL)
        c->begun_ns = record->time_ns;
    EG_TRY(begin_group(c, error));
    c->apply.version = ++c->version;
    c->apply.time_ns = c->time_ns = record->time_ns;
    c->apply.has_root_hash = false;
    engram_status status = take_chunks(e, operations, &inner);
    if (status == ENGRAM_OK)
        status = eg_apply_run(&c->apply, operations, &inner);
    if (status == ENGRAM_INVALID)
        return eg_fail(error, ENGRAM_DAMAGED, "%s: journal record %" PRIu64 ": %s", e->dir,
                       record->sequence, inner.message);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    e->recovery.transactions++;
    bool wanted = c->apply.keep || is_named(c, c->version);
    return c->apply.has_root_hash && wanted ? end_group(c, error) : ENGRAM_OK;
}

static engram_status replay_record(void *context, const eg_record *record, engram_error *error)
{
    replay_context *c = context;
    if (record->sequence >= c->end)
        return ENGRAM_OK;
    c->engram->recovery.records++;
    if (record->transaction != c->transaction)
        eg_buffer_clear(&c->pending); /* it was never committed */
    c->transaction = record->transaction;
    if (record->state == EG_RECORD_COMMITTED && c->pending.size == 0)
        return replay_transaction(c, record, record->operations, error);
    if (record->state != EG_RECORD_COMMITTED && record->state != EG_RECORD_PENDING) {
        eg_buffer_clear(&c->pending);
        return ENGRAM_OK;
    }
    eg_write_bytes(&c->pending, record->operations.data, record->operations.size);
    if (c->pending.failed)
        return no_memory(error);
    if (record->state == EG_RECORD_PENDING)
        return ENGRAM_OK;
    engram_status status =
        replay_transaction(c, record, (eg_view){c->pending.data, c->pending.size}, error);
    eg_buffer_clear(&c->pending);
    return status;
}

/* ---- opening the parts ---- */

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
    eg_root *tree = NULL;
    if (status == ENGRAM_OK)
        status = eg_root_open(e->nodes, c->catalog, &e->catalog, error);
    if (status == ENGRAM_OK)
        status = eg_root_open(e->nodes, c->tree, &tree, error);
    EG_TRY(status);
    eg_published *published = eg_published_create(c->version, c->time_ns, tree);
    if (published == NULL) {
        eg_root_release(tree);
        return no_memory(error);
    }
    e->assigned = eg_root_retain(tree);
    eg_publication_set(&e->newest, published);
    return ENGRAM_OK;
}

static engram_status open_store(eg_engram *e, engram_error *error)
{
    char *path = eg_path_join(e->dir, "segments");
    if (path == NULL)
        return no_memory(error);
    eg_store_options options = {.read_only = e->options.read_only,
                                .dedup = !e->options.read_only,
                                .segment_size = e->options.segment_size};
    engram_status status =
        eg_store_open(e->io, path, e->segments, e->segment_count, &options, &e->store, error);
    eg_free(path);
    return status;
}

/* Counts the segments that recovery wrote anew. */
static engram_status count_rewritten(eg_engram *e, engram_error *error)
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
    eg_free(states);
    return ENGRAM_OK;
}

uint64_t eg_engram_journal_file_size(const eg_engram *e)
{
    const uint64_t most = (uint64_t)64 << 20;
    uint64_t size = e->options.journal_size;
    if (e->options.journal_file_size != 0)
        return e->options.journal_file_size;
    return size != 0 && size < most ? size : most;
}

static engram_status start_writing(eg_engram *e, const char *journal_dir, const eg_journal_end *end,
                                   engram_error *error)
{
    EG_TRY(count_rewritten(e, error));
    EG_TRY(eg_journal_open(e->io, journal_dir, end,
                           &(eg_journal_options){.file_size = eg_engram_journal_file_size(e)}, &e->journal,
                           error));
    if (e->recovery.segments_rewritten != 0)
        eg_log(EG_LOG_INFO, "%s: %" PRIu64 " segments that were not sealed were copied anew", e->dir,
               e->recovery.segments_rewritten);
    bool clean = e->manifest.clean && e->recovery.records == 0 && end->torn == 0 &&
                 e->recovery.segments_rewritten == 0;
    if (!clean) {
        EG_TRY(eg_engram_checkpoint(e, error));
        eg_log(EG_LOG_INFO, "%s: checkpoint %" PRIu64 " holds what was recovered", e->dir,
               e->manifest.checkpoint);
    } else {
        eg_engram_sweep(e);
    }
    return eg_engram_check_writable(e, error);
}

static engram_status load_checkpoint(eg_engram *e, eg_checkpoint *c, engram_error *error)
{
    EG_TRY(eg_checkpoint_read(e->io, e->dir, e->manifest.checkpoint, c, e->bundle, error));
    e->replay_start = c->journal;
    e->recovery.checkpoint = e->manifest.checkpoint;
    e->recovery.checkpoint_version = c->version;
    e->assigned_version = c->version;
    e->assigned_time_ns = c->time_ns;
    e->transaction_next = c->transaction_next;
    e->chunk_next = c->chunk_next;
    atomic_store(&e->inode_next, c->inode_next);
    e->segment_count = e->segment_capacity = e->manifest.segment_count;
    e->segments = eg_memdup(e->manifest.segments, (e->segment_count + 1) * sizeof *e->segments);
    return e->segments == NULL ? no_memory(error) : ENGRAM_OK;
}

static void log_replay(const eg_engram *e)
{
    const eg_recovery *r = &e->recovery;
    if (r->records != 0)
        eg_log(EG_LOG_INFO,
               "%s: replayed %" PRIu64 " journal records: %" PRIu64 " transactions, %" PRIu64
               " chunks; now at version %" PRIu64,
               e->dir, r->records, r->transactions, r->chunks, e->assigned_version);
    if (r->torn_bytes != 0)
        eg_log(EG_LOG_INFO, "%s: the journal ends in %" PRIu64 " bytes that were never whole", e->dir,
               r->torn_bytes);
}

static engram_status replay(eg_engram *e, const char *journal_dir, const eg_checkpoint *checkpoint,
                            uint64_t durable, uint64_t end, eg_view named, engram_error *error)
{
    replay_context c = {.engram = e,
                        .end = end,
                        .named = named,
                        .many = end - checkpoint->journal.sequence > MANY_RECORDS};
    eg_journal_end now;
    engram_status status = eg_journal_read(e->io, journal_dir, checkpoint->journal, durable,
                                           replay_record, &c, &now, error);
    if (status == ENGRAM_OK) /* a crash may have cut the end off a group */
        status = end_group(&c, error);
    eg_store_raise_next_id(e->store, e->chunk_next); /* only now: records bring chunks below it */
    replay_fini(&c);
    return status;
}

static engram_status scan_and_replay(eg_engram *e, const char *journal_dir, const eg_checkpoint *c,
                                     eg_journal_end *end, engram_error *error)
{
    uint64_t durable = e->manifest.clean && e->manifest.clean_end.sequence != 0
                           ? e->manifest.clean_end.sequence - 1
                           : 0;
    scan_context scan = {.engram = e};
    engram_status status =
        eg_journal_read(e->io, journal_dir, c->journal, durable, scan_record, &scan, end, error);
    if (scan.named.size != 0)
        qsort(scan.named.data, scan.named.size / 8, 8, compare_numbers);
    if (status == ENGRAM_OK)
        status = open_nodes(e, c, error);
    if (status == ENGRAM_OK)
        status = open_store(e, error);
    if (status == ENGRAM_OK)
        status = replay(e, journal_dir, c, durable, end->sequence,
                        (eg_view){scan.named.data, scan.named.size}, error);
    eg_buffer_fini(&scan.pending);
    eg_buffer_fini(&scan.named);
    return status;
}

static engram_status recover_from(eg_engram *e, const char *journal_dir, engram_error *error)
{
    eg_checkpoint c;
    eg_journal_end end = {0};
    if (!e->options.read_only) /* before a new segment can have the number of one that is to go */
        EG_TRY(eg_quarantine_finish(e->io, e->dir, &e->manifest, error));
    EG_TRY(load_checkpoint(e, &c, error));
    eg_log(EG_LOG_INFO, "%s: checkpoint %" PRIu64 ", version %" PRIu64 ", journal from file %" PRIu64,
           e->dir, e->manifest.checkpoint, c.version, c.journal.file);
    EG_TRY(scan_and_replay(e, journal_dir, &c, &end, error));
    atomic_store(&e->bundle_version, e->assigned_version);
    e->recovery.torn_bytes = end.torn;
    log_replay(e);
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
