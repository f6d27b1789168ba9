/* Pure functions of the state, but for the counting. */
#include "journal/duty.h"

bool eg_group_has_failed(const eg_group *g)
{
    return g->failure.status != ENGRAM_OK;
}

bool eg_group_is_relaxed(const eg_group_entry *entry)
{
    return entry->durability == EG_DURABILITY_RELAXED;
}

static bool is_full(const eg_group *g)
{
    return g->open.count >= g->ops_max;
}

/* The head of the queue cannot join the group at hand. */
static bool is_other_next(const eg_group *g)
{
    return g->queue.head != NULL && g->queue.head->durability != g->open.head->durability;
}

static bool is_overdue(const eg_group *g, uint64_t now)
{
    return now > g->opened_at && now - g->opened_at >= g->delay_max_ns;
}

static bool can_take(const eg_group *g)
{
    if (g->inside || g->boundaries > 0 || g->queue.head == NULL)
        return false;
    if (g->queue.head->durability == EG_DURABILITY_IMMEDIATE)
        return g->open.count + g->written.count == 0 && !g->streaming;
    return g->open.count == 0 || !(g->open_closes || is_full(g) || is_other_next(g));
}

/* The group at hand, not empty, shall be synced without the short wait. */
bool eg_group_is_urgent(const eg_group *g, uint64_t now)
{
    return !eg_group_is_relaxed(g->open.head) &&
           (g->open_closes || is_full(g) || is_overdue(g, now) ||
            g->open.head->durability == EG_DURABILITY_IMMEDIATE);
}

/* It is closed whether the stream is free or not. */
static bool must_write(const eg_group *g, uint64_t now)
{
    return eg_group_is_relaxed(g->open.head) || g->boundaries > 0 || is_other_next(g) ||
           eg_group_is_urgent(g, now);
}

static bool is_sync_due(const eg_group *g, uint64_t now)
{
    if (g->streaming || g->need_sync == 0)
        return false;
    bool is_awaited = g->queue.head != NULL && g->queue.head->durability == EG_DURABILITY_IMMEDIATE;
    return is_awaited || g->boundaries > 0 || g->written_urgent > 0 ||
           (g->open.count > 0 && eg_group_is_urgent(g, now)) ||
           eg_pace_is_due(&g->pace, g->queue.count, now);
}

eg_duty eg_group_choose(const eg_group *g, uint64_t now)
{
    if (g->durable.count > 0 && !g->publishing)
        return EG_DUTY_PUBLISH;
    if (eg_group_has_failed(g))
        return EG_DUTY_REST;
    bool due = is_sync_due(g, now), can_write = g->open.count > 0 && !g->inside;
    if (can_take(g) && g->open.count > 0)
        return EG_DUTY_TAKE; /* joins what is about to be written */
    if (can_write && (due || must_write(g, now)))
        return EG_DUTY_WRITE;
    if (due && g->written.count > 0)
        return EG_DUTY_SYNC;
    if (can_take(g))
        return EG_DUTY_TAKE;
    return g->need_sync > 0 && !g->streaming && !g->inside && !g->watching ? EG_DUTY_WATCH
                                                                           : EG_DUTY_REST;
}

eg_group_entry *eg_group_first_concerned(const eg_group *g, eg_duty what)
{
    if (what == EG_DUTY_TAKE)
        return g->queue.head;
    if (what == EG_DUTY_PUBLISH)
        return g->durable.head;
    return what == EG_DUTY_SYNC || g->open.head == NULL ? g->written.head : g->open.head;
}

void eg_group_count_closed(eg_group *g, uint64_t now)
{
    eg_group_metrics *m = &g->metrics;
    m->groups++;
    m->entries += g->open.count;
    if (g->open_closes || g->open.head->durability == EG_DURABILITY_IMMEDIATE || is_other_next(g))
        m->closed_asked++;
    else if (g->boundaries > 0)
        m->closed_boundary++;
    else if (is_full(g))
        m->closed_full++;
    else if (!eg_group_is_relaxed(g->open.head) && is_overdue(g, now))
        m->closed_delay++;
    else
        m->closed_sync_free++;
}

static bool fits(const eg_group_entry *before, const eg_group_entry *entry)
{
    return entry->durability == before->durability && !before->closes &&
           before->durability != EG_DURABILITY_IMMEDIATE;
}

uint64_t eg_group_run_length(const eg_group *g)
{
    uint64_t count = 1;
    const eg_group_entry *last = g->queue.head;
    for (; last->next != NULL && g->open.count + count < g->ops_max && fits(last, last->next);
         last = last->next)
        count++;
    return count;
}
