/* Steps that only count, and hold each call against the contract of eg_group_steps. */
#ifndef TESTS_JOURNAL_GROUP_RIG_H
#define TESTS_JOURNAL_GROUP_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/test.h"
#include "journal/group.h"

typedef struct commit {
    eg_group_entry entry; /* first */
    bool refuse;
    bool close_at_take;
    uint64_t place; /* among all that were taken and accepted; from 1 */
    uint64_t group; /* ticket */
    atomic_bool returned;
} commit;

typedef enum step { STEP_NONE, STEP_TAKE, STEP_WRITE, STEP_SYNC } step;

enum { GROUPS_MAX = 100000 };

typedef struct rig {
    eg_group *group;
    atomic_int inside, in_sync, in_publish; /* threads in these steps */
    /* Of take and write, which exclude each other. */
    uint64_t taken, in_group, groups;
    atomic_bool half_taken;
    atomic_uint_least64_t written, written_groups; /* places, tickets */
    uint64_t last_of[GROUPS_MAX + 1];              /* place, by ticket */
    /* Of sync and publish. */
    uint64_t synced_before;
    atomic_uint_least64_t durable, published, published_groups;
    atomic_uint_least64_t syncs;
    uint64_t covered_max; /* entries that one sync made durable */

    step failing; /* and at which of its calls; every later call of any step is one too many */
    atomic_int calls_left;
    atomic_bool failed;

    pthread_mutex_t lock; /* of the gates: a closed one stops its step */
    pthread_cond_t opened;
    bool sync_closed, take_closed;
    atomic_int at_sync_gate, at_take_gate;
} rig;

/* options may be NULL. */
void rig_init(rig *r, const eg_group_options *options);
void rig_fini(rig *r);
void rig_fail_at(rig *r, step failing, int n);
void rig_set_gates(rig *r, bool sync_closed, bool take_closed);

/* Commits, and asserts what must hold on return. */
engram_status rig_commit(rig *r, commit *c);
/* The same in a thread of its own. */
typedef struct committer {
    rig *rig;
    commit commit;
    pthread_t thread;
} committer;
void committer_start(committer *c, rig *r, eg_durability durability);
/* Its status. */
engram_status committer_join(committer *c);

/* Waits, giving way, until the condition holds. */
#define WAIT_UNTIL(condition)                                                                      \
    while (!(condition))                                                                           \
    sched_yield()

#endif
