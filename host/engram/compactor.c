/* Compaction by itself: a thread that looks after each checkpoint whether something is to be done.
 *
 * Four neighbours of a level become one of the next. When many chunks are not live at the newest version, more than
 * when it last looked, garbage is collected: what versions hold has to be found out for that, so it is not done for a
 * few. Both at a limited rate, and only while the engram is open: it ends with the block at hand when that closes, and
 * what was not adopted is no loss. */
#include <signal.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { GARBAGE_SHARE = 4, GROWTH_SHARE = 8, CHUNKS_LEAST = 4096 };

static const engram_compact_options levels_only = {.garbage = 1.0};

/* Chunks that are not live at the newest version: garbage, or only old. */
static uint64_t count_old(eg_engram *e, uint64_t *chunks)
{
    eg_store_totals totals;
    *chunks = 0;
    if (eg_store_get_totals(e->store, &totals, NULL) != ENGRAM_OK)
        return 0;
    pthread_mutex_lock(&e->bundle_lock);
    uint64_t live = e->bundle->count;
    pthread_mutex_unlock(&e->bundle_lock);
    *chunks = totals.chunks;
    return totals.chunks > live ? totals.chunks - live : 0;
}

static bool is_garbage_due(eg_engram *e, uint64_t *old)
{
    uint64_t chunks;
    *old = count_old(e, &chunks);
    return chunks >= CHUNKS_LEAST && *old > chunks / GARBAGE_SHARE &&
           *old > e->compactor.old_before + chunks / GROWTH_SHARE;
}

static void compact(eg_engram *e, eg_compaction what, const engram_compact_options *options)
{
    engram_error error = {0};
    engram_compact_options o = *options;
    o.rate = e->options.compaction_rate != 0 ? e->options.compaction_rate : (uint64_t)32 << 20;
    engram_status status = eg_engram_compact(e, what, &o, NULL, &error);
    if (status != ENGRAM_OK && status != ENGRAM_CANCELLED)
        eg_log(EG_LOG_WARNING, "%s: not compacted: %s", e->dir, error.message);
}

static void look(eg_engram *e)
{
    const engram_compact_options worth = {.garbage = 1.0 / GARBAGE_SHARE};
    uint64_t old;
    if (is_garbage_due(e, &old)) {
        compact(e, EG_COLLECT, &worth);
        e->compactor.old_before = count_old(e, &old);
    }
    if (!atomic_load(&e->compaction_ends) && eg_engram_levels_due(e))
        compact(e, EG_LEVELS, &levels_only);
}

static void *compactor_main(void *context)
{
    eg_engram *e = context;
    eg_compactor *c = &e->compactor;
    pthread_mutex_lock(&c->lock);
    while (!atomic_load(&e->compaction_ends)) {
        if (!c->wanted) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        c->wanted = false;
        pthread_mutex_unlock(&c->lock);
        if (atomic_load(&e->failed) == ENGRAM_OK)
            look(e);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

engram_status eg_compactor_start(eg_engram *e, engram_error *error)
{
    if (e->options.by_hand || e->options.no_compaction)
        return ENGRAM_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&e->compactor.thread, NULL, compactor_main, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return eg_fail_os(error, failed, "cannot start the thread that compacts");
    e->compactor.started = true;
    return ENGRAM_OK;
}

void eg_compactor_stop(eg_engram *e)
{
    eg_compactor *c = &e->compactor;
    atomic_store(&e->compaction_ends, true);
    if (!c->started)
        return;
    pthread_mutex_lock(&c->lock);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->started = false;
}

/* Without the thread nobody looks at what is wanted. */
void eg_compactor_ask(eg_engram *e)
{
    eg_compactor *c = &e->compactor;
    pthread_mutex_lock(&c->lock);
    c->wanted = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}
