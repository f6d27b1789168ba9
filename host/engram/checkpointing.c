/* Checkpoints, beside commits.
 *
 * 1. At a group boundary: the assigned tree, its root bundle and the counters are taken down, a merged
 * segment takes the place of the old ones in the store, and the journal starts a new file: it tells no extents of those. Commits go on; those up to here are waited for, since the catalog is made
 * of what is published. 2. The store is synced: what the records before the new file carry is durable
 * in segments. 3. The trees of the retained versions, the catalog and the
 * tree of 1 are flushed, and the node file synced. 4. The checkpoint file. 5. MANIFEST.json: from
 * here a restart begins at the new file. 6. What only the old one needed is removed.
 *
 * A failure anywhere is final for the writer: the journal has moved on, and nobody knows what the
 * disk kept. */
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

#define JOURNAL_SIZE (UINT64_C(256) << 20)
#define DIRTY_SIZE (UINT64_C(32) << 20)
enum { FAR = 4, INTERVAL_S = 300 };

typedef struct capture {
    eg_engram *engram;
    eg_merge *merge; /* to be adopted, or NULL */
    eg_checkpoint checkpoint;
    engram_bundle *bundle;
    eg_root *tree;
    eg_retained *retained; /* up to the captured version; roots retained */
    size_t retained_count;
    uint64_t *named;       /* versions that snapshots name */
    size_t named_count;
    eg_root *catalog;      /* the new one */
    uint64_t last;         /* highest number in it */
    eg_segment_state *segments;
    size_t segment_count;
} capture;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory making a checkpoint");
}

static void capture_fini(capture *c)
{
    for (size_t i = 0; i < c->retained_count; i++)
        eg_root_release(c->retained[i].root);
    eg_free(c->retained);
    eg_free(c->named);
    eg_free(c->segments);
    eg_root_release(c->tree);
    eg_root_release(c->catalog);
    eg_free(c->bundle);
}

/* ---- 1. at the boundary ---- */

static engram_status take_down(void *context, engram_error *error)
{
    capture *c = context;
    eg_engram *e = c->engram;
    c->checkpoint = (eg_checkpoint){.version = e->assigned_version,
                                    .time_ns = e->assigned_time_ns,
                                    .transaction_next = e->transaction_next,
                                    .inode_next = atomic_load(&e->inode_next),
                                    .chunk_next = eg_store_next_id(e->store)};
    c->tree = eg_root_retain(e->assigned);
    *c->bundle = *e->bundle;
    if (c->merge != NULL)
        EG_TRY(eg_merge_adopt(c->merge, error));
    EG_TRY(eg_journal_rotate(e->journal, &c->checkpoint.journal, error));
    atomic_store(&e->journal_bytes, 0);
    e->file_asked = 0;
    return ENGRAM_OK;
}

static engram_status at_boundary(capture *c, engram_error *error)
{
    eg_engram *e = c->engram;
    c->bundle = eg_alloc(sizeof *c->bundle);
    if (c->bundle == NULL)
        return no_memory(error);
    /* While opening nobody commits yet. */
    return e->group == NULL ? take_down(c, error)
                            : eg_group_at_boundary(e->group, take_down, c, error);
}

/* ---- 3. the trees ---- */

engram_status eg_engram_named_versions(eg_root *root, uint64_t **numbers, size_t *count,
                                       engram_error *error)
{
    eg_cursor *cursor = NULL;
    size_t capacity = 0;
    *numbers = NULL;
    *count = 0;
    EG_TRY(eg_cursor_open(root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"N", 1}, error);
    while (status == ENGRAM_OK && eg_cursor_key(cursor).data[0] == 'N') {
        if (!eg_grow((void **)numbers, &capacity, *count + 1, sizeof **numbers))
            status = no_memory(error);
        else if (eg_cursor_value(cursor).size == EG_SNAPSHOT_VALUE_SIZE)
            (*numbers)[(*count)++] = eg_get_u64(eg_cursor_value(cursor).data);
        if (status == ENGRAM_OK)
            status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static bool is_named(const capture *c, uint64_t number)
{
    for (size_t i = 0; i < c->named_count; i++)
        if (c->named[i] == number)
            return true;
    return false;
}

/* The retained versions up to the captured one; their roots are held while they are flushed. */
static engram_status copy_retained(capture *c, engram_error *error)
{
    eg_engram *e = c->engram;
    pthread_mutex_lock(&e->history_lock);
    c->retained = eg_alloc_zero(e->retained_count + 1, sizeof *c->retained);
    for (size_t i = 0; c->retained != NULL && i < e->retained_count; i++) {
        if (e->retained[i].number > c->checkpoint.version)
            break;
        c->retained[i] = e->retained[i];
        eg_root_retain(c->retained[i].root);
        c->retained_count++;
    }
    pthread_mutex_unlock(&e->history_lock);
    return c->retained == NULL ? no_memory(error) : ENGRAM_OK;
}

/* Everything that can be pinned: the catalog's entries, then the retained ones. */
typedef struct entries {
    eg_retention_entry *list;
    bool *drop;
    size_t count, capacity;
} entries;

static engram_status add_entry(entries *all, eg_retention_entry entry, engram_error *error)
{
    if (!eg_grow((void **)&all->list, &all->capacity, all->count + 1, sizeof *all->list))
        return no_memory(error);
    all->list[all->count++] = entry;
    return ENGRAM_OK;
}

static engram_status list_catalog(capture *c, entries *all, engram_error *error)
{
    eg_cursor *cursor = NULL;
    EG_TRY(eg_cursor_open(c->engram->catalog, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"V", 1}, error);
    while (status == ENGRAM_OK) {
        eg_view key = eg_cursor_key(cursor), value = eg_cursor_value(cursor);
        if (key.size != 9 || value.size < EG_CATALOG_FIXED) {
            status = eg_fail(error, ENGRAM_DAMAGED, "a catalog entry cannot be read");
            break;
        }
        uint64_t number = eg_get_be64(key.data + 1);
        eg_retention_entry entry = {.number = number,
                                    .time_ns = eg_get_u64(value.data),
                                    .keep = is_named(c, number),
                                    .labelled = value.size > EG_CATALOG_FIXED};
        status = add_entry(all, entry, error);
        if (status == ENGRAM_OK)
            status = eg_cursor_next(cursor, error);
    }
    eg_cursor_close(&cursor);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static engram_status put_retained(eg_edit *edit, const eg_retained *r, engram_error *error)
{
    eg_node_ref ref;
    eg_buffer value = {0};
    EG_TRY(eg_root_flush(r->root, &ref, error));
    eg_write_u64(&value, r->time_ns);
    eg_write_u64(&value, ref.address);
    eg_write_u32(&value, ref.size);
    eg_write_bytes(&value, r->label, r->label_size);
    eg_key key = eg_key_catalog(r->number);
    engram_status status =
        value.failed
            ? no_memory(error)
            : eg_edit_put(edit, eg_key_view(&key), (eg_view){value.data, value.size}, error);
    eg_buffer_fini(&value);
    return status;
}

/* The catalog without what the rules let go of, and with the retained versions they keep. */
static engram_status edit_catalog(capture *c, entries *all, eg_edit *edit, engram_error *error)
{
    EG_TRY(list_catalog(c, all, error));
    size_t old = all->count;
    for (size_t i = 0; i < c->retained_count; i++) {
        const eg_retained *r = &c->retained[i];
        eg_retention_entry entry = {.number = r->number,
                                    .time_ns = r->time_ns,
                                    .keep = is_named(c, r->number),
                                    .labelled = r->label_size != 0};
        EG_TRY(add_entry(all, entry, error));
    }
    all->drop = eg_alloc_zero(all->count + 1, sizeof *all->drop);
    if (all->drop == NULL)
        return no_memory(error);
    uint64_t wall_ns = eg_clock_wall_ns(), newest_ns = c->checkpoint.time_ns; /* versions age though nobody commits */
    eg_retention_apply(&c->engram->manifest.retention, wall_ns > newest_ns ? wall_ns : newest_ns,
                       all->list, all->count, all->drop);
    for (size_t i = 0; i < all->count; i++) {
        eg_key key = eg_key_catalog(all->list[i].number);
        if (i < old && all->drop[i])
            EG_TRY(eg_edit_remove(edit, eg_key_view(&key), error));
        if (i >= old && !all->drop[i])
            EG_TRY(put_retained(edit, &c->retained[i - old], error));
    }
    return ENGRAM_OK;
}

static engram_status make_catalog(capture *c, engram_error *error)
{
    eg_edit *edit = NULL;
    entries all = {0};
    EG_TRY(eg_engram_named_versions(c->tree, &c->named, &c->named_count, error));
    EG_TRY(copy_retained(c, error));
    EG_TRY(eg_edit_begin(c->engram->catalog, &edit, error));
    engram_status status = edit_catalog(c, &all, edit, error);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, &c->catalog, error);
    eg_edit_abort(&edit);
    eg_free(all.list);
    eg_free(all.drop);
    return status;
}

static engram_status flush_trees(capture *c, engram_error *error)
{
    EG_TRY(make_catalog(c, error));
    EG_TRY(eg_root_flush(c->catalog, &c->checkpoint.catalog, error));
    EG_TRY(eg_root_flush(c->tree, &c->checkpoint.tree, error));
    c->checkpoint.nodes_end = eg_nodes_end(c->engram->nodes);
    return eg_nodes_sync(c->engram->nodes, error);
}

/* ---- 4. and 5. ---- */

static engram_status switch_to(capture *c, engram_error *error)
{
    eg_engram *e = c->engram;
    eg_manifest next = e->manifest;
    next.checkpoint++;
    next.segments = c->segments;
    next.segment_count = c->segment_count;
    next.clean = false;
    next.state = c->checkpoint;
    EG_TRY(eg_checkpoint_write(e->io, e->dir, next.checkpoint, &c->checkpoint, c->bundle, &next,
                               error));
    EG_TRY(eg_manifest_write(e->io, e->dir, &next, error));
    eg_free(e->manifest.segments);
    eg_manifest_follow(&e->manifest, &next);
    c->segments = NULL;
    e->replay_start = c->checkpoint.journal;
    return ENGRAM_OK;
}

/* Pinning goes through the catalog now; what was flushed leaves memory as edits go on. */
static void adopt(capture *c)
{
    eg_engram *e = c->engram;
    pthread_mutex_lock(&e->history_lock);
    eg_root *old = e->catalog;
    e->catalog = c->catalog;
    c->catalog = old;
    size_t gone = 0;
    while (gone < e->retained_count && e->retained[gone].number <= c->checkpoint.version) {
        eg_root_release(e->retained[gone].root);
        eg_free(e->retained[gone].label);
        gone++;
    }
    e->retained_count -= gone;
    if (gone != 0 && e->retained_count != 0)
        memmove(e->retained, e->retained + gone, e->retained_count * sizeof *e->retained);
    pthread_mutex_unlock(&e->history_lock);
}

static engram_status run(capture *c, engram_error *error)
{
    eg_engram *e = c->engram;
    EG_TRY(at_boundary(c, error));
    if (e->group != NULL) /* versions up to the captured one are in the list of retained ones */
        EG_TRY(eg_group_drain(e->group, error));
    EG_TRY(eg_store_sync(e->store, error));
    EG_TRY(eg_store_get_synced_states(e->store, &c->segments, &c->segment_count, error));
    EG_TRY(flush_trees(c, error));
    EG_TRY(switch_to(c, error));
    adopt(c);
    atomic_fetch_add(&e->checkpoints, 1);
    eg_engram_sweep(e);
    return ENGRAM_OK;
}

static engram_status checkpoint_locked(eg_engram *e, eg_merge *merge, engram_error *error)
{
    capture c = {.engram = e, .merge = merge};
    EG_TRY(eg_engram_check_writable(e, error));
    engram_status status = run(&c, error);
    if (status != ENGRAM_OK)
        eg_engram_fail(e, status);
    capture_fini(&c);
    return status;
}

engram_status eg_engram_checkpoint_adopting(eg_engram *engram, eg_merge *merge, engram_error *error)
{
    pthread_mutex_lock(&engram->checkpoint_lock);
    engram_status status = checkpoint_locked(engram, merge, error);
    pthread_mutex_unlock(&engram->checkpoint_lock);
    return status;
}

engram_status eg_engram_checkpoint(eg_engram *engram, engram_error *error)
{
    return eg_engram_checkpoint_adopting(engram, NULL, error);
}

/* ---- when ---- */

bool eg_checkpoint_due(eg_engram *e, bool far)
{
    uint64_t journal = e->options.journal_size != 0 ? e->options.journal_size : JOURNAL_SIZE;
    uint64_t dirty = e->options.dirty_size != 0 ? e->options.dirty_size : DIRTY_SIZE;
    uint64_t factor = far ? FAR : 1;
    return atomic_load(&e->journal_bytes) > journal * factor ||
           eg_nodes_unwritten_size(e->nodes) > dirty * factor;
}

static void deadline(struct timespec *at, uint32_t seconds)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += seconds;
}

static void do_checkpoint(eg_engram *e)
{
    engram_error error = {0};
    if (atomic_load(&e->failed) != ENGRAM_OK)
        return;
    if (eg_engram_checkpoint(e, &error) == ENGRAM_OK)
        eg_compactor_ask(e);
    else
        eg_log(EG_LOG_WARNING, "%s: a checkpoint failed: %s", e->dir, error.message);
}

/* Without room for one the journal makes do with less when it comes to it. */
static void prepare_file(eg_engram *e)
{
    engram_error error = {0};
    engram_status status = ENGRAM_OK;
    if (atomic_load(&e->failed) == ENGRAM_OK)
        status = eg_journal_prepare(e->journal, &error);
    if (status == ENGRAM_OK || status == ENGRAM_NO_SPACE)
        return;
    eg_engram_fail(e, status); /* what is final for the journal is so for all */
    eg_log(EG_LOG_WARNING, "%s: no journal file was prepared: %s", e->dir, error.message);
}

/* Readers that have closed since the last sweep leave space to return. */
static void sweep_again(eg_engram *e)
{
    pthread_mutex_lock(&e->checkpoint_lock);
    if (e->held_back)
        eg_engram_sweep(e);
    pthread_mutex_unlock(&e->checkpoint_lock);
}

static void *checkpointer_main(void *context)
{
    eg_engram *e = context;
    eg_checkpointer *c = &e->checkpointer;
    uint32_t interval = e->options.checkpoint_s != 0 ? e->options.checkpoint_s : INTERVAL_S;
    uint64_t seen = atomic_load(&e->commits);
    struct timespec until;
    deadline(&until, interval);
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        int waited = 0;
        while (!c->wanted && !c->prepare && !c->stop && waited == 0)
            waited = pthread_cond_timedwait(&c->wake, &c->lock, &until);
        if (c->stop)
            break;
        bool wanted = c->wanted, prepare = c->prepare;
        c->wanted = c->prepare = false;
        pthread_mutex_unlock(&c->lock);
        if (prepare)
            prepare_file(e);
        if ((wanted && eg_checkpoint_due(e, false)) ||
            (waited != 0 && atomic_load(&e->commits) != seen)) {
            seen = atomic_load(&e->commits);
            do_checkpoint(e);
            deadline(&until, interval);
        } else if (waited != 0) {
            if (atomic_load(&e->failed) == ENGRAM_OK)
                sweep_again(e);
            deadline(&until, interval);
        }
        pthread_mutex_lock(&c->lock);
        c->finished++;
        pthread_cond_broadcast(&c->done);
    }
    c->finished++;
    pthread_cond_broadcast(&c->done);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

engram_status eg_checkpointer_start(eg_engram *e, engram_error *error)
{
    eg_checkpointer *c = &e->checkpointer;
    if (e->options.by_hand)
        return ENGRAM_OK;
    int failed = pthread_create(&c->thread, NULL, checkpointer_main, e);
    if (failed != 0)
        return eg_fail_os(error, failed, "cannot start the thread that makes checkpoints");
    c->started = true;
    return ENGRAM_OK;
}

void eg_checkpointer_stop(eg_engram *e)
{
    eg_checkpointer *c = &e->checkpointer;
    if (!c->started)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->started = false;
}

static void ask(eg_engram *e, bool *what)
{
    eg_checkpointer *c = &e->checkpointer;
    pthread_mutex_lock(&c->lock);
    if (!*what) {
        *what = true;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
}

void eg_checkpointer_ask(eg_engram *e)
{
    ask(e, &e->checkpointer.wanted);
}

void eg_checkpointer_ask_file(eg_engram *e)
{
    if (e->checkpointer.started)
        ask(e, &e->checkpointer.prepare);
}

void eg_checkpointer_wait(eg_engram *e)
{
    eg_checkpointer *c = &e->checkpointer;
    pthread_mutex_lock(&c->lock);
    uint64_t finished = c->finished;
    while (c->finished == finished && !c->stop && atomic_load(&e->failed) == ENGRAM_OK)
        pthread_cond_wait(&c->done, &c->lock);
    pthread_mutex_unlock(&c->lock);
}
