/* Repair: the journal.
 *
 * Read twice, as recovery does: what it says of segments, and then the transactions. Where recovery would
 * refuse to go on, the log ends here; what lies behind is counted and goes to the quarantine with it. A
 * transaction that does not fit the tree any more, because that has lost what it changes, is left out as a
 * whole and named. A version for each group would be more than memory may hold: as at commit, every other one
 * goes when they are many, but for those that are labelled or named. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"
#include "journal/files.h"

/* Records of a transaction until its committed one. */
typedef struct gathering {
    uint64_t transaction;
    eg_buffer pending;
} gathering;

typedef engram_status whole_visit(void *context, const eg_record *last, eg_view operations,
                                  engram_error *error);

static engram_status gather(gathering *g, const eg_record *record, whole_visit *visit,
                            void *context, engram_error *error)
{
    if (record->transaction != g->transaction)
        eg_buffer_clear(&g->pending);
    g->transaction = record->transaction;
    if (record->state == EG_RECORD_COMMITTED && g->pending.size == 0)
        return visit(context, record, record->operations, error);
    if (record->state != EG_RECORD_COMMITTED && record->state != EG_RECORD_PENDING) {
        eg_buffer_clear(&g->pending);
        return ENGRAM_OK;
    }
    eg_write_bytes(&g->pending, record->operations.data, record->operations.size);
    if (g->pending.failed)
        return eg_repair_no_memory(error);
    if (record->state == EG_RECORD_PENDING)
        return ENGRAM_OK;
    engram_status status =
        visit(context, record, (eg_view){g->pending.data, g->pending.size}, error);
    eg_buffer_clear(&g->pending);
    return status;
}

static engram_status read_log(eg_repair *r, eg_journal_visit *visit, void *context,
                              eg_journal_end *end, engram_error *error)
{
    uint64_t durable = r->manifest.clean && r->manifest.clean_end.sequence != 0
                           ? r->manifest.clean_end.sequence - 1
                           : 0;
    char *dir = eg_path_join(r->dir, "journal");
    if (dir == NULL)
        return eg_repair_no_memory(error);
    engram_status status =
        eg_journal_read(r->io, dir, r->state.journal, durable, visit, context, end, error);
    eg_free(dir);
    return status;
}

/* ---- pass 1 ---- */

typedef struct scan_context {
    eg_repair *repair;
    gathering gathering;
} scan_context;

static engram_status note_segment(eg_repair *r, eg_reader in, engram_error *error)
{
    eg_segment_state state = {.id = eg_read_u64(&in)};
    state.chunk_count = eg_read_u64(&in);
    state.payload_size = eg_read_u64(&in);
    state.level = eg_read_u8(&in);
    for (size_t i = r->segment_count; i > 0 && !in.failed; i--)
        if (r->segments[i - 1].id == state.id) {
            if (state.chunk_count > r->segments[i - 1].chunk_count)
                r->segments[i - 1] = state;
            return ENGRAM_OK;
        }
    if (in.failed || state.id == 0)
        return eg_fail(error, ENGRAM_DAMAGED, "a journal record names an impossible segment");
    if (!eg_grow((void **)&r->segments, &r->segment_capacity, r->segment_count + 1,
                 sizeof *r->segments))
        return eg_repair_no_memory(error);
    size_t at = r->segment_count++;
    for (; at > 0 && r->segments[at - 1].id > state.id; at--)
        r->segments[at] = r->segments[at - 1];
    r->segments[at] = state;
    return ENGRAM_OK;
}

static engram_status scan_whole(void *context, const eg_record *last, eg_view operations,
                                engram_error *error)
{
    eg_repair *r = context;
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op)) {
        if (!eg_apply_knows(op.tag)) /* refused before anything is changed */
            return eg_fail(error, ENGRAM_NEWER,
                           "%s: journal record %" PRIu64
                           ": operation %u is not known to this version of engram",
                           r->dir, last->sequence, op.tag);
        if (op.tag == EG_OP_SEGMENT)
            EG_TRY(note_segment(r, eg_reader_make(op.body.data, op.body.size), error));
        bool has_id = op.tag == EG_OP_WRITE_CHUNK || (op.tag == EG_OP_CHUNK && op.body.size >= 8);
        if (has_id && eg_get_u64(op.body.data) >= r->chunk_next)
            r->chunk_next = eg_get_u64(op.body.data) + 1;
        if (op.tag == EG_OP_SNAPSHOT && op.body.size >= 8 && eg_get_u64(op.body.data) != 0)
            eg_write_bytes(&r->named, op.body.data, 8);
    }
    if (r->named.failed)
        return eg_repair_no_memory(error);
    return in.failed ? eg_fail(error, ENGRAM_DAMAGED, "a journal record holds a malformed operation")
                     : ENGRAM_OK;
}

static engram_status scan_record(void *context, const eg_record *record, engram_error *error)
{
    scan_context *c = context;
    if (record->transaction >= c->repair->transaction_next)
        c->repair->transaction_next = record->transaction + 1;
    return gather(&c->gathering, record, scan_whole, c->repair, error);
}

static engram_status find_rest(eg_repair *r, eg_journal_rest *rest, engram_error *error)
{
    char *dir = eg_path_join(r->dir, "journal");
    engram_error inner = {0};
    if (dir == NULL)
        return eg_repair_no_memory(error);
    engram_status status = eg_journal_find_rest(r->io, dir, &r->end, rest, &inner);
    eg_free(dir);
    if (status == ENGRAM_NOT_FOUND) /* no such folder */
        return ENGRAM_OK;
    return status == ENGRAM_OK ? status : eg_fail(error, status, "%s", inner.message);
}

static engram_status move_files(eg_repair *r, const eg_journal_files *files, engram_error *error)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->numbers[i] >= r->state.journal.file)
            EG_TRY(eg_repair_move(r, error, "journal/%08" PRIu64 ".wal", files->numbers[i]));
    return ENGRAM_OK;
}

/* The whole log goes away: what is good of it will be in the checkpoint. */
static engram_status move_log(eg_repair *r, engram_error *error)
{
    eg_journal_files files = {0};
    engram_error inner = {0};
    char *dir = eg_path_join(r->dir, "journal");
    if (dir == NULL)
        return eg_repair_no_memory(error);
    engram_status status = eg_journal_files_list(&files, r->io, dir, &inner);
    if (status == ENGRAM_OK)
        status = move_files(r, &files, error);
    else if (status == ENGRAM_NOT_FOUND) /* no such folder */
        status = ENGRAM_OK;
    else
        eg_fail(error, status, "%s", inner.message);
    eg_journal_files_fini(&files);
    eg_free(dir);
    return status;
}

static void tell_damage(eg_repair *r, const eg_journal_rest *rest, const char *why)
{
    eg_repair_say(r, "%s; what comes before is replayed, the log goes to the quarantine", why);
    if (rest->records != 0)
        eg_repair_lose(r,
                       "journal: records %" PRIu64 " to %" PRIu64
                       " are lost, as some of them are missing; those that can be read hold %" PRIu64
                       " transactions",
                       r->end.sequence, rest->sequence_last, rest->commits);
    else
        eg_repair_lose(r, "journal: everything from record %" PRIu64 " on is lost",
                       r->end.sequence);
    r->done->transactions_lost += rest->commits;
}

/* No number that a lost record may have given out is given out again: somebody may know it. */
static void skip_numbers(eg_repair *r, const eg_journal_rest *rest)
{
    enum { VERSIONS = 1 << 20 }; /* where nothing tells */
    const uint64_t wide = UINT64_C(1) << 32;
    uint64_t last = rest->sequence_last;
    if (r->manifest.clean && r->manifest.clean_end.sequence > last)
        last = r->manifest.clean_end.sequence - 1;
    r->sequence_last = last;
    r->versions_lost = last >= r->end.sequence ? last - r->end.sequence + 1 : VERSIONS;
    r->chunk_next += wide;
    r->inode_next += wide;
    r->transaction_next += wide;
    if (rest->transaction_last >= r->transaction_next)
        r->transaction_next = rest->transaction_last + 1;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = eg_get_u64(a), y = eg_get_u64(b);
    return (x > y) - (x < y);
}

engram_status eg_repair_scan_journal(eg_repair *r, engram_error *error)
{
    scan_context c = {.repair = r};
    eg_journal_rest rest = {0};
    engram_error why = {0};
    engram_status status = read_log(r, scan_record, &c, &r->end, &why);
    eg_buffer_fini(&c.gathering.pending);
    if (status != ENGRAM_OK && status != ENGRAM_DAMAGED && status != ENGRAM_INVALID)
        return eg_fail(error, status, "%s", why.message);
    if (r->end.sequence == 0)
        r->end = (eg_journal_end){.file = r->state.journal.file, .sequence = r->state.journal.sequence};
    EG_TRY(find_rest(r, &rest, error));
    r->chunk_end = r->chunk_next;
    if (r->named.size != 0)
        qsort(r->named.data, r->named.size / 8, 8, compare_numbers);
    r->journal_last = rest.file_last > r->state.journal.file ? rest.file_last : r->state.journal.file;
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    r->broken = r->journal_is_bad = r->is_past = true;
    tell_damage(r, &rest, why.message);
    skip_numbers(r, &rest);
    return move_log(r, error);
}

/* ---- pass 2 ---- */

typedef struct replay_context {
    eg_repair *repair;
    gathering gathering;
    eg_root *root;
    uint64_t version, time_ns;
    size_t first;    /* of the versions made here */
    eg_buffer label; /* of the group at hand */
    bool in_group, keep;
    uint64_t left_out;
} replay_context;

static engram_status take_chunk(eg_repair *r, eg_view body, engram_error *error)
{
    uint64_t id;
    eg_new_chunk chunk;
    if (!eg_ops_read_chunk(body, &id, &chunk))
        return ENGRAM_OK; /* applying does without, and so does who reads it */
    chunk.id = id;
    if (id < eg_store_next_id(r->store))
        return eg_salvage_offer(r->salvage, &chunk, error);
    engram_error inner = {0};
    engram_status status = eg_store_append(r->store, &chunk, 1, &id, &inner);
    return status == ENGRAM_OK || status == ENGRAM_INVALID
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

static engram_status take_chunks(eg_repair *r, eg_view operations, engram_error *error)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op))
        if (op.tag == EG_OP_CHUNK)
            EG_TRY(take_chunk(r, op.body, error));
    return ENGRAM_OK;
}

/* One transaction on *root. */
static engram_status apply(replay_context *c, eg_view operations, eg_apply *a, engram_error *error)
{
    eg_edit *edit = NULL;
    eg_root *next = NULL;
    EG_TRY(eg_edit_begin(c->root, &edit, error));
    engram_status status = eg_apply_init(a, edit, c->version, c->time_ns, error);
    if (status == ENGRAM_OK)
        status = eg_apply_run(a, operations, error);
    if (status == ENGRAM_OK)
        status = eg_apply_finish(a, error);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, &next, error);
    eg_edit_abort(&edit);
    EG_TRY(status);
    eg_root_release(c->root);
    c->root = next;
    if (a->totals.next_inode > c->repair->inode_next)
        c->repair->inode_next = a->totals.next_inode;
    return ENGRAM_OK;
}

/* Every other one of those that nothing keeps goes, so that the rest stays spread over time. */
static void thin(replay_context *c)
{
    enum { LOOSE_MAX = 1024, LOOSE_MIN = 16, UNWRITTEN_MAX = 64 << 20 };
    eg_repair *r = c->repair;
    size_t loose = 0, left = c->first;
    bool drop = false;
    for (size_t i = c->first; i < r->version_count; i++)
        loose += !r->versions[i].keep;
    bool much = eg_nodes_unwritten_size(r->nodes) > UNWRITTEN_MAX;
    if (loose <= (much ? LOOSE_MIN : LOOSE_MAX))
        return;
    for (size_t i = c->first; i < r->version_count; i++) {
        drop = !r->versions[i].keep && !drop;
        if (drop)
            eg_repair_drop_version(&r->versions[i]);
        else
            r->versions[left++] = r->versions[i];
    }
    r->version_count = left;
}

/* Then a record that comes names it. */
static bool is_named(const eg_repair *r, uint64_t version)
{
    return r->named.size != 0 &&
           bsearch(&version, r->named.data, r->named.size / 8, 8, compare_numbers) != NULL;
}

static engram_status end_group(replay_context *c, engram_error *error)
{
    eg_repair *r = c->repair;
    thin(c);
    engram_status status =
        eg_repair_add_version(r, c->version, c->time_ns, eg_root_retain(c->root),
                              (eg_view){c->label.data, c->label.size}, error);
    if (status == ENGRAM_OK)
        r->versions[r->version_count - 1].keep |= c->keep || is_named(r, c->version);
    c->in_group = c->keep = false;
    eg_buffer_clear(&c->label);
    return status;
}

static void leave_out(replay_context *c, const char *why)
{
    eg_repair *r = c->repair;
    r->broken = r->journal_is_bad = true;
    r->done->transactions_lost++;
    c->left_out++;
    eg_repair_lose(r, "version %" PRIu64 ": its transaction cannot be applied any more: %s",
                   c->version, why);
}

static bool ends_group(eg_view operations, uint8_t hash[32])
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    bool found = false;
    while (eg_op_next(&in, &op))
        if (op.tag == EG_OP_UPDATE_ROOT) {
            memcpy(hash, op.body.data, 32);
            found = true;
        }
    return found;
}

static engram_status replay_whole(void *context, const eg_record *last, eg_view operations,
                                  engram_error *error)
{
    replay_context *c = context;
    eg_apply a = {0};
    engram_error why = {0};
    c->version++;
    c->time_ns = last->time_ns;
    c->in_group = true;
    EG_TRY(take_chunks(c->repair, operations, error));
    engram_status status = apply(c, operations, &a, &why);
    if (status == ENGRAM_OK && a.labelled) {
        eg_buffer_clear(&c->label);
        eg_write_bytes(&c->label, a.label.data, a.label.size);
    }
    c->keep |= status == ENGRAM_OK && a.keep;
    eg_apply_fini(&a);
    if (c->label.failed)
        return eg_repair_no_memory(error);
    if (status == ENGRAM_IO || status == ENGRAM_NO_MEMORY || status == ENGRAM_NEWER)
        return eg_fail(error, status, "%s", why.message);
    if (status != ENGRAM_OK)
        leave_out(c, why.message);
    if (!ends_group(operations, c->repair->hash)) { /* a crash may leave the beginning of a group */
        c->repair->has_hash = c->repair->has_bundle = false;
        return ENGRAM_OK;
    }
    c->repair->has_hash = true;
    return end_group(c, error);
}

static engram_status replay_record(void *context, const eg_record *record, engram_error *error)
{
    replay_context *c = context;
    if (record->sequence >= c->repair->end.sequence)
        return ENGRAM_OK;
    return gather(&c->gathering, record, replay_whole, c, error);
}

engram_status eg_repair_replay(eg_repair *r, engram_error *error)
{
    const eg_repair_version *base = &r->versions[r->version_count - 1];
    replay_context c = {.repair = r,
                        .root = eg_root_retain(base->root),
                        .first = r->version_count,
                        .version = base->number,
                        .time_ns = base->time_ns};
    eg_journal_end end;
    engram_error why = {0};
    engram_status status = read_log(r, replay_record, &c, &end, &why);
    bool is_end = (status == ENGRAM_DAMAGED || status == ENGRAM_INVALID) && r->journal_is_bad;
    if (status != ENGRAM_OK && !is_end)
        eg_fail(error, status, "%s", why.message);
    status = is_end ? ENGRAM_OK : status;
    if (status == ENGRAM_OK && c.in_group)
        status = end_group(&c, error);
    if (status == ENGRAM_OK)
        status = eg_salvage_settle(r->salvage, error);
    if (status == ENGRAM_OK && c.left_out != 0)
        status = move_log(r, error);
    eg_buffer_fini(&c.gathering.pending);
    eg_buffer_fini(&c.label);
    eg_root_release(c.root);
    return status;
}
