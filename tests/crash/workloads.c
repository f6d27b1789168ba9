/* What is done to an engram while the power may go. Each is short: every step of its trace is
 * explored. Sizes are chosen against journals and segments of 64 KiB unless the table says less. */
#include <stdio.h>

#include "crash/workloads.h"

static void put(world *w, const char *path, uint64_t seed, size_t size)
{
    writer t;
    world_begin(w, &t);
    writer_put(&t, path, seed, size);
    world_commit(w, &t);
}

static void remove_path(world *w, const char *path)
{
    writer t;
    world_begin(w, &t);
    writer_remove(&t, path);
    world_commit(w, &t);
}

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
    put(w, "a", 1, 300);
}

static void overwrite(world *w)
{
    world_create(w);
    put(w, "a", 1, 6000);
    world_explore(w);
    put(w, "a", 2, 9000);
    put(w, "a", 3, 100);
    put(w, "a", 4, 0);
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
    put(w, "a", 1, 3000);
    put(w, "b", 2, 3000);
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
    put(w, "a", 1, 3000);
    put(w, "b", 1, 3000);
    put(w, "c", 2, 70);
    world_explore(w);
    remove_path(w, "a");
    remove_path(w, "b");
    put(w, "a", 1, 3000);
    remove_path(w, "c");
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
    writer_put_attribute(&t, "d/e/f/g", "user.origin", 8, 9);
    world_commit(w, &t);
    world_begin(w, &t);
    writer_remove(&t, "d/e/f/g");
    writer_remove(&t, "d/e/f");
    world_commit(w, &t);
}

static void label(world *w, const char *path, uint64_t seed, const char *text)
{
    writer t;
    world_begin(w, &t);
    writer_put(&t, path, seed, 2500);
    writer_label(&t, text);
    world_commit(w, &t);
}

static void labels(world *w)
{
    world_create(w);
    world_explore(w);
    label(w, "a", 1, "first");
    put(w, "a", 2, 4000);
    label(w, "b", 3, "second");
    world_checkpoint(w);
    remove_path(w, "a");
    label(w, "a", 5, "third");
}

static void checkpoint(world *w)
{
    world_create(w);
    put(w, "a", 1, 5000);
    world_explore(w);
    put(w, "b", 2, 5000);
    world_checkpoint(w);
    put(w, "c", 3, 5000);
    put(w, "a", 4, 5000);
    world_checkpoint(w);
    world_checkpoint(w);
    put(w, "d", 5, 100);
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
        put(w, path, i, 20000);
    }
    world_checkpoint(w);
    put(w, "f1", 9, 20000);
}

/* Transactions of several records, each in a journal file of its own: all of it or nothing. */
static void large(world *w)
{
    world_create(w);
    world_explore(w);
    for (unsigned i = 0; i < 2; i++) {
        writer t;
        world_begin(w, &t);
        writer_put(&t, "a", i, 500);
        for (unsigned j = 0; j < 10; j++) {
            char name[16];
            snprintf(name, sizeof name, "user.%u", j);
            writer_put_attribute(&t, "a", name, 10 * i + j, 120000);
        }
        world_commit(w, &t);
    }
}

static void reopen(world *w)
{
    world_create(w);
    put(w, "a", 1, 3000);
    world_explore(w);
    world_close(w);
    world_open(w);
    put(w, "b", 2, 3000);
    world_close(w);
    world_open(w);
    put(w, "a", 3, 200);
}

static void close_clean(world *w)
{
    world_create(w);
    label(w, "a", 1, "kept");
    put(w, "b", 2, 3000);
    world_explore(w);
    world_close(w);
}

/* The process dies and the disk goes on. */
static void killed(world *w)
{
    world_create(w);
    put(w, "a", 1, 3000);
    put(w, "b", 2, 3000);
    world_explore(w);
    world_crash(w, 1);
    put(w, "c", 3, 3000);
    world_crash(w, 1);
    put(w, "a", 4, 100);
}

/* A commit is cut short, once so that nothing of it is left and once so that some is. */
static void cut_commit(world *w)
{
    writer t;
    world_create(w);
    put(w, "a", 1, 3000);
    world_explore(w);
    world_begin(w, &t);
    writer_put(&t, "b", 2, 6000);
    world_commit_cut(w, &t, 3);
    world_crash(w, 0);
    put(w, "b", 3, 2000);
    world_begin(w, &t);
    writer_put(&t, "c", 4, 6000);
    world_commit_cut(w, &t, 3);
    world_crash(w, 5);
    put(w, "c", 6, 100);
}

/* Cuts in the middle of a checkpoint and of the recovery behind it. */
static void cut_checkpoint(world *w)
{
    world_create(w);
    put(w, "a", 1, 3000);
    put(w, "b", 2, 3000);
    world_explore(w);
    ram_disk_cut_at(w->disk, 14);
    eg_engram_checkpoint(w->engram, NULL);
    world_crash(w, 4);
    put(w, "c", 3, 3000);
    ram_disk_cut_at(w->disk, 5);
    eg_engram_checkpoint(w->engram, NULL);
    world_crash(w, 11);
    put(w, "d", 4, 100);
}

static void refused(world *w)
{
    writer t;
    world_create(w);
    put(w, "a", 1, 3000);
    world_explore(w);
    world_begin(w, &t);
    writer_put(&t, "b", 2, 3000);
    world_commit_refused(w, &t);
    put(w, "c", 3, 3000);
    world_begin(w, &t);
    writer_remove(&t, "a");
    world_commit_refused(w, &t);
    world_checkpoint(w);
    put(w, "b", 4, 50);
}

const workload workloads[] = {
    {"create", "an engram where none was", create, 0, 0, false},
    {"small", "one small file", one_small_file, 0, 0, false},
    {"overwrite", "a file replaced again and again", overwrite, 0, 0, false},
    {"many", "many files over several commits", many_files, 0, 0, false},
    {"rename", "files renamed, over others and between directories", rename_files, 0, 0, false},
    {"remove", "files removed, and put again", remove_files, 0, 0, false},
    {"directories", "directories made and removed, an attribute", directories, 0, 0, false},
    {"labels", "versions that are kept and read", labels, 0, 0, false},
    {"checkpoint", "checkpoints between commits", checkpoint, 0, 0, false},
    {"rotation", "a journal that is full again and again", rotation, 2 << 10, 0, false},
    {"sealing", "segments that fill up", sealing, 0, 16 << 10, false},
    {"large", "transactions that take several records of the journal", large, 0, 0, false},
    {"reopen", "closed and opened between commits", reopen, 0, 0, false},
    {"close", "closed in order", close_clean, 0, 0, false},
    {"killed", "the process dies and goes on", killed, 0, 0, true},
    {"cut-commit", "power cuts within commits, then going on", cut_commit, 0, 0, true},
    {"cut-checkpoint", "power cuts within checkpoints, then going on", cut_checkpoint, 0, 0, true},
    {"ingest", "two runs of ingest, in batches", workload_ingest, 0, 0, false},
    {"refused", "commits that are refused in between", refused, 0, 0, false},
};
const size_t workload_count = sizeof workloads / sizeof *workloads;
