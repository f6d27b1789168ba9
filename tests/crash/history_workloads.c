/* Names of versions, ways back, and what is let go of. */
#include "crash/workloads.h"

void workload_snapshots(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_explore(w);
    world_snapshot(w, "first");
    world_put(w, "a", 2, 3000);
    world_put(w, "b", 3, 3000);
    world_snapshot_at(w, "older", 3);
    world_checkpoint(w);
    world_put(w, "a", 4, 300);
    world_forget(w, "first");
    world_snapshot_at(w, "oldest", 1);
    world_checkpoint(w);
    world_forget(w, "older");
}

void workload_rollback(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_begin(w, &t);
    writer_mkdir(&t, "d");
    writer_put(&t, "d/b", 2, 6000);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_append(&t, "a", 3, 3000);
    writer_rename(&t, "d/b", "c");
    writer_rmdir(&t, "d");
    world_commit(w, &t);
    world_explore(w);
    world_begin(w, &t);
    writer_rollback(&t, 2);
    world_commit(w, &t);
    world_put(w, "d/b", 5, 100);
    world_checkpoint(w);
    world_begin(w, &t);
    writer_rollback(&t, 3);
    world_commit(w, &t);
}

void workload_retention(world *w)
{
    const engram_retention last_two = {.last = 2}, hours = {.every_s = 60, .hourly = 3};
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_put(w, "a", 2, 3000);
    world_snapshot(w, "kept");
    world_put(w, "a", 3, 3000);
    world_put(w, "a", 4, 3000);
    world_explore(w);
    world_set_retention(w, &last_two);
    world_put(w, "a", 5, 300);
    world_checkpoint(w);
    world_put(w, "b", 6, 300);
    world_set_retention(w, &hours);
    world_checkpoint(w);
    world_close(w);
    world_open(w);
    world_set_retention(w, &last_two);
    world_put(w, "b", 7, 300);
}
