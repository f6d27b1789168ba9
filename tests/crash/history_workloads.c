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

/* What is copied has a version 1; *edits: how it came about. */
static void make_source(world *w, eg_engram **source, edit_list *edits)
{
    engram_error error = {0};
    eg_io *io = ram_disk_io(w->disk);
    writer t;
    if (eg_engram_create(io, "/s", &crash_config, &error) != ENGRAM_OK ||
        eg_engram_open(io, "/s", &w->options, source, &error) != ENGRAM_OK)
        world_fail(w, "making what is copied", &error);
    writer_begin(&t, *source, ENGRAM_DURABILITY_DEFAULT);
    writer_put(&t, "lost", 9, 20000); /* so that ids have gaps */
    world_abort(w, &t);
    writer_begin(&t, *source, ENGRAM_DURABILITY_DEFAULT);
    writer_mkdir(&t, "d");
    writer_put(&t, "d/a", 1, 7000);
    writer_put(&t, "b", 2, 300);
    if (writer_commit(&t, NULL) != ENGRAM_OK)
        world_fail(w, "filling what is copied", &t.error);
    *edits = t.edits;
    t.edits = (edit_list){0};
    writer_fini(&t);
}

/* The copy is what is explored: it is there whole or not at all. */
void workload_copy(world *w)
{
    eg_engram *source = NULL;
    engram_view *view = NULL;
    engram_error error = {0};
    edit_list edits;
    make_source(w, &source, &edits);
    world_explore(w);
    int64_t begin = (int64_t)ram_disk_mark(w->disk, "copy begins");
    history_add(&w->history, 0, begin); /* what the copy's version follows */
    engram_pin(source, &view, NULL);
    engram_status status = engram_copy(view, CRASH_DIR, &error);
    engram_unpin(&view);
    eg_engram_close(&source, NULL);
    if (status != ENGRAM_OK)
        world_fail(w, "copying", &error);
    int64_t ack = (int64_t)ram_disk_mark(w->disk, "copied");
    world_note_commit(w, begin, ack, 1, &edits);
    world_open(w);
    world_put(w, "b", 3, 300);
}
