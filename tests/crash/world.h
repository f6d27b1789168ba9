/* A workload's surroundings: a disk in memory that records, an engram on it, and the history that
 * the workload claims. Workloads are straight-line programs: what must not fail ends them
 * when it does. */
#ifndef EG_TESTS_CRASH_WORLD_H
#define EG_TESTS_CRASH_WORLD_H

#include <setjmp.h>

#include "crash/check.h"
#include "crash/writer.h"

typedef struct world {
    const char *name; /* of the workload */
    ram_disk *disk;
    eg_engram *engram;
    eg_engram_options options;
    trace trace;
    history history;
    int64_t version;     /* the newest acknowledged one */
    int64_t steps_from;  /* the trace before is not explored */
    ram_disk_liar *liar; /* from there on; may be NULL */
    void *liar_context;
    jmp_buf failed;
    char failure[1200];
} world;

typedef struct workload {
    const char *name;
    const char *about;
    void (*run)(world *w);
    uint64_t journal_size, segment_size; /* 0: 64 KiB */
    bool cuts;                           /* it loses its own power: not for disks that lie */
} workload;

extern const workload workloads[];
extern const size_t workload_count;

/* Runs it, recording. False: it failed, as world->failure says. */
bool world_record(world *w, const workload *what, ram_disk_liar *liar, void *context);
void world_fini(world *w);

/* For workloads. */
void world_create(
    world *w); /* an engram, open; not explored unless the workload calls world_explore first */
void world_explore(world *w); /* from here on */
void world_open(world *w);
void world_close(world *w);
void world_checkpoint(world *w);
/* One transaction between world_begin and world_commit, by way of *t. */
void world_begin(world *w, writer *t);
void world_commit(world *w, writer *t);
/* The commit must be refused, and leaves no trace. */
void world_commit_refused(world *w, writer *t);
/* The power goes before the n-th operation of the disk within the commit (or what follows). */
void world_commit_cut(world *w, writer *t, uint64_t n);
/* Power cut now; what stays is drawn from seed (0: nothing that was not synced; 1: everything).
 * Then open. */
void world_crash(world *w, uint64_t seed);
void world_fail(world *w, const char *what, const engram_error *error) __attribute__((noreturn));

#endif
