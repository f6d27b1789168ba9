/* The inside of group commit: its state, and what follows from it.
 *
 * Entries move through lists: queue -> open (taken into the group at hand) -> written -> durable
 * -> gone, and belong to the thread that does a step with them in between. A group is a run of
 * entries with one ticket. All of this is under one lock, which is never held during a step. What
 * there is to do follows from it alone (eg_group_choose).
 *
 * `inside` is the right to take and write, held by a work at a boundary too; `streaming` the sync
 * stream; `publishing` the right to publish; `watching` says that a thread spends the short wait
 * before the next sync, and looks again at its end. Relaxed groups pass from written to durable as
 * soon as they come to the head and nothing is syncing. */
#ifndef EG_JOURNAL_DUTY_H
#define EG_JOURNAL_DUTY_H

#include <pthread.h>

#include "journal/entries.h"
#include "journal/group.h"
#include "journal/pace.h"

struct eg_group {
    eg_group_steps steps;
    uint32_t ops_max;
    uint64_t delay_max_ns;

    pthread_mutex_t lock;   /* guards everything below */
    pthread_cond_t changed; /* for those without an entry: at_boundary and drain */
    eg_entries queue, open, written, durable;
    uint64_t opened_at; /* when the group at hand got its first entry */
    bool open_closes;   /* nothing may join it */
    uint32_t open_cohort;
    eg_cohorts cohorts;
    uint64_t written_urgent; /* entries in written whose group asked to be closed, or was full */
    uint64_t need_sync;      /* entries in open and written that are not relaxed */
    bool inside, streaming, publishing, watching, called;
    uint32_t boundaries;      /* works waiting or running */
    uint32_t drains;          /* waiting */
    uint64_t put_in, put_out; /* entries that came to written, and that were published, ever */
    eg_pace pace;
    eg_group_metrics metrics;
    engram_error failure;
};

typedef enum eg_duty {
    EG_DUTY_REST,
    EG_DUTY_TAKE,
    EG_DUTY_WRITE,
    EG_DUTY_SYNC,
    EG_DUTY_PUBLISH,
    EG_DUTY_WATCH
} eg_duty;

/* All of these under the lock. The best that any thread can do now. */
eg_duty eg_group_choose(const eg_group *group, uint64_t now);
/* The entry that is moved on by it first, or waits for it first. It is the first of its group. */
eg_group_entry *eg_group_first_concerned(const eg_group *group, eg_duty duty);

bool eg_group_has_failed(const eg_group *group);
bool eg_group_is_relaxed(const eg_group_entry *entry);
/* The group at hand, not empty, shall be synced without the short wait. */
bool eg_group_is_urgent(const eg_group *group, uint64_t now);
/* Counts the group at hand, and why it is closed. */
void eg_group_count_closed(eg_group *group, uint64_t now);
/* How many of the queue's entries, which is not empty, go into the group at hand together. */
uint64_t eg_group_run_length(const eg_group *group);

#endif
