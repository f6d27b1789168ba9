/* A workload's surroundings: a disk in memory that records, an engram on it, and the history that
 * the workload claims. Workloads are straight-line programs: what must not fail ends them
 * when it does. */
#ifndef EG_TESTS_CRASH_WORLD_H
#define EG_TESTS_CRASH_WORLD_H

#include <setjmp.h>

#include "crash/check.h"
#include "crash/lies.h"
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
    liar *liar;          /* from there on */
    jmp_buf failed;
    char failure[1200];
} world;

typedef struct workload {
    const char *name;
    const char *about;
    void (*run)(world *w);
    uint64_t journal_size, segment_size; /* 0: 64 KiB */
    uint64_t small_size;                 /* 0: 8 KiB */
    bool cuts;      /* it loses its own power, or dies: not for disks that lie */
    bool threads;   /* it has threads, and checkpoints are made beside it: no two traces are equal */
    bool lets_go;   /* of versions: not all can be pinned */
} workload;

extern const workload workloads[];
extern const size_t workload_count;

/* Runs it, recording. False: it failed, as world->failure says. */
bool world_record(world *w, const workload *what, liar *l);
void world_fini(world *w);

/* For workloads. */
/* An engram, open; not explored unless the workload calls world_explore first. */
void world_create(world *w);
void world_explore(world *w); /* from here on */
void world_open(world *w);
void world_close(world *w);
void world_checkpoint(world *w);

/* One transaction between world_begin and world_commit, by way of *t. */
void world_begin(world *w, writer *t);
void world_begin_as(world *w, writer *t, engram_durability durability);
void world_begin_raw(world *w, writer *t);
void world_commit(world *w, writer *t);
/* It was begun as relaxed: a power cut may undo it. */
void world_commit_relaxed(world *w, writer *t);
/* The commit must be refused, and leaves no trace. */
void world_commit_refused(world *w, writer *t);
/* It must lose against another one. */
void world_commit_conflict(world *w, writer *t);
void world_abort(world *w, writer *t);
/* The power goes before the n-th operation of the disk within the commit (or what follows). */
void world_commit_cut(world *w, writer *t, uint64_t n);

/* A commit of several threads: they tell it when it was made, one at a time. The edits are taken. */
void world_note_commit(world *w, int64_t begin, int64_t ack, uint64_t version, edit_list *edits);
/* Transactions of one call. */
void world_put(world *w, const char *path, uint64_t seed, size_t size);
void world_remove(world *w, const char *path);

void world_snapshot(world *w, const char *name);
void world_snapshot_at(world *w, const char *name, int64_t version);
void world_forget(world *w, const char *name);
void world_set_retention(world *w, const engram_retention *rules);

/* Power cut now; what stays is drawn from seed (0: nothing that was not synced; 1: everything).
 * Then open. */
void world_crash(world *w, uint64_t seed);
/* And the power goes again before the n-th operation of the disk while it is opened. */
void world_crash_twice(world *w, uint64_t seed, uint64_t n, uint64_t seed_then);
/* The process dies and another one opens; the disk has its power, and what was not synced is still
 * not. */
void world_kill(world *w);
void world_fail(world *w, const char *what, const engram_error *error) __attribute__((noreturn));

#endif
