/* Group commit: many threads commit at once and share the syncs.
 *
 * A caller's commit is an entry. Entries are taken, in the order in which they came, into the group
 * at hand; the group is closed by writing its records; one sync makes any number of written groups
 * durable; then they are published, in order, and their callers return. What these steps do is the
 * owner's (eg_group_steps): the engine decides who does which step when. There is one sync at a
 * time. It runs beside taking and writing, so that the next group fills meanwhile.
 *
 * The engine has no thread of its own. Each step is done by one of the callers that are inside: a
 * lone one takes, writes, syncs and publishes in its own thread. Among many, nearly all sleep once,
 * each on its own word, until their entry is published.
 *
 * A group of EG_DURABILITY_GROUP entries is closed when the sync stream is free and a short wait for
 * those whom the last sync released is over (pace.h), or when an entry closes it, or when it holds
 * ops_max, or when it is older than delay_max_us. Groups hold entries of one durability. */
#ifndef EG_JOURNAL_GROUP_H
#define EG_JOURNAL_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef enum eg_durability {
    EG_DURABILITY_GROUP = 0, /* durable when the call returns; syncs are shared */
    EG_DURABILITY_IMMEDIATE, /* durable when the call returns; a group and a sync of its own */
    EG_DURABILITY_RELAXED    /* written when the call returns, but waits for no sync of its own */
} eg_durability;

/* One commit. It lives on its caller's stack until eg_group_commit returns; embed it to give it
 * content. The caller sets durability and closes, and zeroes the rest. */
typedef struct eg_group_entry {
    struct eg_group_entry *next; /* of the entries handed to take; not to be changed */
    eg_durability durability;
    bool closes; /* set by the caller or by take: nothing joins the group behind this entry */
    engram_status status; /* set by take to refuse it: it is not part of the group, and returns */
    engram_error error;   /* the sentence that goes with a refusal */
    /* The engine's. */
    uint64_t ticket;
    uint32_t cohort;
    bool busy; /* its thread does a step */
    _Atomic uint32_t signals;
} eg_group_entry;

/* A failure of take, write or sync is final: see eg_group_commit. */
typedef struct eg_group_steps {
    void *context;
    /* Takes entries, one or more of one durability, in order, into the group at hand. An entry is refused by setting
     * its status. When take sets `closes` of one, it leaves those behind it alone: they come again. One
     * thread at a time, never beside write or work at a boundary; beside sync and publish of earlier groups. */
    engram_status (*take)(void *context, eg_group_entry *entries, engram_error *error);
    /* Closes the group at hand, which holds one entry at least: writes its records. *ticket: any number that rises
     * from group to group. Same thread rule. */
    engram_status (*write)(void *context, uint64_t *ticket, engram_error *error);
    /* Makes every group written before the call durable. One thread at a time; beside all the other steps. */
    engram_status (*sync)(void *context, engram_error *error);
    /* Every group up to ticket is durable, or relaxed: makes it visible. One thread at a time, tickets
     * rising; beside all the other steps. */
    void (*publish)(void *context, uint64_t ticket);
} eg_group_steps;

typedef struct eg_group_options {
    uint32_t ops_max;  /* of a group; 0: 4096 */
    uint64_t delay_max_us; /* a ceiling for what a group waits while it could be synced; 0: 5000 */
} eg_group_options;

typedef struct eg_group eg_group;

/* options may be NULL. ENGRAM_NO_MEMORY. */
engram_status eg_group_create(const eg_group_steps *steps, const eg_group_options *options, eg_group **group,
                              engram_error *error);
/* Nobody is inside. NULL is fine. */
void eg_group_free(eg_group *group);

/* Returns when the entry is published, or was refused by take, or the engine has failed; returns
 * entry->status. After the first failure of a step nothing more is taken or written, and every
 * entry that is not durable by then, and every later one, gets its status and sentence. Any number of threads. */
engram_status eg_group_commit(eg_group *group, eg_group_entry *entry);

/* Closes the group at hand, if there is one, and runs work when it is written: no take and no write runs
 * beside it, while earlier groups may still be syncing. Goes ahead of the entries that wait. Any number of
 * threads, one work at a time; a failure of work is returned and means nothing to the engine. */
engram_status eg_group_at_boundary(eg_group *group, engram_status (*work)(void *context, engram_error *error),
                                   void *context, engram_error *error);

/* Returns when everything written before the call is published; also within work at a boundary. */
engram_status eg_group_drain(eg_group *group, engram_error *error);

typedef struct eg_group_metrics {
    uint64_t groups;  /* written */
    uint64_t entries; /* in them */
    uint64_t refused;
    uint64_t syncs;
    /* Why groups were closed: the stream was free (or, relaxed, nothing more was there); ops_max;
     * delay_max; an entry asked, was immediate, or had another durability; a boundary. */
    uint64_t closed_sync_free, closed_full, closed_delay, closed_asked, closed_boundary;
    uint64_t sync_ns;       /* in sync, all told */
    uint64_t waits, wait_ns; /* of the short wait for those released */
    bool waiting_pays;      /* what the engine thinks of it at present */
} eg_group_metrics;

void eg_group_get_metrics(eg_group *group, eg_group_metrics *metrics);

#endif
