/* Where new chunks are between their commit and their segment's sync: in records, in the store, in
 * both. */
#include <stdio.h>

#include "crash/workloads.h"

void workload_carried(world *w)
{
    world_create(w);
    world_explore(w);
    world_put(w, "a", 1, 5000);
    world_put(w, "b", 2, 7000);
    world_put(w, "c", 1, 5000); /* found, in a segment that was not synced */
    world_checkpoint(w);
    world_put(w, "d", 3, 5000);
    world_put(w, "e", 2, 7000); /* found, and synced */
    world_checkpoint(w);
}

void workload_unsynced(world *w)
{
    char path[16];
    world_create(w);
    for (unsigned i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "f%u", i);
        world_put(w, path, i, 900 + 1000 * i);
    }
    world_explore(w);
    world_crash_twice(w, 0, 7, 1);
    world_put(w, "f1", 11, 3000);
    world_put(w, "f2", 4, 4900); /* found */
    world_crash_twice(w, 3, 12, 0);
    world_put(w, "f3", 13, 3000);
    world_crash(w, 0);
    world_put(w, "f1", 3, 3900); /* found */
}

void workload_spilled(world *w)
{
    writer large, small, lost;
    world_create(w);
    world_explore(w);
    world_begin(w, &large);
    writer_put(&large, "large", 1, 20000); /* spilled, not synced */
    world_put(w, "b", 2, 5000);            /* carried, behind it in the segment */
    world_begin(w, &small);
    writer_put(&small, "c", 1, 8192); /* finds what was spilled */
    world_commit(w, &small);
    world_begin(w, &lost);
    writer_put(&lost, "lost", 3, 20000);
    writer_put(&large, "more", 2, 5000); /* finds what was carried */
    world_abort(w, &lost);
    world_put(w, "d", 3, 8192); /* finds what the aborted one left */
    world_commit(w, &large);
    world_begin(w, &lost);
    writer_put(&lost, "d", 5, 5000);
    world_put(w, "d", 4, 100);
    world_commit_conflict(w, &lost);
    world_begin(w, &large);
    writer_pour(&large, "large", 7, 30000);
    world_put(w, "e", 5, 5000); /* what the loser had */
    world_commit(w, &large);
}

void workload_in_place(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 10000);
    world_explore(w);
    world_begin(w, &t);
    writer_write_at(&t, "a", 3000, 2, 3000);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_append(&t, "a", 3, 700);
    writer_append(&t, "a", 4, 9000); /* spilled */
    world_commit(w, &t);
    world_begin(w, &t);
    writer_truncate(&t, "a", 12345);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_update_chunk(&t, "a", 4096, 5, 4096);
    writer_update_chunk(&t, "a", 12288, 6, 1000);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_write_at(&t, "a", 20000, 7, 10);
    writer_truncate(&t, "a", 100);
    writer_append(&t, "a", 8, 100);
    world_commit(w, &t);
}

static void put_as(world *w, const char *path, uint64_t seed, engram_durability durability)
{
    writer t;
    world_begin_as(w, &t, durability);
    writer_put(&t, path, seed, 2000);
    if (durability == ENGRAM_DURABILITY_RELAXED)
        world_commit_relaxed(w, &t);
    else
        world_commit(w, &t);
}

void workload_relaxed(world *w)
{
    world_create(w);
    world_explore(w);
    put_as(w, "a", 1, ENGRAM_DURABILITY_RELAXED);
    put_as(w, "b", 2, ENGRAM_DURABILITY_RELAXED);
    put_as(w, "c", 3, ENGRAM_DURABILITY_GROUP);
    put_as(w, "d", 4, ENGRAM_DURABILITY_RELAXED);
    put_as(w, "e", 2, ENGRAM_DURABILITY_RELAXED); /* found in what may be lost */
    world_checkpoint(w);
    put_as(w, "f", 6, ENGRAM_DURABILITY_RELAXED);
    put_as(w, "g", 6, ENGRAM_DURABILITY_IMMEDIATE);
    put_as(w, "h", 8, ENGRAM_DURABILITY_RELAXED);
    world_close(w);
}

void workload_immediate(world *w)
{
    world_create(w);
    world_explore(w);
    put_as(w, "a", 1, ENGRAM_DURABILITY_IMMEDIATE);
    put_as(w, "b", 2, ENGRAM_DURABILITY_GROUP);
    put_as(w, "c", 1, ENGRAM_DURABILITY_IMMEDIATE);
    put_as(w, "a", 3, ENGRAM_DURABILITY_IMMEDIATE);
}

/* What a loser left is durable, and no record has told of it, when others find it who bring chunks
 * of their own along. */
void workload_found_again(world *w)
{
    writer loser, finder;
    world_create(w);
    world_put(w, "a", 1, 100);
    world_explore(w);
    for (unsigned i = 0; i < 3; i++) {
        world_begin(w, &loser);
        writer_put(&loser, "a", 20 + i, 20000);
        world_put(w, "a", 10 + i, 100);
        world_commit_conflict(w, &loser);
        world_begin(w, &finder);
        writer_put(&finder, "b", 20 + i, 8192);
        writer_put(&finder, "c", 30 + i, 700);
        world_commit(w, &finder);
    }
}

/* Ids that are missing, in a segment that is sealed with more than was told of it. */
void workload_gaps(world *w)
{
    writer lost;
    world_create(w);
    world_put(w, "a", 1, 300);
    world_begin(w, &lost);
    writer_put(&lost, "lost", 2, 20000);
    world_put(w, "b", 3, 300);
    world_abort(w, &lost);
    world_crash(w, 0);
    world_explore(w);
    world_put(w, "c", 4, 300);
    world_close(w);
    world_open(w);
    world_put(w, "d", 5, 300);
}
