/* What is done to an engram while the power may go. Each is short: every step of its trace is
 * explored. Sizes are chosen against journals and segments of 64 KiB unless the table says less. */
#include <stdio.h>

#include "crash/workloads.h"

static void make_dir(world *w, const char *path)
{
    writer t;
    world_begin(w, &t);
    writer_mkdir(&t, path);
    world_commit(w, &t);
}

static void create(world *w)
{
    world_explore(w);
    world_create(w);
}

static void one_small_file(world *w)
{
    world_create(w);
    world_explore(w);
    world_put(w, "a", 1, 300);
}

static void overwrite(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 6000);
    world_explore(w);
    world_put(w, "a", 2, 9000);
    world_put(w, "a", 3, 100);
    world_put(w, "a", 4, 0);
}

static void many_files(world *w)
{
    world_create(w);
    world_explore(w);
    for (unsigned i = 0; i < 4; i++) {
        writer t;
        world_begin(w, &t);
        for (unsigned j = 0; j < 4; j++) {
            char path[16];
            snprintf(path, sizeof path, "f%u", 4 * i + j);
            writer_put(&t, path, 10 * i + j, 200 + 1500 * j);
        }
        writer_put(&t, "shared", 99 + i, 5000);
        world_commit(w, &t);
    }
}

static void rename_files(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_put(w, "b", 2, 3000);
    world_explore(w);
    world_begin(w, &t);
    writer_rename(&t, "a", "c");
    world_commit(w, &t);
    world_begin(w, &t); /* over another, and a file in the old one's place */
    writer_rename(&t, "b", "c");
    writer_put(&t, "b", 3, 500);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_mkdir(&t, "d");
    writer_rename(&t, "c", "d/c");
    world_commit(w, &t);
}

static void remove_files(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_put(w, "b", 1, 3000);
    world_put(w, "c", 2, 70);
    world_explore(w);
    world_remove(w, "a");
    world_remove(w, "b");
    world_put(w, "a", 1, 3000);
    world_remove(w, "c");
}

static void directories(world *w)
{
    writer t;
    world_create(w);
    world_explore(w);
    make_dir(w, "d");
    world_begin(w, &t);
    writer_mkdir(&t, "d/e");
    writer_mkdir(&t, "d/e/f");
    writer_put(&t, "d/e/f/g", 1, 2000);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_rename(&t, "d/e", "h");
    world_commit(w, &t);
    world_begin(w, &t);
    writer_remove(&t, "h/f/g");
    writer_rmdir(&t, "h/f");
    world_commit(w, &t);
    world_begin(w, &t);
    writer_mkdir(&t, "h/f");
    writer_put(&t, "h/f/g", 2, 300);
    writer_remove_all(&t, "h");
    writer_mkdir(&t, "h");
    world_commit(w, &t);
}

/* As ingest does it: operations, and chunks that no record carries. */
static void raw(world *w)
{
    writer t;
    world_create(w);
    world_explore(w);
    world_begin_raw(w, &t);
    raw_mkdir(&t, "d");
    raw_put(&t, "d/a", 1, 9000);
    raw_put_attribute(&t, "d/a", "user.origin", 8, 9);
    world_commit(w, &t);
    world_put(w, "d/b", 1, 9000); /* found */
    world_begin_raw(w, &t);
    raw_remove(&t, "d/a");
    raw_put(&t, "c", 3, 9000);
    world_commit(w, &t);
}

static void label(world *w, const char *path, uint64_t seed, const char *text)
{
    writer t;
    world_begin_raw(w, &t);
    raw_put(&t, path, seed, 2500);
    raw_label(&t, text);
    world_commit(w, &t);
}

static void labels(world *w)
{
    world_create(w);
    world_explore(w);
    label(w, "a", 1, "first");
    world_put(w, "a", 2, 4000);
    label(w, "b", 3, "second");
    world_checkpoint(w);
    world_remove(w, "a");
    label(w, "a", 5, "third");
}

static void checkpoint(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 5000);
    world_explore(w);
    world_put(w, "b", 2, 5000);
    world_checkpoint(w);
    world_put(w, "c", 3, 5000);
    world_put(w, "a", 4, 5000);
    world_checkpoint(w);
    world_checkpoint(w);
    world_put(w, "d", 5, 100);
}

/* With little journal: commits checkpoint, files come and go and are used again. */
static void rotation(world *w)
{
    world_create(w);
    world_explore(w);
    for (unsigned i = 0; i < 12; i++) {
        writer t;
        world_begin(w, &t);
        for (unsigned j = 0; j < 3; j++) {
            char path[40];
            snprintf(path, sizeof path, "a-rather-long-name-for-file-%u", 3 * (i % 5) + j);
            writer_put(&t, path, 7 * i + j, 80 + j);
        }
        world_commit(w, &t);
    }
}

static void sealing(world *w)
{
    world_create(w);
    world_explore(w);
    for (unsigned i = 0; i < 4; i++) {
        char path[16];
        snprintf(path, sizeof path, "f%u", i);
        world_put(w, path, i, 20000);
    }
    world_checkpoint(w);
    world_put(w, "f1", 9, 20000);
}

/* Transactions of several records, each in a journal file of its own: all of it or nothing. */
static void large(world *w)
{
    world_create(w);
    world_explore(w);
    for (unsigned i = 0; i < 2; i++) {
        writer t;
        world_begin_raw(w, &t);
        raw_put(&t, "a", i, 500);
        for (unsigned j = 0; j < 10; j++) {
            char name[16];
            snprintf(name, sizeof name, "user.%u", j);
            raw_put_attribute(&t, "a", name, 10 * i + j, 120000);
        }
        world_commit(w, &t);
    }
}

static void reopen(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_explore(w);
    world_close(w);
    world_open(w);
    world_put(w, "b", 2, 3000);
    world_close(w);
    world_open(w);
    world_put(w, "a", 3, 200);
}

static void close_clean(world *w)
{
    world_create(w);
    label(w, "a", 1, "kept");
    world_put(w, "b", 2, 3000);
    world_explore(w);
    world_close(w);
}

/* The process dies, and others go on with what the disk may not have yet. */
static void killed(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_put(w, "b", 2, 3000);
    world_explore(w);
    world_begin(w, &t);
    writer_put(&t, "c", 3, 12000);
    world_commit_cut(w, &t, 4);
    world_kill(w);
    world_put(w, "c", 3, 3000);
    world_kill(w);
    world_put(w, "a", 4, 100);
    ram_disk_cut_at(w->disk, 9);
    eg_engram_checkpoint(w->engram, NULL);
    world_kill(w);
    world_put(w, "a", 5, 100);
}

/* A commit is cut short, once so that nothing of it is left and once so that some is. */
static void cut_commit(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_explore(w);
    world_begin(w, &t);
    writer_put(&t, "b", 2, 6000);
    world_commit_cut(w, &t, 3);
    world_crash(w, 0);
    world_put(w, "b", 3, 2000);
    world_begin(w, &t);
    writer_put(&t, "c", 4, 6000);
    world_commit_cut(w, &t, 3);
    world_crash(w, 5);
    world_put(w, "c", 6, 100);
}

/* Cuts in the middle of a checkpoint and of the recovery behind it. */
static void cut_checkpoint(world *w)
{
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_put(w, "b", 2, 3000);
    world_explore(w);
    ram_disk_cut_at(w->disk, 14);
    eg_engram_checkpoint(w->engram, NULL);
    world_crash(w, 4);
    world_put(w, "c", 3, 3000);
    ram_disk_cut_at(w->disk, 5);
    eg_engram_checkpoint(w->engram, NULL);
    world_crash(w, 11);
    world_put(w, "d", 4, 100);
}

static void refused(world *w)
{
    writer t;
    world_create(w);
    world_put(w, "a", 1, 3000);
    world_explore(w);
    world_begin_raw(w, &t);
    raw_put(&t, "b", 2, 3000);
    world_commit_refused(w, &t);
    world_put(w, "c", 3, 3000);
    world_begin_raw(w, &t);
    raw_remove(&t, "a");
    world_commit_refused(w, &t);
    world_put(w, "d", 2, 3000); /* chunks that the refused one left */
    world_checkpoint(w);
    world_put(w, "b", 4, 50);
}

const workload workloads[] = {
    {.name = "create", .about = "an engram where none was", .run = create},
    {.name = "small", .about = "one small file", .run = one_small_file},
    {.name = "overwrite", .about = "a file replaced again and again", .run = overwrite},
    {.name = "many", .about = "many files over several commits", .run = many_files},
    {.name = "rename",
     .about = "files renamed, over others and between directories",
     .run = rename_files},
    {.name = "remove", .about = "files removed, and put again", .run = remove_files},
    {.name = "directories", .about = "directories made, moved and removed", .run = directories},
    {.name = "raw", .about = "operations as ingest commits them", .run = raw},
    {.name = "labels", .about = "versions that are kept and read", .run = labels},
    {.name = "checkpoint", .about = "checkpoints between commits", .run = checkpoint},
    {.name = "rotation",
     .about = "a journal that is full again and again",
     .run = rotation,
     .journal_size = 2 << 10},
    {.name = "sealing", .about = "segments that fill up", .run = sealing, .segment_size = 16 << 10},
    {.name = "large",
     .about = "transactions that take several records of the journal",
     .run = large},
    {.name = "reopen", .about = "closed and opened between commits", .run = reopen},
    {.name = "close", .about = "closed in order", .run = close_clean},
    {.name = "killed",
     .about = "the process dies and another goes on",
     .run = killed,
     .cuts = true},
    {.name = "cut-commit",
     .about = "power cuts within commits, then going on",
     .run = cut_commit,
     .cuts = true},
    {.name = "cut-checkpoint",
     .about = "power cuts within checkpoints, then going on",
     .run = cut_checkpoint,
     .cuts = true},
    {.name = "ingest", .about = "two runs of ingest, in batches", .run = workload_ingest},
    {.name = "refused", .about = "commits that are refused in between", .run = refused},
    {.name = "carried",
     .about = "small data carried by records, then a checkpoint",
     .run = workload_carried},
    {.name = "unsynced",
     .about = "cuts before a segment was ever synced, and within the recovery",
     .run = workload_unsynced,
     .cuts = true},
    {.name = "spilled",
     .about = "large transactions beside small ones that find their chunks",
     .run = workload_spilled},
    {.name = "found-again",
     .about = "chunks of commits that lost, found by others",
     .run = workload_found_again},
    {.name = "gaps",
     .about = "chunk ids with gaps, sealed before they are told of",
     .run = workload_gaps,
     .cuts = true},
    {.name = "in-place", .about = "files changed in place", .run = workload_in_place},
    {.name = "snapshots", .about = "versions named and forgotten", .run = workload_snapshots},
    {.name = "rollback", .about = "back to an older version", .run = workload_rollback},
    {.name = "relaxed",
     .about = "commits that wait for no sync, with others among them",
     .run = workload_relaxed},
    {.name = "immediate", .about = "commits with a sync each", .run = workload_immediate},
    {.name = "retention",
     .about = "rules of retention set, and applied",
     .run = workload_retention,
     .lets_go = true},
    {.name = "garbage",
     .about = "chunks that nobody holds are dropped, with power cuts in between",
     .run = workload_garbage,
     .segment_size = 16 << 10,
     .cuts = true,
     .lets_go = true},
    {.name = "merges",
     .about = "segments merged, old versions kept",
     .run = workload_merges,
     .segment_size = 16 << 10,
     .cuts = true},
    {.name = "copy", .about = "a version copied into an engram of its own", .run = workload_copy},
    {.name = "threads",
     .about = "eight writers, checkpoints beside them",
     .run = workload_threads,
     .threads = true,
     .journal_size = 4 << 10},
    {.name = "threads-large",
     .about = "eight writers with much data, segments sealed beside them",
     .run = workload_threads_large,
     .threads = true,
     .journal_size = 16 << 10,
     .segment_size = 24 << 10},
    {.name = "merged",
     .about = "segments merged again and again, without a cut in between",
     .run = workload_merged,
     .segment_size = 16 << 10},
};
const size_t workload_count = sizeof workloads / sizeof *workloads;
