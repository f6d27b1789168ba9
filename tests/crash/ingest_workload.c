/* Ingest of a small tree, in batches so small that each run makes several versions.
 *
 * Which file appears in which batch is ingest's business: a version in the middle of a run has
 * every path as before the run or as after it. What is acknowledged is what a pin within the
 * progress callback shows, and at the end the labelled version. The stages are threads, so two
 * recordings of this workload differ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/dump.h"
#include "crash/util.h"
#include "crash/workloads.h"
#include "ingest/ingest.h"

enum { ACKS_MAX = 64 };

typedef struct memory_file {
    const char *path;
    uint64_t seed;
    size_t size;
    bool is_dir;
    bool is_edited; /* a byte in every 3,000 is another than the seed says */
} memory_file;

typedef struct memory_source {
    eg_source source; /* first, so that a source is its memory */
    const memory_file *files;
    size_t count, next;
    uint8_t *bytes; /* of the entry at hand */
    size_t at;
} memory_source;

static eg_inode inode_of(const memory_file *file)
{
    return (eg_inode){.kind = file->is_dir ? EG_KIND_DIRECTORY : EG_KIND_FILE,
                      .mode = file->is_dir ? 0755 : 0640,
                      .uid = 1000,
                      .size = file->size,
                      .mtime = {1500000000 + (int64_t)file->seed, 0}};
}

static void fill_file(const memory_file *file, uint8_t *bytes)
{
    fill_bytes(bytes, file->size, file->seed);
    for (size_t at = 1000; file->is_edited && at < file->size; at += 3000)
        bytes[at] ^= 0x55;
}

static engram_status memory_next(eg_source *source, eg_entry *entry, engram_error *error)
{
    memory_source *s = (memory_source *)source;
    (void)error;
    if (s->next == s->count)
        return ENGRAM_NOT_FOUND;
    const memory_file *file = &s->files[s->next++];
    free(s->bytes);
    s->bytes = crash_alloc(file->size);
    s->at = 0;
    fill_file(file, s->bytes);
    *entry = (eg_entry){.path = {(const uint8_t *)file->path, strlen(file->path)},
                        .inode = inode_of(file),
                        .link_count = 1,
                        .size_known = true};
    return ENGRAM_OK;
}

static engram_status memory_read(eg_source *source, void *bytes, size_t size, size_t *got,
                                 engram_error *error)
{
    memory_source *s = (memory_source *)source;
    size_t left = s->files[s->next - 1].size - s->at;
    (void)error;
    *got = size < left ? size : left;
    memcpy(bytes, s->bytes + s->at, *got);
    s->at += *got;
    return ENGRAM_OK;
}

static engram_status memory_finish(eg_source *source, eg_inode *inode, bool *changed, bool *again,
                                   engram_error *error)
{
    (void)source, (void)inode, (void)error;
    *changed = *again = false;
    return ENGRAM_OK;
}

static void memory_close(eg_source *source)
{
    free(((memory_source *)source)->bytes);
}

/* ---- a run and its history ---- */

typedef struct run {
    world *world;
    struct {
        int64_t version, step;
    } acks[ACKS_MAX];
    size_t ack_count;
} run;

static void note_progress(void *context, const eg_ingest_stats *stats)
{
    run *r = context;
    eg_version version;
    (void)stats;
    if (r->ack_count == ACKS_MAX || eg_engram_pin(r->world->engram, &version, NULL) != ENGRAM_OK)
        return;
    r->acks[r->ack_count].version = (int64_t)version.number;
    r->acks[r->ack_count++].step = (int64_t)ram_disk_mark(r->world->disk, "progress");
    eg_version_release(&version);
}

static void note_issue(void *context, const char *path, const char *reason)
{
    run *r = context;
    engram_error error = {0};
    crash_text(error.message, sizeof error.message, reason);
    world_fail(r->world, path, &error);
}

static tree_entry entry_of(const memory_file *file)
{
    eg_inode inode = inode_of(file);
    tree_entry entry = {.kind = (uint8_t)inode.kind,
                        .mode = inode.mode,
                        .uid = inode.uid,
                        .mtime = inode.mtime.seconds,
                        .size = file->size};
    crash_text(entry.path, sizeof entry.path, file->path);
    if (!file->is_dir) {
        uint8_t *bytes = crash_alloc(file->size);
        fill_file(file, bytes);
        entry.hash = hash_of(bytes, file->size);
        free(bytes);
    }
    return entry;
}

/* The versions that the run made: loose ones, and the labelled one at the end. */
static void add_versions(const run *r, int64_t last, int64_t begin, int64_t end, const tree *before,
                         const memory_file *files, size_t count)
{
    world *w = r->world;
    for (int64_t version = w->version + 1; version <= last; version++) {
        size_t index = history_add(&w->history, version, begin);
        commit *c = &w->history.commits[index];
        bool is_last = version == last;
        c->tree = tree_copy(before);
        c->is_loose = !is_last;
        for (size_t i = 0; i < count; i++) {
            tree_entry entry = entry_of(&files[i]);
            tree_set(is_last ? &c->tree : &c->after, &entry);
        }
        for (size_t i = r->ack_count; i > 0; i--)
            if (r->acks[i - 1].version >= version)
                c->ack = r->acks[i - 1].step;
        if (is_last) {
            tree_label(&c->tree, "run", version);
            c->ack = end;
        }
    }
    w->version = last;
}

static void ingest(world *w, eg_device *device, const memory_file *files, size_t count)
{
    run r = {.world = w};
    memory_source source = {.source = {memory_next, memory_read, memory_finish, memory_close},
                            .files = files,
                            .count = count};
    eg_ingest_options options = {.label = "run",
                                 .level = 3, /* with recall: edited chunks are deltas */
                                 .batch_chunks = 4,
                                 .memory = 32 << 20,
                                 .progress = note_progress,
                                 .issue = note_issue,
                                 .context = &r};
    eg_ingest *in = NULL;
    eg_ingest_stats stats = {0};
    engram_error error = {0};
    int64_t unused;
    tree before;
    if (engram_dump(w->engram, &unused, &before, &error) != ENGRAM_OK)
        world_fail(w, "reading before a run", &error);
    int64_t begin = (int64_t)ram_disk_mark(w->disk, "run begins");
    engram_status status = eg_ingest_start(w->engram, device, NULL, &options, &in, &error);
    if (status == ENGRAM_OK)
        status = eg_ingest_source(in, &source.source, &error);
    if (in != NULL && eg_ingest_finish(&in, &stats, &error) != ENGRAM_OK)
        status = error.status;
    if (status != ENGRAM_OK)
        world_fail(w, "a run", &error);
    source.source.close(&source.source);
    int64_t end = (int64_t)ram_disk_mark(w->disk, "run ended");
    add_versions(&r, (int64_t)stats.version, begin, end, &before, files, count);
    tree_fini(&before);
}

void workload_ingest(world *w)
{
#define DIRECTORY(name, seed)        {name, seed, 0, true, false}
#define CONTENT(name, seed, size)    {name, seed, size, false, false}
#define EDITED(name, seed, size)     {name, seed, size, false, true}
    static const memory_file first[] = {
        DIRECTORY("d", 1),        CONTENT("d/a", 2, 9000), CONTENT("d/b", 3, 20000),
        CONTENT("d/c", 4, 100),   CONTENT("d/e", 5, 0),    CONTENT("f", 6, 13000),
    };
    static const memory_file second[] = {
        DIRECTORY("d", 1),      CONTENT("d/b", 7, 6000), CONTENT("d/c", 4, 100),
        CONTENT("g", 8, 17000), CONTENT("h", 3, 20000),  EDITED("i", 3, 20000),
    };
    eg_device *device = NULL;
    engram_error error = {0};
    if (eg_device_open("scalar", NULL, &device, &error) != ENGRAM_OK)
        world_fail(w, "a device", &error);
    world_create(w);
    world_explore(w);
    ingest(w, device, first, sizeof first / sizeof *first);
    ingest(w, device, second, sizeof second / sizeof *second);
    eg_store_totals totals = {0};
    if (eg_store_get_totals(eg_engram_store(w->engram), &totals, &error) != ENGRAM_OK ||
        totals.by_kind[EG_CORRECTION_DELTA] == 0)
        world_fail(w, "no delta was made", &error);
    eg_device_close(&device);
}
