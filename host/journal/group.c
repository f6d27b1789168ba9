/* Who does what. A thread inside does whatever there is to do (duty.h) until its own entry is done
 * or nothing is left for it; then it sleeps or returns. Whoever lets go of the lock sees to it that
 * what can be done is somebody's: of the entries that it would move on, the first one's thread is
 * called, unless one is on its way already. A thread that is busy with a step is never called: it
 * looks again at what there is when it is through, and would keep others waiting until then; another
 * one of the queue is called in its place. A thread that has been called looks again at what there
 * is, even if its own entry is done by then. So work that can be done never waits for work that
 * cannot, and no step needs a particular thread.
 *
 * The first failure is kept. It dooms what is in queue, open and written, and what the failing step
 * had in its hands; what was syncing meanwhile fares as its sync does. */
#include <assert.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/memory.h"
#include "journal/duty.h"

enum { OPS_MAX = 4096, DELAY_MAX_US = 5000, NS_PER_US = 1000 };

engram_status eg_group_create(const eg_group_steps *steps, const eg_group_options *options,
                              eg_group **group, engram_error *error)
{
    eg_group_options o = options != NULL ? *options : (eg_group_options){0};
    eg_group *g = *group = eg_alloc_zero(1, sizeof *g);
    if (g == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for group commit");
    g->steps = *steps;
    g->ops_max = o.ops_max != 0 ? o.ops_max : OPS_MAX;
    g->delay_max_ns = (o.delay_max_us != 0 ? o.delay_max_us : DELAY_MAX_US) * NS_PER_US;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    eg_pace_init(&g->pace, g->delay_max_ns);
    return ENGRAM_OK;
}

void eg_group_free(eg_group *group)
{
    if (group == NULL)
        return;
    assert(group->queue.count + group->open.count + group->written.count == 0);
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
    eg_free(group);
}

/* ---- letting go ---- */

/* Threads of entries in the queue sleep alone, if they sleep. */
static eg_group_entry *first_idle(const eg_group *g)
{
    eg_group_entry *entry = g->queue.head;
    while (entry != NULL && entry->busy)
        entry = entry->next;
    return entry;
}

/* See the top of this file; returns the word to wake. */
static _Atomic uint32_t *call(eg_group *g)
{
    eg_duty what = g->called ? EG_DUTY_REST : eg_group_choose(g, eg_clock_monotonic_ns());
    if (what == EG_DUTY_REST)
        return NULL;
    eg_group_entry *entry = eg_group_first_concerned(g, what);
    if (entry->busy)
        entry = first_idle(g);
    if (entry == NULL)
        return NULL;
    assert(entry->cohort == 0); /* the first of its group: it sleeps alone */
    g->called = true;
    return eg_entry_mark(entry, EG_SIGNAL_CALLED);
}

static void let_go(eg_group *g)
{
    _Atomic uint32_t *word = call(g);
    pthread_mutex_unlock(&g->lock);
    eg_entry_wake(word);
}

/* ---- failing ---- */

static void give_cause(const eg_group *g, eg_entries *list)
{
    for (eg_group_entry *entry = list->head; entry != NULL; entry = entry->next) {
        entry->status = g->failure.status;
        entry->error = g->failure;
    }
}

/* Keeps the first failure; *doomed: whoever shares it, to be finished without the lock. */
static void fail(eg_group *g, engram_status status, const engram_error *error, eg_entries *doomed)
{
    if (!eg_group_has_failed(g)) {
        g->failure = *error;
        eg_fail(&g->failure, status, "group commit failed");
    }
    eg_entries_append(doomed, &g->written);
    eg_entries_append(doomed, &g->open);
    eg_entries_append(doomed, &g->queue);
    g->need_sync = g->written_urgent = 0;
    give_cause(g, doomed);
    pthread_cond_broadcast(&g->changed);
}

/* Wakes those entries in the middle of a thread's work. */
static void finish(eg_group *g, eg_entries *list)
{
    if (list->count == 0)
        return;
    let_go(g);
    eg_entries_finish(list, &g->cohorts);
    pthread_mutex_lock(&g->lock);
}

/* ---- taking ---- */

/* Sorts a run that was taken: accepted ones go to open, what lies behind one that closes goes back.
 */
static void sort_run(eg_group *g, eg_entries *run, eg_entries *refused, uint64_t now)
{
    if (g->open.count == 0) {
        g->opened_at = now;
        g->open_cohort += 1 + (g->open_cohort == UINT32_MAX);
    }
    while (run->count > 0 && !g->open_closes) {
        eg_entries one = eg_entries_split(run, 1);
        eg_group_entry *entry = one.head;
        bool accepted = entry->status == ENGRAM_OK;
        g->metrics.refused += !accepted;
        entry->cohort = accepted && g->open.count > 0 ? g->open_cohort : 0;
        eg_entries_append(accepted ? &g->open : refused, &one);
        if (accepted && !eg_group_is_relaxed(entry)) {
            g->need_sync++;
            eg_pace_join(&g->pace, now);
        }
        g->open_closes = accepted && entry->closes;
    }
    eg_entries_prepend(&g->queue, run);
}

static void leave_inside(eg_group *g)
{
    g->inside = false;
    if (g->boundaries > 0)
        pthread_cond_broadcast(&g->changed);
}

static void do_take(eg_group *g)
{
    engram_error error = {0};
    eg_entries run = eg_entries_split(&g->queue, eg_group_run_length(g)), gone = {0};
    g->inside = true;
    let_go(g);
    engram_status status = g->steps.take(g->steps.context, run.head, &error);
    pthread_mutex_lock(&g->lock);
    leave_inside(g);
    if (status == ENGRAM_OK && !eg_group_has_failed(g)) {
        sort_run(g, &run, &gone, eg_clock_monotonic_ns());
    } else {
        eg_entries_append(&gone, &run);
        fail(g, status, &error, &gone);
    }
    finish(g, &gone);
}

/* ---- writing ---- */

/* Relaxed groups that wait for nothing are as good as durable. */
static void pass_relaxed(eg_group *g)
{
    while (!g->streaming && g->written.head != NULL && eg_group_is_relaxed(g->written.head)) {
        eg_entries one = eg_entries_split(&g->written, 1);
        eg_entries_append(&g->durable, &one);
    }
}

static void note_written(eg_group *g, eg_entries *group, uint64_t ticket, bool urgent)
{
    for (eg_group_entry *entry = group->head; entry != NULL; entry = entry->next)
        entry->ticket = ticket;
    g->put_in += group->count;
    if (urgent)
        g->written_urgent += group->count;
    eg_entries_append(&g->written, group);
    pass_relaxed(g);
}

/* The caller holds the right to write: g->inside is set by it. */
static void write_open(eg_group *g)
{
    engram_error error = {0};
    uint64_t ticket = 0, now = eg_clock_monotonic_ns();
    bool urgent = eg_group_is_urgent(g, now);
    eg_group_count_closed(g, now);
    eg_entries group = g->open, gone = {0};
    g->open = (eg_entries){0};
    g->open_closes = false;
    let_go(g);
    engram_status status = g->steps.write(g->steps.context, &ticket, &error);
    pthread_mutex_lock(&g->lock);
    if (status == ENGRAM_OK && !eg_group_has_failed(g)) {
        note_written(g, &group, ticket, urgent);
    } else {
        eg_entries_append(&gone, &group);
        fail(g, status, &error, &gone);
        finish(g, &gone);
    }
}

static void do_write(eg_group *g)
{
    g->inside = true;
    write_open(g);
    leave_inside(g);
}

/* ---- syncing ---- */

static uint64_t count_unrelaxed(const eg_entries *list)
{
    uint64_t count = 0;
    for (const eg_group_entry *entry = list->head; entry != NULL; entry = entry->next)
        count += !eg_group_is_relaxed(entry);
    return count;
}

static void note_synced(eg_group *g, eg_entries *synced, uint64_t released, uint64_t took_ns,
                        uint64_t now)
{
    g->metrics.syncs++;
    g->metrics.sync_ns += took_ns;
    bool pending = g->need_sync + g->queue.count > 0;
    eg_pace_release(&g->pace, released, took_ns, pending, now);
    eg_entries_append(&g->durable, synced);
    pass_relaxed(g);
}

static void do_sync(eg_group *g)
{
    engram_error error = {0};
    eg_entries list = g->written, gone = {0};
    uint64_t released = count_unrelaxed(&list);
    g->written = (eg_entries){0};
    g->need_sync -= released;
    g->written_urgent = 0;
    g->streaming = true;
    let_go(g);
    uint64_t start = eg_clock_monotonic_ns();
    engram_status status = g->steps.sync(g->steps.context, &error);
    uint64_t end = eg_clock_monotonic_ns();
    pthread_mutex_lock(&g->lock);
    g->streaming = false;
    if (status == ENGRAM_OK) {
        note_synced(g, &list, released, end - start, end);
        return;
    }
    eg_entries_append(&gone, &list);
    fail(g, status, &error, &gone);
    finish(g, &gone);
}

/* ---- publishing ---- */

static void do_publish(eg_group *g)
{
    eg_entries gone = {0};
    g->publishing = true;
    while (g->durable.count > 0) {
        eg_entries part = g->durable;
        uint64_t ticket = part.tail->ticket;
        g->durable = (eg_entries){0};
        let_go(g);
        g->steps.publish(g->steps.context, ticket);
        pthread_mutex_lock(&g->lock);
        g->put_out += part.count;
        eg_entries_append(&gone, &part);
    }
    g->publishing = false;
    if (g->drains > 0)
        pthread_cond_broadcast(&g->changed);
    finish(g, &gone);
}

/* ---- the short wait ---- */

/* Sleeps: whoever makes up the number starts the sync, and this thread then waits like the others.
 */
static void do_watch(eg_group *g, eg_group_entry *entry)
{
    uint64_t deadline = g->pace.deadline, start = eg_clock_monotonic_ns();
    if (g->open.count > 0 && g->opened_at + g->delay_max_ns < deadline)
        deadline = g->opened_at + g->delay_max_ns;
    g->watching = true;
    let_go(g);
    uint32_t signals = eg_entry_sleep(entry, deadline);
    pthread_mutex_lock(&g->lock);
    g->watching = false;
    if (signals & EG_SIGNAL_CALLED)
        g->called = false;
    g->metrics.waits++;
    g->metrics.wait_ns += eg_clock_monotonic_ns() - start;
}

/* ---- the callers ---- */

static void perform(eg_group *g, eg_group_entry *entry, eg_duty what)
{
    entry->busy = what != EG_DUTY_WATCH;
    if (what == EG_DUTY_TAKE)
        do_take(g);
    else if (what == EG_DUTY_WRITE)
        do_write(g);
    else if (what == EG_DUTY_SYNC)
        do_sync(g);
    else if (what == EG_DUTY_PUBLISH)
        do_publish(g);
    else
        do_watch(g, entry);
    entry->busy = false;
}

/* Locked before and after. True when the entry is done and nobody called. */
static bool rest(eg_group *g, eg_group_entry *entry)
{
    bool has_cohort = entry->cohort != 0;
    pthread_mutex_unlock(&g->lock);
    if (has_cohort) {
        eg_entry_sleep_in_cohort(entry, &g->cohorts);
        return true;
    }
    if (!(eg_entry_sleep(entry, 0) & EG_SIGNAL_CALLED))
        return true;
    pthread_mutex_lock(&g->lock);
    g->called = false;
    return false;
}

engram_status eg_group_commit(eg_group *group, eg_group_entry *entry)
{
    entry->status = ENGRAM_OK;
    entry->cohort = 0;
    entry->busy = false;
    atomic_store(&entry->signals, 0);
    pthread_mutex_lock(&group->lock);
    eg_entries alone = {0};
    eg_entries_add(eg_group_has_failed(group) ? &alone : &group->queue, entry);
    if (alone.count > 0) {
        give_cause(group, &alone);
        atomic_store(&entry->signals, EG_SIGNAL_DONE);
    }
    while (!(eg_entry_signals(entry) & EG_SIGNAL_DONE)) {
        eg_duty what = eg_group_choose(group, eg_clock_monotonic_ns());
        if (what != EG_DUTY_REST)
            perform(group, entry, what);
        else if (rest(group, entry))
            return entry->status;
    }
    if (eg_entry_signals(entry) & EG_SIGNAL_CALLED)
        group->called = false;
    let_go(group);
    return entry->status;
}

/* ---- those without an entry ---- */

static void wait_for_change(eg_group *g)
{
    eg_entry_wake(call(g));
    pthread_cond_wait(&g->changed, &g->lock);
}

static engram_status return_failure(const eg_group *g, engram_error *error)
{
    if (eg_group_has_failed(g) && error != NULL && error->status == ENGRAM_OK)
        *error = g->failure;
    return g->failure.status;
}

engram_status eg_group_at_boundary(eg_group *group,
                                   engram_status (*work)(void *context, engram_error *error),
                                   void *context, engram_error *error)
{
    pthread_mutex_lock(&group->lock);
    group->boundaries++;
    while (group->inside && !eg_group_has_failed(group))
        wait_for_change(group);
    bool has_turn = !eg_group_has_failed(group);
    if (has_turn) {
        group->inside = true;
        if (group->open.count > 0)
            write_open(group);
    }
    engram_status status = return_failure(group, error);
    if (status == ENGRAM_OK) {
        let_go(group);
        status = work(context, error);
        pthread_mutex_lock(&group->lock);
    }
    group->boundaries--;
    if (has_turn)
        leave_inside(group);
    let_go(group);
    return status;
}

engram_status eg_group_drain(eg_group *group, engram_error *error)
{
    pthread_mutex_lock(&group->lock);
    uint64_t target = group->put_in;
    group->drains++;
    while (group->put_out < target && !eg_group_has_failed(group))
        wait_for_change(group);
    group->drains--;
    engram_status status = return_failure(group, error);
    let_go(group);
    return status;
}

void eg_group_get_metrics(eg_group *group, eg_group_metrics *metrics)
{
    pthread_mutex_lock(&group->lock);
    *metrics = group->metrics;
    metrics->waiting_pays = group->pace.waits;
    pthread_mutex_unlock(&group->lock);
}
