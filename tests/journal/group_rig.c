#include "journal/group_rig.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Assertions of cmocka leave by longjmp, which only the test's own thread may do. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void enter(atomic_int *door)
{
    CHECK(atomic_fetch_add(door, 1) == 0);
}

static void leave(atomic_int *door)
{
    atomic_fetch_sub(door, 1);
}

static void pass_gate(rig *r, const bool *closed, atomic_int *waiting)
{
    pthread_mutex_lock(&r->lock);
    atomic_fetch_add(waiting, *closed);
    bool waited = *closed;
    while (*closed)
        pthread_cond_wait(&r->opened, &r->lock);
    atomic_fetch_sub(waiting, waited);
    pthread_mutex_unlock(&r->lock);
}

static engram_status fail_in_time(rig *r, step here, engram_error *error)
{
    /* A step may begin while another one is about to fail, but these two exclude each other, and
     * so do syncs. */
    if ((here == STEP_SYNC) == (r->failing == STEP_SYNC))
        CHECK(!atomic_load(&r->failed));
    if (r->failing != here || atomic_fetch_sub(&r->calls_left, 1) != 1)
        return ENGRAM_OK;
    atomic_store(&r->failed, true);
    error->status = ENGRAM_IO;
    error->os_error = 5;
    strcpy(error->message, "the disk is gone");
    return ENGRAM_IO;
}

static engram_status take(void *context, eg_group_entry *entries, engram_error *error)
{
    rig *r = context;
    enter(&r->inside);
    pass_gate(r, &r->take_closed, &r->at_take_gate);
    engram_status status = fail_in_time(r, STEP_TAKE, error);
    CHECK(entries != NULL);
    eg_durability durability = entries->durability;
    for (eg_group_entry *e = entries; e != NULL && status == ENGRAM_OK; e = e->next) {
        commit *c = (commit *)e;
        CHECK(e->durability == durability);
        e->closes |= c->close_at_take && !c->refuse;
        if (c->refuse) {
            e->status = ENGRAM_CONFLICT;
            strcpy(e->error.message, "refused");
            continue;
        }
        c->place = ++r->taken;
        c->group = r->groups + 1;
        r->in_group++;
        CHECK(durability != EG_DURABILITY_IMMEDIATE || r->in_group == 1);
        if (e->closes)
            break;
    }
    atomic_store(&r->half_taken, r->in_group > 0);
    leave(&r->inside);
    return status;
}

static engram_status write_group(void *context, uint64_t *ticket, engram_error *error)
{
    rig *r = context;
    enter(&r->inside);
    engram_status status = fail_in_time(r, STEP_WRITE, error);
    CHECK(r->in_group > 0 && r->groups < GROUPS_MAX);
    if (status == ENGRAM_OK) {
        *ticket = ++r->groups;
        r->last_of[*ticket] = r->taken;
        r->in_group = 0;
        atomic_store(&r->half_taken, false);
        atomic_store(&r->written, r->taken);
        atomic_store(&r->written_groups, r->groups);
    }
    leave(&r->inside);
    return status;
}

static engram_status sync_groups(void *context, engram_error *error)
{
    rig *r = context;
    enter(&r->in_sync);
    uint64_t written = atomic_load(&r->written);
    pass_gate(r, &r->sync_closed, &r->at_sync_gate);
    for (int i = 0; i < 20; i++)
        sched_yield();
    engram_status status = fail_in_time(r, STEP_SYNC, error);
    if (status == ENGRAM_OK) {
        if (written - r->synced_before > r->covered_max)
            r->covered_max = written - r->synced_before;
        r->synced_before = written;
        atomic_store(&r->durable, written);
        atomic_fetch_add(&r->syncs, 1);
    }
    leave(&r->in_sync);
    return status;
}

static void publish(void *context, uint64_t ticket)
{
    rig *r = context;
    enter(&r->in_publish);
    CHECK(ticket > atomic_load(&r->published_groups));
    CHECK(ticket <= atomic_load(&r->written_groups));
    atomic_store(&r->published_groups, ticket);
    atomic_store(&r->published, r->last_of[ticket]);
    leave(&r->in_publish);
}

void rig_init(rig *r, const eg_group_options *options)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->opened, NULL);
    eg_group_steps steps = {r, take, write_group, sync_groups, publish};
    CHECK(eg_group_create(&steps, options, &r->group, NULL) == ENGRAM_OK);
}

void rig_fini(rig *r)
{
    eg_group_free(r->group);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->opened);
}

void rig_fail_at(rig *r, step failing, int n)
{
    r->failing = failing;
    atomic_store(&r->calls_left, n);
}

void rig_set_gates(rig *r, bool sync_closed, bool take_closed)
{
    pthread_mutex_lock(&r->lock);
    r->sync_closed = sync_closed;
    r->take_closed = take_closed;
    pthread_cond_broadcast(&r->opened);
    pthread_mutex_unlock(&r->lock);
}

engram_status rig_commit(rig *r, commit *c)
{
    engram_status status = eg_group_commit(r->group, &c->entry);
    if (status == ENGRAM_OK) {
        CHECK(!c->refuse && c->place > 0);
        CHECK(atomic_load(&r->published) >= c->place);
        CHECK(c->entry.durability == EG_DURABILITY_RELAXED || atomic_load(&r->durable) >= c->place);
    } else if (status == ENGRAM_CONFLICT) {
        CHECK(c->refuse && strcmp(c->entry.error.message, "refused") == 0);
    } else {
        CHECK(status == ENGRAM_IO && atomic_load(&r->failed));
        CHECK(strcmp(c->entry.error.message, "the disk is gone") == 0);
        CHECK(c->entry.error.status == ENGRAM_IO && c->entry.error.os_error == 5);
    }
    atomic_store(&c->returned, true);
    return status;
}

static void *run_commit(void *context)
{
    committer *c = context;
    rig_commit(c->rig, &c->commit);
    return NULL;
}

void committer_start(committer *c, rig *r, eg_durability durability)
{
    c->rig = r;
    c->commit.entry.durability = durability;
    CHECK(pthread_create(&c->thread, NULL, run_commit, c) == 0);
}

engram_status committer_join(committer *c)
{
    CHECK(pthread_join(c->thread, NULL) == 0);
    return c->commit.entry.status;
}
