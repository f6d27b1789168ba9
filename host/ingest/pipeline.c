/* The stages as threads, and the first stage's reading.
 *
 * Batches go round: free_batches -> the reader -> to_encode -> to_commit -> free_batches. Each is
 * touched by one stage at a time; the rings hand them over. After a failure the later stages let
 * batches pass untouched, so the reader never waits for ever, and finds the failure at its next
 * check. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "ingest/internal.h"

enum {
    BATCHES = 4,
    BATCH_BYTES_MAX = 16 << 20,
    BATCH_CHUNKS = 1024,
    BATCH_EVENTS_MAX = 8192,
    READ_PIECE = 1 << 20
};

void eg_ingest_fail(eg_ingest *ingest, engram_status status, const engram_error *error)
{
    pthread_mutex_lock(&ingest->lock);
    if (ingest->failed == ENGRAM_OK) {
        ingest->failed = status;
        ingest->error = *error;
    }
    pthread_mutex_unlock(&ingest->lock);
}

engram_status eg_ingest_check(eg_ingest *ingest, engram_error *error)
{
    pthread_mutex_lock(&ingest->lock);
    engram_status status = ingest->failed;
    if (status != ENGRAM_OK && error != NULL && error->status == ENGRAM_OK)
        *error = ingest->error;
    pthread_mutex_unlock(&ingest->lock);
    if (status == ENGRAM_OK && ingest->options.cancel != NULL &&
        atomic_load(ingest->options.cancel))
        return eg_fail(error, ENGRAM_CANCELLED, "stopped on request; what was committed stays");
    return status;
}

void eg_ingest_issue(eg_ingest *ingest, eg_view path, const char *reason)
{
    char text[EG_PATH_MAX + 1];
    size_t size = path.size < EG_PATH_MAX ? path.size : EG_PATH_MAX;
    memcpy(text, path.data, size);
    text[size] = 0;
    ingest->batch->delta.issues++;
    if (ingest->options.issue != NULL)
        ingest->options.issue(ingest->options.context, text, reason);
}

static void *encode_main(void *argument)
{
    eg_ingest *ingest = argument;
    for (eg_batch *batch; (batch = eg_ring_pop(ingest->to_encode)) != NULL;) {
        engram_error error = {0};
        engram_status status = ENGRAM_OK;
        pthread_mutex_lock(&ingest->lock);
        bool failed = ingest->failed != ENGRAM_OK;
        pthread_mutex_unlock(&ingest->lock);
        if (!failed)
            status = eg_encode_stage_run(ingest, batch, &error);
        if (status != ENGRAM_OK)
            eg_ingest_fail(ingest, status, &error);
        eg_ring_push(ingest->to_commit, batch);
    }
    eg_ring_close(ingest->to_commit);
    return NULL;
}

static void add_stats(eg_ingest_stats *sum, const eg_ingest_stats *delta)
{
    sum->files += delta->files;
    sum->files_unchanged += delta->files_unchanged;
    sum->entries += delta->entries;
    sum->removed += delta->removed;
    sum->bytes_in += delta->bytes_in;
    sum->chunks += delta->chunks;
    sum->chunks_new += delta->chunks_new;
    sum->bytes_stored += delta->bytes_stored;
    sum->issues += delta->issues;
    sum->batches++;
}

static void batch_done(eg_ingest *ingest, eg_batch *batch, bool committed)
{
    pthread_mutex_lock(&ingest->lock);
    if (committed)
        add_stats(&ingest->durable, &batch->delta);
    ingest->committed = batch->sequence;
    eg_ingest_stats stats = ingest->durable;
    pthread_cond_broadcast(&ingest->committed_changed);
    pthread_mutex_unlock(&ingest->lock);
    if (committed && ingest->options.progress != NULL)
        ingest->options.progress(ingest->options.context, &stats);
}

static void *commit_main(void *argument)
{
    eg_ingest *ingest = argument;
    for (eg_batch *batch; (batch = eg_ring_pop(ingest->to_commit)) != NULL;) {
        engram_error error = {0};
        engram_status status = ENGRAM_OK;
        pthread_mutex_lock(&ingest->lock);
        bool failed = ingest->failed != ENGRAM_OK;
        pthread_mutex_unlock(&ingest->lock);
        if (!failed && batch->commit.size != 0) {
            eg_engram_note_batch(ingest->engram);
            status = eg_engram_commit(ingest->engram, &batch->commit, NULL, &error);
        }
        if (status != ENGRAM_OK)
            eg_ingest_fail(ingest, status, &error);
        else if (!failed)
            eg_overlay_forget(ingest->overlay, batch->sequence);
        batch_done(ingest, batch, !failed && status == ENGRAM_OK);
        eg_batch_clear(batch);
        eg_ring_push(ingest->free_batches, batch);
    }
    return NULL;
}

static engram_status take_batch(eg_ingest *ingest)
{
    ingest->batch = eg_ring_pop(ingest->free_batches);
    ingest->batch->sequence = ++ingest->sequence;
    return ENGRAM_OK;
}

engram_status eg_ingest_next_batch(eg_ingest *ingest, const uint8_t *tail, size_t tail_size,
                                   engram_error *error)
{
    eg_batch *full = ingest->batch, *next = eg_ring_pop(ingest->free_batches);
    next->sequence = ++ingest->sequence;
    if (tail_size != 0)
        memcpy(next->bytes, tail, tail_size); /* before full is handed on */
    next->size = tail_size;
    ingest->batch = next;
    eg_ring_push(ingest->to_encode, full);
    return eg_ingest_check(ingest, error);
}

engram_status eg_ingest_drain(eg_ingest *ingest, engram_error *error)
{
    uint64_t last = ingest->batch->sequence;
    EG_TRY(eg_ingest_next_batch(ingest, NULL, 0, error));
    pthread_mutex_lock(&ingest->lock);
    while (ingest->committed < last)
        pthread_cond_wait(&ingest->committed_changed, &ingest->lock);
    pthread_mutex_unlock(&ingest->lock);
    return eg_ingest_check(ingest, error);
}

static bool batch_full(const eg_ingest *ingest)
{
    const eg_batch *b = ingest->batch;
    uint32_t chunks =
        ingest->options.batch_chunks != 0 ? ingest->options.batch_chunks : BATCH_CHUNKS;
    return b->cut_count >= chunks || b->event_count >= BATCH_EVENTS_MAX ||
           b->ops.size >= BATCH_BYTES_MAX / 2 ||
           b->capacity - b->size < (size_t)ingest->chunker.size_max + READ_PIECE;
}

/* The content at hand while it is read: bytes [cut, batch->size) are read and not cut yet. */
typedef struct reading {
    size_t cut;
    uint32_t cuts_pending; /* cuts of this file in the batch at hand, not in an event yet */
    uint64_t size;
    bool at_end;
} reading;

static engram_status close_cuts(eg_ingest *ingest, reading *r, engram_error *error)
{
    if (r->cuts_pending == 0)
        return ENGRAM_OK;
    uint32_t count = r->cuts_pending;
    r->cuts_pending = 0;
    return eg_batch_add_event(ingest->batch, EG_EVENT_CUTS, 0, count, ingest->batch->ops.size,
                              error);
}

/* Hands the batch on in the middle of a file. */
static engram_status turn_batch(eg_ingest *ingest, reading *r, engram_error *error)
{
    EG_TRY(close_cuts(ingest, r, error));
    eg_batch *full = ingest->batch;
    size_t tail = full->size - r->cut, end = r->cut;
    const uint8_t *from = full->bytes + r->cut;
    r->cut = 0;
    full->size = end;
    return eg_ingest_next_batch(ingest, from, tail, error);
}

/* Reads until a maximal chunk lies uncut, or to the end. */
static engram_status fill(eg_ingest *ingest, eg_source *source, reading *r, engram_error *error)
{
    while (!r->at_end && ingest->batch->size - r->cut < ingest->chunker.size_max) {
        size_t got = 0;
        eg_batch *b = ingest->batch;
        size_t room = b->capacity - b->size;
        EG_TRY(source->read(source, b->bytes + b->size, room < READ_PIECE ? room : READ_PIECE, &got,
                            error));
        r->at_end = got < (room < READ_PIECE ? room : READ_PIECE);
        b->size += got;
        r->size += got;
        b->delta.bytes_in += got;
    }
    return ENGRAM_OK;
}

static engram_status read_content(eg_ingest *ingest, eg_source *source, reading *r,
                                  engram_error *source_error, engram_error *error)
{
    *r = (reading){.cut = ingest->batch->size};
    for (;;) {
        EG_TRY(eg_ingest_check(ingest, error));
        engram_status status = fill(ingest, source, r, source_error);
        if (status != ENGRAM_OK)
            return status;
        size_t left = ingest->batch->size - r->cut;
        if (left == 0) {
            EG_TRY(eg_ingest_check(
                ingest,
                error)); /* the end of a stream whose writer was stopped with us is no end */
            return close_cuts(ingest, r, error);
        }
        uint32_t size =
            (uint32_t)eg_chunker_cut(&ingest->chunker, ingest->batch->bytes + r->cut, left);
        EG_TRY(eg_batch_add_cut(ingest->batch, r->cut, size, error));
        r->cut += size;
        r->cuts_pending++;
        if (batch_full(ingest))
            EG_TRY(turn_batch(ingest, r, error));
    }
}

/* Drops what was read of the file at hand. */
static engram_status discard(eg_ingest *ingest, reading *r, engram_error *error)
{
    EG_TRY(close_cuts(ingest, r, error));
    ingest->batch->size = r->cut;
    return eg_batch_add_event(ingest->batch, EG_EVENT_DISCARD, 0, 0, ingest->batch->ops.size,
                              error);
}

/* Reads a file until one reading of it is consistent. *stored false: it is reported instead. */
static engram_status read_file(eg_ingest *ingest, eg_source *source, const eg_entry *entry,
                               eg_inode *inode, bool *stored, engram_error *error)
{
    reading r;
    *stored = false;
    for (;;) {
        engram_error source_error = {0};
        engram_status status = read_content(ingest, source, &r, &source_error, error);
        if (status != ENGRAM_OK && source_error.status == ENGRAM_OK)
            return status; /* not the source's */
        bool changed = false, again = false;
        if (status == ENGRAM_OK)
            status = source->finish(source, inode, &changed, &again, &source_error);
        if (status == ENGRAM_OK && !changed) {
            inode->size = r.size;
            *stored = true;
            return ENGRAM_OK;
        }
        EG_TRY(discard(ingest, &r, error));
        if (status == ENGRAM_OK && again)
            continue;
        eg_ingest_issue(ingest, entry->path,
                        status != ENGRAM_OK ? source_error.message
                                            : "changes while it is read; not stored");
        return ENGRAM_OK;
    }
}

static void mark_racy(const eg_ingest *ingest, eg_inode *inode)
{
    const uint64_t tick_ns = 20000000; /* file times move in the kernel's ticks */
    uint64_t ctime_ns =
        (uint64_t)inode->source_ctime.seconds * 1000000000u + inode->source_ctime.nanoseconds;
    if (inode->source_inode != 0 && ctime_ns + tick_ns >= ingest->start_ns)
        inode->flags |= EG_INODE_RACY;
}

static engram_status store_entry(eg_ingest *ingest, eg_source *source, const eg_entry *entry,
                                 const eg_plan *plan, engram_error *error)
{
    eg_inode inode = entry->inode;
    bool is_file = inode.kind == EG_KIND_FILE, stored = true;
    if (is_file)
        EG_TRY(read_file(ingest, source, entry, &inode, &stored, error));
    if (!stored)
        return ENGRAM_OK;
    mark_racy(ingest, &inode);
    size_t ops_offset = ingest->batch->ops.size;
    EG_TRY(eg_plan_store(ingest, entry, &inode, plan, error));
    ingest->batch->delta.entries++;
    ingest->batch->delta.files += is_file;
    return eg_batch_add_event(ingest->batch, is_file ? EG_EVENT_FILE : EG_EVENT_OPS, plan->number,
                              0, ops_offset, error);
}

static engram_status take_entry(eg_ingest *ingest, eg_source *source, const eg_entry *entry,
                                engram_error *error)
{
    eg_plan plan = {0};
    engram_error plan_error = {0};
    if (batch_full(ingest))
        EG_TRY(eg_ingest_next_batch(ingest, NULL, 0, error));
    engram_status status = eg_plan_entry(ingest, entry, &plan, &plan_error);
    if (status == ENGRAM_INVALID) {
        eg_ingest_issue(ingest, entry->path, plan_error.message);
        return ENGRAM_OK;
    }
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", plan_error.message);
    if (plan.unchanged) {
        ingest->batch->delta.entries++;
        ingest->batch->delta.files += entry->inode.kind == EG_KIND_FILE;
        ingest->batch->delta.files_unchanged += entry->inode.kind == EG_KIND_FILE;
    } else {
        EG_TRY(store_entry(ingest, source, entry, &plan, error));
    }
    if (ingest->options.mirror && entry->names_known)
        return eg_plan_mirror(ingest, entry, &plan, error);
    return ENGRAM_OK;
}

engram_status eg_ingest_source(eg_ingest *ingest, eg_source *source, engram_error *error)
{
    for (;;) {
        eg_entry entry;
        EG_TRY(eg_ingest_check(ingest, error));
        engram_status status = source->next(source, &entry, error);
        if (status == ENGRAM_NOT_FOUND)
            return ENGRAM_OK;
        if (status == ENGRAM_NO_MEMORY || status == ENGRAM_CANCELLED)
            return status;
        if (status != ENGRAM_OK)
            return ENGRAM_PARTIAL;
        EG_TRY(take_entry(ingest, source, &entry, error));
    }
}

static engram_status create_rings(eg_ingest *ingest, engram_error *error)
{
    if (eg_ring_create(BATCHES, &ingest->free_batches) != ENGRAM_OK ||
        eg_ring_create(BATCHES, &ingest->to_encode) != ENGRAM_OK ||
        eg_ring_create(BATCHES, &ingest->to_commit) != ENGRAM_OK ||
        eg_overlay_create(&ingest->overlay) != ENGRAM_OK)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory starting a run");
    uint64_t memory = ingest->options.memory != 0 ? ingest->options.memory : 256 << 20;
    uint64_t share =
        memory / (4 * BATCHES); /* the rest: packed chunks, the active segment, the tree */
    size_t least = 4 * (size_t)ingest->chunker.size_max + 2 * READ_PIECE;
    size_t capacity = share > BATCH_BYTES_MAX ? BATCH_BYTES_MAX : (size_t)share;
    if (capacity < least)
        capacity = least;
    for (int i = 0; i < BATCHES; i++) {
        eg_batch *batch = NULL;
        EG_TRY(eg_batch_create(capacity, &batch, error));
        eg_ring_push(ingest->free_batches, batch);
    }
    return take_batch(ingest);
}

static engram_status start_threads(eg_ingest *ingest, engram_error *error)
{
    int code = pthread_create(&ingest->encode_thread, NULL, encode_main, ingest);
    ingest->encode_started = code == 0;
    if (code == 0) {
        code = pthread_create(&ingest->commit_thread, NULL, commit_main, ingest);
        ingest->commit_started = code == 0;
    }
    return code == 0 ? ENGRAM_OK : eg_fail_os(error, code, "cannot start a thread");
}

static void stop_threads(eg_ingest *ingest)
{
    eg_ring_close(ingest->to_encode);
    if (ingest->encode_started)
        pthread_join(ingest->encode_thread, NULL);
    else if (ingest->to_commit != NULL)
        eg_ring_close(ingest->to_commit);
    if (ingest->commit_started)
        pthread_join(ingest->commit_thread, NULL);
}

static void drain_ring(eg_ring *ring)
{
    if (ring == NULL)
        return;
    eg_ring_close(ring);
    for (eg_batch *batch; (batch = eg_ring_pop(ring)) != NULL;)
        eg_batch_free(batch);
    eg_ring_free(ring);
}

static void release(eg_ingest *ingest)
{
    eg_batch_free(ingest->batch);
    drain_ring(ingest->to_encode);
    drain_ring(ingest->to_commit);
    drain_ring(ingest->free_batches);
    eg_plan_fini(ingest);
    eg_encode_stage_free(ingest);
    eg_overlay_free(ingest->overlay);
    eg_version_release(&ingest->pinned);
    pthread_mutex_destroy(&ingest->lock);
    pthread_cond_destroy(&ingest->committed_changed);
    eg_free(ingest);
}

engram_status eg_ingest_start(eg_engram *engram, eg_device *device, eg_pool *pool,
                              const eg_ingest_options *options, eg_ingest **ingest,
                              engram_error *error)
{
    eg_ingest *in = eg_alloc_zero(1, sizeof *in);
    if (in == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory starting a run");
    in->engram = engram;
    in->device = device;
    in->pool = pool;
    in->options = *options;
    in->start_ns = eg_clock_wall_ns();
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->committed_changed, NULL);
    engram_status status =
        eg_chunker_init(&in->chunker, &eg_engram_get_config(engram)->chunk, error);
    if (status == ENGRAM_OK)
        status = eg_engram_pin(engram, &in->pinned, error);
    if (status == ENGRAM_OK)
        status = create_rings(in, error);
    if (status == ENGRAM_OK)
        status = eg_plan_init(in, error);
    if (status == ENGRAM_OK)
        status = eg_encode_stage_create(in, error);
    if (status == ENGRAM_OK)
        status = start_threads(in, error);
    if (status != ENGRAM_OK) {
        if (in->encode_started)
            stop_threads(in);
        release(in);
        return status;
    }
    *ingest = in;
    return ENGRAM_OK;
}

static engram_status commit_label(eg_ingest *ingest, eg_ingest_stats *stats, engram_error *error)
{
    eg_buffer ops = {0};
    const char *label = ingest->options.label != NULL ? ingest->options.label : "";
    eg_ops_label(&ops, (eg_view){(const uint8_t *)label, strlen(label)});
    engram_status status = eg_engram_commit(ingest->engram, &ops, &stats->version, error);
    eg_buffer_fini(&ops);
    return status;
}

engram_status eg_ingest_finish(eg_ingest **ingest, eg_ingest_stats *stats, engram_error *error)
{
    eg_ingest *in = *ingest;
    eg_batch *last = in->batch;
    in->batch = NULL;
    eg_ring_push(in->to_encode, last);
    stop_threads(in);
    *stats = in->durable;
    engram_status status = eg_ingest_check(in, error);
    if (status == ENGRAM_OK && (stats->entries != 0 || stats->removed != 0))
        status = commit_label(in, stats, error); /* nothing read, nothing to label */
    release(in);
    *ingest = NULL;
    return status;
}
