/* Commits and checkpoints.
 *
 * A commit: 1. apply the operations to an edit (this validates them) and count the root bundle; 2.
 * sync the chunks; 3. append the record, with the root's hash, and sync it: committed; 4. publish
 * the edit. A failure in 1 leaves no trace; one in 2 or 3 is final for the writer, since nobody
 * knows what the disk kept.
 *
 * A checkpoint: 1. flush the trees of the labelled versions, the catalog and the newest version;
 * sync them;
 * 2. let the journal start a new file; 3. write the checkpoint file; 4. replace MANIFEST.json: from
 * here a restart begins at the new place; 5. remove what only the old one needed. */
#include <xxhash.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { DIRTY_SIZE = 32 << 20, COUNT_BATCH = 1024 };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory committing");
}

static eg_segment_state *find_segment(eg_engram *e, uint64_t id)
{
    for (size_t i = e->segment_count; i > 0; i--)
        if (e->segments[i - 1].id == id)
            return &e->segments[i - 1];
    return NULL;
}

static engram_status note_segment(eg_engram *e, eg_reader in, engram_error *error)
{
    eg_segment_state state = {.id = eg_read_u64(&in)};
    state.chunk_count = eg_read_u64(&in);
    state.payload_size = eg_read_u64(&in);
    state.level = eg_read_u8(&in);
    uint64_t last = e->segment_count != 0 ? e->segments[e->segment_count - 1].id : 0;
    eg_segment_state *known = find_segment(e, state.id);
    if (in.failed || (known == NULL && state.id <= last))
        return eg_fail(error, ENGRAM_INVALID, "malformed segment operation");
    if (known != NULL) {
        *known = state;
        return ENGRAM_OK;
    }
    if (!eg_grow((void **)&e->segments, &e->segment_capacity, e->segment_count + 1,
                 sizeof *e->segments))
        return no_memory(error);
    e->segments[e->segment_count++] = state;
    return ENGRAM_OK;
}

engram_status eg_engram_note_segments(eg_engram *engram, eg_view operations, engram_error *error)
{
    eg_reader in = eg_reader_make(operations.data, operations.size);
    eg_op op;
    while (eg_op_next(&in, &op)) {
        if (op.tag == EG_OP_SEGMENT)
            EG_TRY(note_segment(engram, eg_reader_make(op.body.data, op.body.size), error));
        if (op.tag == EG_OP_WRITE_CHUNK && eg_get_u64(op.body.data) >= engram->chunk_next)
            engram->chunk_next = eg_get_u64(op.body.data) + 1;
    }
    return in.failed ? eg_fail(error, ENGRAM_INVALID, "malformed operation in a transaction")
                     : ENGRAM_OK;
}

static engram_status count_list(eg_engram *e, const eg_ids *list, int sign, engram_error *error)
{
    uint8_t *vectors = eg_alloc_aligned(64, (size_t)COUNT_BATCH * ENGRAM_BLOCKS);
    engram_status status = vectors == NULL ? no_memory(error) : ENGRAM_OK;
    for (size_t i = 0; i < list->count && status == ENGRAM_OK;) {
        size_t n = 0;
        for (; n < COUNT_BATCH && i + n < list->count && status == ENGRAM_OK; n++)
            status =
                eg_store_get_vector(e->store, list->ids[i + n], vectors + n * ENGRAM_BLOCKS, error);
        if (status == ENGRAM_OK) {
            pthread_mutex_lock(&e->publish_lock);
            e->kernels.bundle(e->bundle->counters, vectors, n, sign);
            e->bundle->count += (uint64_t)((int64_t)n * sign);
            pthread_mutex_unlock(&e->publish_lock);
        }
        i += n;
    }
    eg_free(vectors);
    return status;
}

engram_status eg_engram_count_root(eg_engram *engram, const eg_ids *live, const eg_ids *dead,
                                   engram_error *error)
{
    EG_TRY(count_list(engram, live, 1, error));
    return count_list(engram, dead, -1, error);
}

void eg_engram_hash_root(const eg_engram *engram, uint8_t hash[32])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(
        &canonical, XXH3_128bits(engram->bundle->counters, sizeof engram->bundle->counters));
    memset(hash, 0, 32);
    memcpy(hash, canonical.digest, sizeof canonical.digest);
}

static engram_status retain(eg_engram *e, eg_root *root, eg_apply *apply, engram_error *error)
{
    if (!eg_grow((void **)&e->retained, &e->retained_capacity, e->retained_count + 1,
                 sizeof *e->retained))
        return no_memory(error);
    char *label = eg_memdup(apply->label.data, apply->label.size);
    if (label == NULL)
        return no_memory(error);
    e->retained[e->retained_count++] = (eg_retained){
        apply->version, apply->time_ns, eg_root_retain(root), label, apply->label.size};
    return ENGRAM_OK;
}

engram_status eg_engram_publish(eg_engram *engram, eg_edit **edit, eg_apply *apply,
                                engram_error *error)
{
    eg_root *root = NULL;
    EG_TRY(eg_edit_finish(edit, &root, error));
    pthread_mutex_lock(&engram->publish_lock);
    engram_status status = apply->labelled ? retain(engram, root, apply, error) : ENGRAM_OK;
    eg_root *old = engram->root;
    engram->root = root;
    engram->version = apply->version;
    engram->time_ns = apply->time_ns;
    pthread_mutex_unlock(&engram->publish_lock);
    eg_root_release(old);
    if (apply->totals.next_inode >
        atomic_load(&engram->inode_next)) /* replay; a commit has drawn from it already */
        atomic_store(&engram->inode_next, apply->totals.next_inode);
    return status;
}

/* Steps 2 and 3. */
static engram_status make_durable(eg_engram *e, eg_buffer *ops, uint64_t time_ns,
                                  engram_error *error)
{
    uint8_t hash[32];
    uint64_t sequence;
    eg_engram_hash_root(e, hash);
    eg_ops_update_root(ops, hash);
    if (ops->failed)
        return no_memory(error);
    EG_TRY(eg_store_sync(e->store, error));
    EG_TRY(eg_journal_append(e->journal, e->transaction_next++, time_ns,
                             (eg_view){ops->data, ops->size}, &sequence, error));
    EG_TRY(eg_journal_flush(e->journal, error));
    e->syncs++;
    return eg_journal_sync(e->journal, error);
}

static engram_status commit_edit(eg_engram *e, eg_edit **edit, eg_buffer *ops, engram_error *error)
{
    eg_apply apply;
    uint64_t now = eg_clock_wall_ns();
    engram_status status = eg_apply_init(&apply, *edit, e->version + 1, now, error);
    if (status == ENGRAM_OK)
        status = eg_apply_run(&apply, (eg_view){ops->data, ops->size}, error);
    if (status == ENGRAM_OK)
        status = eg_apply_finish(&apply, error);
    if (status == ENGRAM_OK)
        status = eg_engram_count_root(e, &apply.live, &apply.dead, error);
    if (status == ENGRAM_OK) {
        status = make_durable(e, ops, now, error);
        if (status == ENGRAM_OK)
            status = eg_engram_note_segments(e, (eg_view){ops->data, ops->size}, error);
        if (status == ENGRAM_OK)
            status = eg_engram_publish(e, edit, &apply, error);
        if (status != ENGRAM_OK) {
            eg_engram_count_root(e, &apply.dead, &apply.live, NULL);
            e->failed = status;
        }
    }
    eg_apply_fini(&apply);
    return status;
}

static engram_status commit_locked(eg_engram *e, eg_buffer *ops, uint64_t *number,
                                   engram_error *error)
{
    eg_edit *edit = NULL;
    if (e->options.read_only)
        return eg_fail(error, ENGRAM_INVALID, "%s is open read-only", e->dir);
    if (e->failed != ENGRAM_OK)
        return eg_fail(error, e->failed, "%s takes no commits since one failed (%s): open it again",
                       e->dir, engram_status_name(e->failed));
    EG_TRY(eg_edit_begin(e->root, &edit, error));
    engram_status status = commit_edit(e, &edit, ops, error);
    eg_edit_abort(&edit);
    EG_TRY(status);
    if (number != NULL)
        *number = e->version;
    uint64_t journal_max = e->options.journal_size != 0 ? e->options.journal_size : 64 << 20;
    uint64_t dirty_max = e->options.dirty_size != 0 ? e->options.dirty_size : DIRTY_SIZE;
    if (eg_journal_size(e->journal) > journal_max || eg_root_dirty_size(e->root) > dirty_max)
        return eg_engram_checkpoint_locked(e, error);
    return ENGRAM_OK;
}

engram_status eg_engram_commit(eg_engram *engram, eg_buffer *ops, uint64_t *number,
                               engram_error *error)
{
    if (ops->failed)
        return no_memory(error);
    pthread_mutex_lock(&engram->commit_lock);
    engram_status status = commit_locked(engram, ops, number, error);
    pthread_mutex_unlock(&engram->commit_lock);
    return status;
}

/* Puts the labelled versions into the catalog; *catalog is the new one. */
static engram_status flush_retained(eg_engram *e, eg_root **catalog, engram_error *error)
{
    eg_edit *edit = NULL;
    eg_buffer value = {0};
    EG_TRY(eg_edit_begin(e->catalog, &edit, error));
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < e->retained_count && status == ENGRAM_OK; i++) {
        eg_retained *r = &e->retained[i];
        eg_node_ref ref;
        status = eg_root_flush(r->root, &ref, error);
        if (status != ENGRAM_OK)
            break;
        eg_buffer_clear(&value);
        eg_write_u64(&value, r->time_ns);
        eg_write_u64(&value, ref.address);
        eg_write_u32(&value, ref.size);
        eg_write_bytes(&value, r->label, r->label_size);
        eg_key key = eg_key_inode(r->number);
        key.bytes[0] = 'V';
        status = value.failed ? no_memory(error)
                              : eg_edit_put(edit, eg_key_view(&key),
                                            (eg_view){value.data, value.size}, error);
    }
    eg_buffer_fini(&value);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, catalog, error);
    eg_edit_abort(&edit);
    return status;
}

/* Step 1: everything of the trees on disk; fills the references of c. */
static engram_status flush_trees(eg_engram *e, eg_checkpoint *c, engram_error *error)
{
    eg_root *catalog = NULL;
    EG_TRY(flush_retained(e, &catalog, error));
    engram_status status = eg_root_flush(catalog, &c->catalog, error);
    eg_root_release(catalog);
    EG_TRY(status);
    EG_TRY(eg_root_flush(e->root, &c->tree, error));
    c->nodes_end = eg_nodes_end(e->nodes);
    return eg_nodes_sync(e->nodes, error);
}

/* Lets readers and the next commits go on from the flushed trees, so that the edited nodes' memory
 * returns. */
static engram_status adopt_flushed(eg_engram *e, const eg_checkpoint *c, engram_error *error)
{
    eg_root *root = NULL, *catalog = NULL;
    EG_TRY(eg_root_open(e->nodes, c->tree, &root, error));
    engram_status status = eg_root_open(e->nodes, c->catalog, &catalog, error);
    if (status != ENGRAM_OK) {
        eg_root_release(root);
        return status;
    }
    pthread_mutex_lock(&e->publish_lock);
    eg_root *old_root = e->root, *old_catalog = e->catalog;
    e->root = root;
    e->catalog = catalog;
    size_t count = e->retained_count;
    e->retained_count = 0;
    pthread_mutex_unlock(&e->publish_lock);
    for (size_t i = 0; i < count; i++) {
        eg_root_release(e->retained[i].root);
        eg_free(e->retained[i].label);
    }
    eg_root_release(old_root);
    eg_root_release(old_catalog);
    return ENGRAM_OK;
}

/* Steps 3 and 4. */
static engram_status switch_to(eg_engram *e, const eg_checkpoint *c, engram_error *error)
{
    uint64_t number = e->manifest.checkpoint + 1;
    EG_TRY(eg_checkpoint_write(e->io, e->dir, number, c, e->bundle, error));
    eg_segment_state *segments = eg_memdup(e->segments, (e->segment_count + 1) * sizeof *segments);
    if (segments == NULL)
        return no_memory(error);
    eg_manifest next = e->manifest;
    next.checkpoint = number;
    next.segments = segments;
    next.segment_count = e->segment_count;
    next.clean = false;
    engram_status status = eg_manifest_write(e->io, e->dir, &next, error);
    if (status != ENGRAM_OK) {
        eg_free(segments);
        return status;
    }
    eg_free(e->manifest.segments);
    e->manifest = next;
    e->replay_start = c->journal;
    return ENGRAM_OK;
}

engram_status eg_engram_checkpoint_locked(eg_engram *e, engram_error *error)
{
    if (e->failed != ENGRAM_OK)
        return eg_fail(error, e->failed,
                       "%s takes no checkpoints since a commit failed: open it again", e->dir);
    if (!eg_grow((void **)&e->segments, &e->segment_capacity, e->segment_count + 1,
                 sizeof *e->segments))
        return no_memory(error);
    eg_checkpoint c = {.version = e->version,
                       .time_ns = e->time_ns,
                       .transaction_next = e->transaction_next,
                       .inode_next = atomic_load(&e->inode_next),
                       .chunk_next = e->chunk_next};
    engram_status status = flush_trees(e, &c, error);
    if (status == ENGRAM_OK)
        status = eg_journal_rotate(e->journal, &c.journal, error);
    if (status == ENGRAM_OK)
        status = switch_to(e, &c, error);
    if (status == ENGRAM_OK)
        status = adopt_flushed(e, &c, error);
    if (status != ENGRAM_OK) {
        e->failed = status;
        return status;
    }
    eg_engram_sweep(e);
    return ENGRAM_OK;
}

engram_status eg_engram_checkpoint(eg_engram *engram, engram_error *error)
{
    pthread_mutex_lock(&engram->commit_lock);
    engram_status status = eg_engram_checkpoint_locked(engram, error);
    pthread_mutex_unlock(&engram->commit_lock);
    return status;
}
