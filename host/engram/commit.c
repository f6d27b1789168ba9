/* Commits: what the group engine (journal/group.h) calls for an engram.
 *
 * take, for each transaction in the order of arrival: 1. what it read and wrote is held against the
 * tree as assigned so far, the edit of the group at hand; 2. its waiting chunks are appended to the
 * store, not synced, and its references get their ids; 3. its operations are applied to the edit.
 * A transaction that fails in 1 is refused; one that fails in 2 or 3 too, and the edit is made anew
 * from the transactions before it, since half of its operations may be in it.
 *
 * write: the group's records go to the journal: the first begins with the extents of segments that
 * were synced meanwhile, the last ends with the root's hash. A transaction names chunks of three
 * kinds: those in its own record; those that are durable in their segment, as an extent in a record
 * tells; those that a record before it carries. Chunks that large transactions and device batches
 * append are of the second kind once they are synced, which their own commit does before it comes
 * here. If deduplication found one that no record may carry and that no extent covers yet, such as
 * what a refused commit left, the store is synced first where it must be, and the extents go along.
 *
 * sync, then publish: the newest group that is durable becomes the newest version. The next group
 * is taken and written meanwhile, against what is assigned, not against what is published. A
 * failed write or sync is final: what follows was built on what may not be on disk. */
#include <xxhash.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { GROUP_OPS = 1024, GROUP_DELAY_US = 5000, COUNT_BATCH = 256, ROOM_FOR_ROOT = 64 };

typedef struct accepted {
    eg_commit *commit;
    size_t offset, size; /* its operations in lines */
    uint64_t time_ns;
} accepted;

typedef struct eg_taking {
    eg_edit *edit; /* NULL: the group is empty */
    eg_apply apply;
    accepted *list;
    size_t count, capacity;
    eg_buffer lines, first, scratch;
    uint64_t version; /* of the last accepted */
    uint64_t found_max;
    bool in_store;
} eg_taking;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory committing");
}

/* ---- the root ---- */

/* A chunk that was lost counts nothing, neither when its files come nor when they go. */
static engram_status get_vector(eg_engram *e, uint64_t id, uint8_t *vector, bool *counts,
                                engram_error *error)
{
    engram_status status = eg_store_get_vector(e->store, id, vector, NULL);
    *counts = status == ENGRAM_OK;
    if (status == ENGRAM_OK || (status == ENGRAM_NOT_FOUND && id < eg_store_next_id(e->store)))
        return ENGRAM_OK;
    *counts = true;
    return eg_store_get_vector(e->store, id, vector, error);
}

static engram_status count_list(eg_engram *e, engram_bundle *bundle, const eg_ids *list,
                                size_t from, size_t to, int sign, engram_error *error)
{
    _Alignas(64) uint8_t vectors[COUNT_BATCH * ENGRAM_BLOCKS];
    while (from < to) {
        size_t n = 0;
        for (; n < COUNT_BATCH && from < to; from++) {
            bool counts;
            EG_TRY(get_vector(e, list->ids[from], vectors + n * ENGRAM_BLOCKS, &counts, error));
            n += counts;
        }
        e->kernels.bundle(bundle->counters, vectors, n, sign);
        bundle->count += (uint64_t)((int64_t)n * sign);
    }
    return ENGRAM_OK;
}

engram_status eg_count_root(eg_engram *engram, engram_bundle *bundle, const eg_ids *live,
                            size_t live_from, const eg_ids *dead, size_t dead_from,
                            engram_error *error)
{
    uint8_t vector[ENGRAM_BLOCKS];
    bool counts;
    /* Every vector is looked at before the first is counted. */
    for (size_t i = live_from; i < live->count; i++)
        EG_TRY(get_vector(engram, live->ids[i], vector, &counts, error));
    for (size_t i = dead_from; i < dead->count; i++)
        EG_TRY(get_vector(engram, dead->ids[i], vector, &counts, error));
    EG_TRY(count_list(engram, bundle, live, live_from, live->count, 1, error));
    return count_list(engram, bundle, dead, dead_from, dead->count, -1, error);
}

void eg_hash_root(const engram_bundle *bundle, uint8_t hash[32])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits(bundle->counters, sizeof bundle->counters));
    memset(hash, 0, 32);
    memcpy(hash, canonical.digest, sizeof canonical.digest);
}

engram_status eg_engram_pin_counted(eg_engram *e, eg_version *version, engram_bundle *bundle,
                                    engram_error *error)
{
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&e->pending_lock);
    pthread_mutex_lock(&e->bundle_lock);
    *bundle = *e->bundle;
    if (e->taking != NULL && e->taking->edit != NULL)
        status = eg_count_root(e, bundle, &e->taking->apply.dead, 0, &e->taking->apply.live, 0,
                               error);
    for (eg_pending *p = e->pending; p != NULL && status == ENGRAM_OK; p = p->next)
        status = eg_count_root(e, bundle, &p->dead, 0, &p->live, 0, error);
    pthread_mutex_unlock(&e->bundle_lock);
    if (status == ENGRAM_OK)
        status = eg_engram_pin(e, version, error);
    pthread_mutex_unlock(&e->pending_lock);
    return status;
}

/* ---- failure ---- */

void eg_engram_fail(eg_engram *engram, engram_status status)
{
    int none = ENGRAM_OK;
    atomic_compare_exchange_strong(&engram->failed, &none, (int)status);
}

engram_status eg_engram_check_writable(eg_engram *e, engram_error *error)
{
    engram_status failed = (engram_status)atomic_load(&e->failed);
    if (e->options.read_only)
        return eg_fail(error, ENGRAM_INVALID, "%s is open read-only", e->dir);
    if (failed != ENGRAM_OK)
        return eg_fail(error, failed, "%s takes no commits since one failed (%s): open it again",
                       e->dir, engram_status_name(failed));
    return ENGRAM_OK;
}

/* ---- take ---- */

/* Under bundle_lock, as all that changes the group's edit, its lists and the bundle: whoever looks at the bundle
 * finds that it counts what the lists say. */
static engram_status begin_edit(eg_engram *e, eg_taking *t, engram_error *error)
{
    EG_TRY(eg_edit_begin(e->assigned, &t->edit, error));
    engram_status status =
        eg_apply_init(&t->apply, t->edit, e->assigned_version, e->assigned_time_ns, error);
    if (status != ENGRAM_OK) {
        eg_apply_fini(&t->apply);
        eg_edit_abort(&t->edit);
    }
    return status;
}

static void end_edit(eg_taking *t)
{
    if (t->edit != NULL)
        eg_apply_fini(&t->apply);
    eg_edit_abort(&t->edit);
}

/* A failed transaction leaves the lists as they are counted in the root bundle. */
static engram_status apply_line(eg_engram *e, eg_taking *t, const accepted *a, uint64_t version,
                                engram_error *error)
{
    size_t live = t->apply.live.count, dead = t->apply.dead.count;
    t->apply.version = version;
    t->apply.time_ns = a->time_ns;
    engram_status status =
        eg_apply_run(&t->apply, (eg_view){t->lines.data + a->offset, a->size}, error);
    if (status == ENGRAM_OK)
        status = eg_apply_finish(&t->apply, error);
    if (status == ENGRAM_OK)
        status = eg_count_root(e, e->bundle, &t->apply.live, live, &t->apply.dead, dead, error);
    if (status != ENGRAM_OK) { /* they were not counted: nothing to take back */
        t->apply.live.count = live;
        t->apply.dead.count = dead;
    }
    return status;
}

/* The edit holds a piece of a transaction that is not to be: makes it anew without. */
static engram_status rebuild(eg_engram *e, eg_taking *t, engram_error *error)
{
    engram_status status =
        eg_count_root(e, e->bundle, &t->apply.dead, 0, &t->apply.live, 0, error);
    end_edit(t);
    if (status == ENGRAM_OK && t->count != 0)
        status = begin_edit(e, t, error);
    for (size_t i = 0; i < t->count && status == ENGRAM_OK; i++)
        status = apply_line(e, t, &t->list[i], e->assigned_version + i + 1, error);
    return status;
}

static engram_status validate(eg_engram *e, eg_taking *t, eg_commit *c, engram_error *error)
{
    bool hold = !c->alone_on_base;
    if (c->checks == NULL || (t->count == 0 && c->base == e->assigned_version))
        return ENGRAM_OK;
    if (hold)
        EG_TRY(eg_checks_hold(c->checks, t->edit, c->only_written, &t->scratch, &hold,
                              &c->conflict, error));
    return hold ? ENGRAM_OK
                : eg_fail(error, ENGRAM_CONFLICT, "another commit changed what this one uses");
}

/* The operations of c, with real ids, behind the lines of those before it. */
static engram_status write_line(eg_taking *t, eg_commit *c, accepted *a, engram_error *error)
{
    if (c->stage != NULL) {
        EG_TRY(eg_stage_append(c->stage, t->version + 1, a->time_ns, error));
        eg_stage_resolve(c->stage, c->ops->data, c->ops->size);
    }
    a->offset = t->lines.size;
    if (c->stage != NULL) {
        eg_write_bytes(&t->lines, c->stage->chunk_ops.data, c->stage->chunk_ops.size);
        eg_stage_write(c->stage, &t->lines);
    }
    eg_write_bytes(&t->lines, c->ops->data, c->ops->size);
    a->size = t->lines.size - a->offset;
    return t->lines.failed ? no_memory(error) : ENGRAM_OK;
}

/* A refused transaction's chunks stay in the store, and no record carries them. */
static void note_loose(eg_engram *e)
{
    atomic_fetch_add(&e->loose_started, 1);
    atomic_fetch_add(&e->loose_finished, 1);
}

static engram_status open_edit(eg_engram *e, eg_taking *t, engram_error *error)
{
    if (t->edit != NULL)
        return ENGRAM_OK;
    t->version = e->assigned_version;
    pthread_mutex_lock(&e->bundle_lock);
    engram_status status = begin_edit(e, t, error);
    pthread_mutex_unlock(&e->bundle_lock);
    return status;
}

/* To the transactions accepted before. If they cannot be applied again, that is final. */
static engram_status go_back(eg_engram *e, eg_taking *t, engram_error *error)
{
    engram_error inner = {0};
    pthread_mutex_lock(&e->bundle_lock);
    engram_status status = rebuild(e, t, &inner);
    pthread_mutex_unlock(&e->bundle_lock);
    if (status == ENGRAM_OK)
        return ENGRAM_OK;
    eg_engram_fail(e, status);
    return eg_fail(error, status, "%s", inner.message);
}

static engram_status take_one(eg_engram *e, eg_taking *t, eg_commit *c, engram_error *error)
{
    accepted a = {.commit = c, .time_ns = eg_clock_wall_ns()};
    size_t lines = t->lines.size;
    EG_TRY(open_edit(e, t, error));
    if (!eg_grow((void **)&t->list, &t->capacity, t->count + 1, sizeof *t->list))
        return no_memory(error);
    EG_TRY(validate(e, t, c, error));
    engram_status status = write_line(t, c, &a, error);
    pthread_mutex_lock(&e->bundle_lock);
    if (status == ENGRAM_OK)
        status = apply_line(e, t, &a, t->version + 1, error);
    pthread_mutex_unlock(&e->bundle_lock);
    if (status == ENGRAM_OK) {
        t->list[t->count++] = a;
        c->version = ++t->version;
        t->in_store |= c->in_store;
        t->found_max = c->found_max > t->found_max ? c->found_max : t->found_max;
        c->entry.closes |= t->apply.keep;
        return ENGRAM_OK;
    }
    t->lines.size = lines;
    t->lines.failed = false;
    note_loose(e);
    EG_TRY(go_back(e, t, error));
    return status;
}

static engram_status take(void *context, eg_group_entry *entries, engram_error *error)
{
    eg_engram *e = context;
    EG_TRY(eg_engram_check_writable(e, error));
    for (eg_group_entry *entry = entries; entry != NULL; entry = entry->next) {
        eg_commit *c = (eg_commit *)entry;
        entry->status = take_one(e, e->taking, c, &entry->error);
        engram_status failed = (engram_status)atomic_load(&e->failed);
        if (failed != ENGRAM_OK && entry->status != ENGRAM_OK)
            return eg_fail(error, failed, "%s", entry->error.message);
        EG_TRY(eg_engram_check_writable(e, error));
        if (entry->closes && entry->status == ENGRAM_OK)
            break;
    }
    return ENGRAM_OK;
}

/* ---- write ---- */

static engram_status write_extents(eg_engram *e, eg_taking *t, engram_error *error)
{
    eg_segment_state *states = NULL;
    size_t count = 0;
    EG_TRY(eg_store_take_synced(e->store, &states, &count, error));
    for (size_t i = 0; i < count; i++)
        eg_ops_segment(&t->first, &states[i]);
    eg_free(states);
    return t->first.failed ? no_memory(error) : ENGRAM_OK;
}

/* Every chunk that the group names is in its records, in earlier ones, or durable in the store, and
 * then a record has said so. */
static engram_status secure_chunks(eg_engram *e, eg_taking *t, engram_error *error)
{
    uint64_t started = atomic_load(&e->loose_started), finished = atomic_load(&e->loose_finished);
    eg_buffer_clear(&t->first);
    bool is_loose = started != e->loose_clean && t->found_max > eg_store_told_id(e->store);
    bool needs_sync = is_loose && t->found_max > eg_store_synced_id(e->store);
    if (needs_sync)
        EG_TRY(eg_store_sync(e->store, error));
    if (is_loose || t->in_store)
        EG_TRY(write_extents(e, t, error));
    if (needs_sync && started == finished)
        e->loose_clean = started;
    return ENGRAM_OK;
}

static engram_status append_record(eg_engram *e, eg_taking *t, size_t i, engram_error *error)
{
    const accepted *a = &t->list[i];
    eg_view line = {t->lines.data + a->offset, a->size};
    bool first = i == 0, last = i + 1 == t->count;
    uint64_t sequence;
    if (first || last) { /* with something before or behind it */
        eg_buffer_clear(&t->scratch);
        if (first)
            eg_write_bytes(&t->scratch, t->first.data, t->first.size);
        eg_write_bytes(&t->scratch, line.data, line.size);
        if (last) {
            uint8_t hash[32];
            eg_hash_root(e->bundle, hash);
            eg_ops_update_root(&t->scratch, hash);
        }
        if (t->scratch.failed)
            return no_memory(error);
        line = (eg_view){t->scratch.data, t->scratch.size};
    }
    return eg_journal_append(e->journal, e->transaction_next++, a->time_ns, line, &sequence, error);
}

static engram_status append_records(eg_engram *e, eg_taking *t, engram_error *error)
{
    EG_TRY(secure_chunks(e, t, error));
    for (size_t i = 0; i < t->count; i++)
        EG_TRY(append_record(e, t, i, error));
    EG_TRY(eg_journal_flush(e->journal, error));
    uint64_t size = eg_journal_size(e->journal);
    atomic_store(&e->journal_bytes, size);
    if (size - e->file_asked > eg_engram_journal_file_size(e) / 4) { /* long before it is needed */
        e->file_asked = size;
        eg_checkpointer_ask_file(e);
    }
    return ENGRAM_OK;
}

/* The edit becomes a version that waits for its publication. Under pending_lock and bundle_lock. */
static engram_status make_pending(eg_engram *e, eg_taking *t, uint64_t time_ns, eg_root **assigned,
                                  engram_error *error)
{
    eg_root *root = NULL;
    eg_pending *pending = NULL;
    *assigned = NULL;
    uint64_t counted = e->assigned_version;
    engram_status status = eg_edit_finish(&t->edit, &root, error);
    if (status == ENGRAM_OK) {
        *assigned = eg_root_retain(root);
        status = eg_pending_create(e, root, t->version, time_ns, &t->apply, &pending, error);
    }
    eg_apply_fini(&t->apply);
    if (status == ENGRAM_OK &&
        !atomic_compare_exchange_strong(&e->bundle_version, &counted, t->version))
        status = eg_fail(error, ENGRAM_INVALID, "the root bundle was counted for another version");
    if (status != ENGRAM_OK) {
        eg_root_release(*assigned);
        eg_pending_free(pending);
        return status;
    }
    *e->pending_end = pending;
    e->pending_end = &pending->next;
    return ENGRAM_OK;
}

static engram_status assign(eg_engram *e, eg_taking *t, engram_error *error)
{
    uint64_t time_ns = t->list[t->count - 1].time_ns;
    eg_root *assigned = NULL;
    pthread_mutex_lock(&e->pending_lock);
    pthread_mutex_lock(&e->bundle_lock);
    engram_status status = make_pending(e, t, time_ns, &assigned, error);
    pthread_mutex_unlock(&e->bundle_lock);
    pthread_mutex_unlock(&e->pending_lock);
    EG_TRY(status);
    eg_root_release(e->assigned);
    e->assigned = assigned;
    e->assigned_version = t->version;
    e->assigned_time_ns = time_ns;
    t->count = 0;
    t->found_max = 0;
    t->in_store = false;
    eg_buffer_clear(&t->lines);
    return ENGRAM_OK;
}

static engram_status write_group(void *context, uint64_t *ticket, engram_error *error)
{
    eg_engram *e = context;
    eg_taking *t = e->taking;
    engram_status status = append_records(e, t, error);
    if (status == ENGRAM_OK)
        status = assign(e, t, error);
    if (status != ENGRAM_OK)
        eg_engram_fail(e, status);
    *ticket = e->assigned_version;
    return status;
}

/* ---- sync, publish ---- */

static engram_status sync_group(void *context, engram_error *error)
{
    eg_engram *e = context;
    engram_status status = eg_journal_sync(e->journal, error);
    if (status != ENGRAM_OK)
        eg_engram_fail(e, status);
    return status;
}

static void publish_group(void *context, uint64_t ticket)
{
    eg_engram *e = context;
    pthread_mutex_lock(&e->pending_lock);
    while (e->pending != NULL && e->pending->version <= ticket) {
        eg_pending *p = e->pending;
        e->pending = p->next;
        if (e->pending == NULL)
            e->pending_end = &e->pending;
        eg_engram_publish(e, p);
    }
    pthread_mutex_unlock(&e->pending_lock);
    eg_watch_ring(&e->watch);
}

/* ---- callers ---- */

engram_status eg_commit_start(eg_engram *e, engram_error *error)
{
    eg_group_steps steps = {.context = e,
                            .take = take,
                            .write = write_group,
                            .sync = sync_group,
                            .publish = publish_group};
    eg_group_options options = {
        .ops_max = e->options.group_ops != 0 ? e->options.group_ops : GROUP_OPS,
        .delay_max_us = e->options.group_delay_us != 0 ? e->options.group_delay_us : GROUP_DELAY_US};
    e->taking = eg_alloc_zero(1, sizeof *e->taking);
    if (e->taking == NULL)
        return no_memory(error);
    return eg_group_create(&steps, &options, &e->group, error);
}

void eg_commit_stop(eg_engram *e)
{
    eg_group_free(e->group);
    e->group = NULL;
    if (e->taking != NULL) {
        end_edit(e->taking);
        eg_free(e->taking->list);
        eg_buffer_fini(&e->taking->lines);
        eg_buffer_fini(&e->taking->first);
        eg_buffer_fini(&e->taking->scratch);
        eg_free(e->taking);
        e->taking = NULL;
    }
    while (e->pending != NULL) {
        eg_pending *p = e->pending;
        e->pending = p->next;
        eg_pending_free(p);
    }
}

eg_durability eg_durability_of(const eg_engram *e, engram_durability durability)
{
    if (durability == ENGRAM_DURABILITY_DEFAULT)
        durability = e->options.durability;
    return durability == ENGRAM_DURABILITY_IMMEDIATE ? EG_DURABILITY_IMMEDIATE
           : durability == ENGRAM_DURABILITY_RELAXED ? EG_DURABILITY_RELAXED
                                                     : EG_DURABILITY_GROUP;
}

void eg_commit_settle(eg_engram *e)
{
    eg_store_write_behind(e->store);
    if (!eg_checkpoint_due(e, false))
        return;
    if (e->options.by_hand) {
        eg_engram_checkpoint(e, NULL);
        return;
    }
    eg_checkpointer_ask(e);
    if (eg_checkpoint_due(e, true))
        eg_checkpointer_wait(e);
}

engram_status eg_commit_run(eg_engram *e, eg_commit *c, engram_error *error)
{
    EG_TRY(eg_engram_check_writable(e, error));
    if (c->ops->failed)
        return no_memory(error);
    engram_status status = eg_group_commit(e->group, &c->entry);
    if (status != ENGRAM_OK) {
        atomic_fetch_add(&e->conflicts, status == ENGRAM_CONFLICT);
        return eg_fail(error, status, "%s", c->entry.error.message);
    }
    atomic_fetch_add(&e->commits, 1);
    return ENGRAM_OK;
}

engram_status eg_engram_commit(eg_engram *engram, eg_buffer *ops, uint64_t *number,
                               engram_error *error)
{
    eg_commit c = {.ops = ops, .in_store = true};
    c.entry.durability = eg_durability_of(engram, ENGRAM_DURABILITY_DEFAULT);
    EG_TRY(eg_engram_check_writable(engram, error));
    engram_status status = eg_store_sync(engram->store, error);
    if (status != ENGRAM_OK) {
        eg_engram_fail(engram, status);
        return status;
    }
    pthread_rwlock_rdlock(&engram->turn);
    status = eg_commit_run(engram, &c, error);
    pthread_rwlock_unlock(&engram->turn);
    EG_TRY(status);
    eg_commit_settle(engram);
    if (number != NULL)
        *number = c.version;
    return ENGRAM_OK;
}

void eg_engram_note_batch(eg_engram *engram)
{
    atomic_fetch_add(&engram->device_batches, 1);
}
