/* When to start the next sync: the short wait of group commit, and whether it pays.
 *
 * Without a wait, callers that commit again at once split into two halves: one is in the sync while the
 * other fills the next group, and each sync carries half of them. So the next sync waits until as
 * many have joined since the last one as that one released, but at most half of what a sync takes: to be
 * woken and to come back takes some 5 to 10 us a caller, which for 8 callers is a third of a fast sync. Where the
 * wait gains nothing (very many callers on few cores, callers that do something else in between), it is turned
 * off: rates with and without are measured by turns, in busy time, and the better one is kept.
 *
 * Plain arithmetic over times that the caller passes, in nanoseconds of one monotonic clock; no clock, no lock. */
#ifndef EG_JOURNAL_PACE_H
#define EG_JOURNAL_PACE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct eg_pace {
    uint64_t wait_max_ns;
    uint64_t sync_ns;  /* of one sync, smoothed; 0: none yet */
    uint64_t released; /* by the last sync */
    uint64_t joined;   /* since then */
    uint64_t released_at, deadline;
    uint64_t busy_since; /* of the cycle that ends with the next sync */
    bool idle;           /* nothing was there for it yet */

    bool waits;  /* the choice that is kept */
    bool trying; /* the other one is being measured */
    double rate; /* of the choice that is kept: entries a nanosecond; 0: not known */
    double load; /* entries a sync when it was chosen */
    uint32_t settle;                /* syncs left that do not count, after a change */
    uint32_t syncs;                 /* of the measurement at hand */
    uint64_t entries, busy_ns;      /* of these */
    uint32_t interval, until_trial; /* in measurements */
} eg_pace;

void eg_pace_init(eg_pace *pace, uint64_t wait_max_ns);

/* An entry joined that needs a sync. */
void eg_pace_join(eg_pace *pace, uint64_t now);

/* Whether a sync may start now. coming: entries that wait to join. */
bool eg_pace_is_due(const eg_pace *pace, uint64_t coming, uint64_t now);

/* A sync that took sync_ns has ended and releases so many entries; pending: others wait for the next. */
void eg_pace_release(eg_pace *pace, uint64_t entries, uint64_t sync_ns, bool pending, uint64_t now);

/* Whether the wait is in force: by choice, or on trial. */
bool eg_pace_waits(const eg_pace *pace);

#endif
