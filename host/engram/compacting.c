/* Compaction: garbage is found and dropped, segments are merged.
 *
 * 1. A checkpoint: the rules of retention are applied, and MANIFEST.json names every sealed segment whole. 2. The
 * store's collection begins, what versions hold is marked (reach.c), the rest is doomed. 3. The plan: runs of
 * neighbours (compaction_plan.c). 4. For each run, from the newest chunks to the oldest: the merge is written beside
 * everything, and a checkpoint adopts it. Space and time that are lost when the power goes are those of one run.
 *
 * decision 0021 has the reasons. */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

typedef struct compacting {
    eg_engram *engram;
    eg_compaction what;
    const engram_compact_options *options;
    engram_compacted *done;
    eg_collection *collection;
    eg_share *shares;
    size_t share_count;
    eg_run *runs;
    size_t run_count;
    uint64_t bytes_done, bytes_total, start_ns;
} compacting;

/* ---- what is there ---- */

/* Only what MANIFEST.json names whole: after a crash before the switch it is what there is. */
static bool is_named_whole(const eg_manifest *manifest, const eg_share *share)
{
    for (size_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].id == share->segment)
            return manifest->segments[i].chunk_count == share->chunks;
    return false;
}

static void look_at_manifest(compacting *c)
{
    eg_engram *e = c->engram;
    pthread_mutex_lock(&e->checkpoint_lock);
    for (size_t i = 0; i < c->share_count; i++)
        c->shares[i].is_sealed =
            c->shares[i].is_sealed && is_named_whole(&e->manifest, &c->shares[i]);
    pthread_mutex_unlock(&e->checkpoint_lock);
}

static engram_status doom(compacting *c, engram_error *error)
{
    eg_id_set held = {0};
    bool dry_run = c->options->dry_run;
    engram_status status = dry_run ? eg_engram_reach_retained(c->engram, &held, error)
                                   : eg_engram_reach(c->engram, &held, error);
    if (status == ENGRAM_OK)
        status = eg_collection_doom(c->collection, &held, error);
    eg_id_set_fini(&held);
    return status;
}

static engram_status survey(compacting *c, engram_error *error)
{
    EG_TRY(eg_collection_survey(c->collection, &c->shares, &c->share_count, error));
    look_at_manifest(c);
    c->done->segments_before = c->share_count;
    for (size_t i = 0; i < c->share_count; i++) {
        c->done->chunks += c->shares[i].chunks;
        c->done->chunks_garbage += c->shares[i].doomed;
        c->done->bytes_garbage += c->shares[i].doomed_bytes;
        c->done->bytes_before += c->shares[i].bytes;
    }
    return ENGRAM_OK;
}

static engram_status plan(compacting *c, engram_error *error)
{
    const double usual = 0.02;
    double garbage = c->options->garbage > 0 ? c->options->garbage : usual;
    EG_TRY(eg_compaction_plan(c->what, garbage, c->shares, c->share_count, &c->runs, &c->run_count,
                              error));
    for (size_t r = 0; r < c->run_count; r++)
        for (size_t i = 0; i < c->runs[r].count; i++) {
            const eg_share *share = &c->shares[c->runs[r].first + i];
            c->bytes_total += share->bytes + share->bytes - share->doomed_bytes; /* read, and written */
        }
    return ENGRAM_OK;
}

/* ---- one run ---- */

static bool must_end(const compacting *c)
{
    return atomic_load(&c->engram->compaction_ends) ||
           (c->options->is_cancelled != NULL && c->options->is_cancelled(c->options->context));
}

/* In short pieces, since the engram may close meanwhile. */
static void wait_until(const compacting *c, uint64_t until_ns)
{
    const uint64_t piece = 50000000;
    for (uint64_t now; (now = eg_clock_monotonic_ns()) < until_ns;) {
        uint64_t left = until_ns - now;
        if (must_end(c))
            return;
        nanosleep(&(struct timespec){.tv_nsec = (long)(left < piece ? left : piece)}, NULL);
    }
}

/* Ends a compaction in the background when the engram closes, and one that its caller cancels. */
static engram_status pace(void *context, uint64_t bytes, engram_error *error)
{
    compacting *c = context;
    c->bytes_done += bytes;
    if (c->options->progress != NULL)
        c->options->progress(c->options->context,
                             c->bytes_done < c->bytes_total ? c->bytes_done : c->bytes_total,
                             c->bytes_total);
    if (must_end(c))
        return eg_fail(error, ENGRAM_CANCELLED, "the compaction was ended: what it had done stays");
    if (c->options->rate != 0)
        wait_until(c, c->start_ns + (uint64_t)((double)c->bytes_done /
                                                       (double)c->options->rate * 1e9));
    return ENGRAM_OK;
}

static engram_status create_merge(compacting *c, const eg_run *run, eg_merge **merge,
                                  engram_error *error)
{
    eg_merge_options options = {.level = run->level,
                                .effort = c->engram->manifest.config.level,
                                .context = c,
                                .pace = pace};
    uint64_t *numbers = eg_alloc(run->count * sizeof *numbers);
    if (numbers == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory compacting");
    for (size_t i = 0; i < run->count; i++)
        numbers[i] = c->shares[run->first + i].segment;
    engram_status status =
        eg_merge_create(c->collection, numbers, run->count, &options, merge, error);
    eg_free(numbers);
    return status;
}

static void count_merge(compacting *c, const eg_run *run, const eg_merged *merged)
{
    engram_compacted *done = c->done;
    done->chunks_dropped += merged->dropped;
    done->chunks_encoded += merged->encoded;
    done->segments_read += run->count;
    done->segments_written += merged->chunks != 0;
}

/* What is damaged is passed over: it is a repair's, and the rest can be compacted all the same. */
static engram_status do_run(compacting *c, const eg_run *run, engram_error *error)
{
    eg_merge *merge;
    engram_error inner = {0};
    engram_status status = create_merge(c, run, &merge, &inner);
    if (status == ENGRAM_DAMAGED) {
        eg_log(EG_LOG_WARNING, "not compacted: %s; engram verify --repair mends what can be",
               inner.message);
        c->done->segments_damaged++;
        return ENGRAM_OK;
    }
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    status = eg_engram_checkpoint_adopting(c->engram, merge, error);
    if (status == ENGRAM_OK)
        count_merge(c, run, eg_merge_get(merge));
    eg_merge_free(&merge);
    return status;
}

/* ---- the whole ---- */

static void foresee(compacting *c)
{
    c->done->segments_after = c->done->segments_before;
    c->done->bytes_after = c->done->bytes_before;
    for (size_t i = 0; i < c->run_count; i++) {
        c->done->segments_read += c->runs[i].count;
        c->done->segments_written += c->runs[i].bytes != 0;
        c->done->segments_after -= c->runs[i].count - (c->runs[i].bytes != 0);
        c->done->bytes_after -= c->runs[i].bytes_gained;
    }
}

static engram_status look_again(compacting *c, engram_error *error)
{
    eg_share *shares;
    size_t count;
    EG_TRY(eg_collection_survey(c->collection, &shares, &count, error));
    c->done->segments_after = count;
    for (size_t i = 0; i < count; i++)
        c->done->bytes_after += shares[i].bytes;
    eg_free(shares);
    return ENGRAM_OK;
}

/* Nodes of versions that were let go of; a node file of a few pages is not worth the trouble. */
static engram_status look_at_tree(compacting *c, engram_error *error)
{
    enum { LEAST = 32 << 10 };
    const double usual = 0.2;
    engram_compacted *done = c->done;
    double share = c->options->garbage > 0 ? c->options->garbage : usual;
    uint64_t least = c->options->garbage > 0 ? 0 : LEAST;
    if (c->what == EG_LEVELS)
        return ENGRAM_OK;
    EG_TRY(eg_engram_measure_nodes(c->engram, &done->tree_bytes, &done->tree_bytes_kept, error));
    uint64_t garbage = done->tree_bytes - done->tree_bytes_kept;
    if (garbage > least && (double)garbage > share * (double)done->tree_bytes &&
        !c->options->dry_run)
        c->engram->wants_new_nodes = true;
    return ENGRAM_OK;
}

static engram_status run(compacting *c, engram_error *error)
{
    if (!c->options->dry_run)
        EG_TRY(eg_engram_checkpoint(c->engram, error));
    EG_TRY(eg_collection_begin(c->engram->store, &c->collection, error));
    if (c->what != EG_LEVELS)
        EG_TRY(doom(c, error));
    EG_TRY(survey(c, error));
    EG_TRY(plan(c, error));
    if (c->options->dry_run) {
        foresee(c);
        return look_at_tree(c, error);
    }
    for (size_t i = 0; i < c->run_count; i++)
        EG_TRY(do_run(c, &c->runs[i], error));
    EG_TRY(look_again(c, error));
    return look_at_tree(c, error);
}

static engram_status note_name(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
    return ENGRAM_OK;
}

/* After a repair that lost names, chunks that nobody holds may be all that is left of files, until a better copy of what
 * was put aside is found. */
static engram_status check_quarantine(eg_engram *e, engram_error *error)
{
    bool is_there = false;
    char *path = eg_path_join(e->dir, "quarantine");
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory compacting");
    engram_error inner = {0};
    engram_status status = e->io->list(e->io, path, note_name, &is_there, &inner);
    if (status == ENGRAM_OK && is_there)
        status = eg_fail(error, ENGRAM_BUSY,
                         "%s is not empty: chunks whose names a repair lost would go for ever. Remove it when "
                         "nothing in it, and no lost file, is wanted back",
                         path);
    else if (status == ENGRAM_NOT_FOUND)
        status = ENGRAM_OK;
    else if (status != ENGRAM_OK)
        eg_fail_like(error, &inner);
    eg_free(path);
    return status;
}

engram_status eg_engram_compact(eg_engram *e, eg_compaction what,
                                const engram_compact_options *options, engram_compacted *done,
                                engram_error *error)
{
    static const engram_compact_options none;
    engram_compacted unasked;
    compacting c = {.engram = e,
                    .what = what,
                    .options = options != NULL ? options : &none,
                    .done = done != NULL ? done : &unasked,
                    .start_ns = eg_clock_monotonic_ns()};
    *c.done = (engram_compacted){0};
    if (!c.options->dry_run)
        EG_TRY(eg_engram_check_writable(e, error));
    if (what != EG_LEVELS)
        EG_TRY(check_quarantine(e, error));
    pthread_mutex_lock(&e->compact_lock);
    engram_status status = run(&c, error);
    eg_collection_end(&c.collection);
    pthread_mutex_unlock(&e->compact_lock);
    eg_free(c.shares);
    eg_free(c.runs);
    return status;
}

bool eg_engram_levels_due(eg_engram *e)
{
    eg_segment_state *states;
    size_t count, run = 0;
    if (eg_store_get_levels(e->store, &states, &count, NULL) != ENGRAM_OK)
        return false;
    for (size_t i = 0; i < count && run < EG_COMPACTION_FAN; i++)
        run = i > 0 && states[i].level == states[i - 1].level ? run + 1 : 1;
    eg_free(states);
    return run == EG_COMPACTION_FAN;
}

engram_status engram_gc(struct engram *e, const engram_compact_options *options,
                        engram_compacted *done, engram_error *error)
{
    return eg_engram_compact(e, EG_COLLECT, options, done, error);
}

engram_status engram_compact(struct engram *e, const engram_compact_options *options,
                             engram_compacted *done, engram_error *error)
{
    return eg_engram_compact(e, EG_COMPACT, options, done, error);
}
