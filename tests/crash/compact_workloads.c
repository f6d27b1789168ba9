/* Garbage that goes, and segments that become one: no version comes or goes but by the rules. */
#include "crash/workloads.h"

static void compact(world *w, bool merges)
{
    engram_error error = {0};
    engram_compact_options options = {.garbage = 0.001};
    engram_compacted done;
    engram_status status = merges ? engram_compact(w->engram, &options, &done, &error)
                                  : engram_gc(w->engram, &options, &done, &error);
    if (status != ENGRAM_OK)
        world_fail(w, "compacting", &error);
}

/* Several segments, each with something of every file; what is put again is like what was there. */
static void fill(world *w, uint64_t first)
{
    for (uint64_t i = 0; i < 4; i++) {
        char path[8] = {'f', (char)('0' + i), 0};
        world_put(w, path, first + i % 3, 14000);
    }
}

void workload_garbage(world *w)
{
    const engram_retention only_newest = {.last = 1};
    world_create(w);
    fill(w, 1);
    world_put(w, "stays", 50, 9000);
    world_explore(w);
    world_set_retention(w, &only_newest);
    fill(w, 10);
    world_remove(w, "f2");
    compact(w, false);
    world_put(w, "f2", 3, 14000); /* what it held first: that has gone */
    compact(w, false);
    world_put(w, "f0", 11, 14000);
    world_kill(w);
    compact(w, true);
    world_close(w); /* the tree is written anew */
    world_open(w);
    world_remove(w, "f1");
    world_crash(w, 7);
    compact(w, true);
    world_put(w, "again", 50, 9000);
}

static void begin_merging(world *w)
{
    world_create(w);
    fill(w, 1);
    world_close(w);
    world_open(w);
    fill(w, 2);
    world_explore(w);
}

void workload_merges(world *w)
{
    begin_merging(w);
    compact(w, true);
    world_put(w, "a", 90, 20000);
    world_snapshot(w, "kept");
    world_close(w);
    world_open(w);
    world_remove(w, "f0");
    compact(w, true);
    world_put(w, "b", 91, 20000);
    world_crash(w, 0);
    compact(w, true);
}

void workload_merged(world *w)
{
    begin_merging(w);
    for (uint64_t i = 0; i < 5; i++) {
        compact(w, true);
        world_put(w, "f0", 60 + i, 14000);
        world_remove(w, "f1");
        world_put(w, "f1", 70 + i, 14000);
    }
}
