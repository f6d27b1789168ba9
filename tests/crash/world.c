#include "crash/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/util.h"

#include "base/status.h"

void world_fail(world *w, const char *what, const engram_error *error)
{
    snprintf(w->failure, sizeof w->failure, "%s%s%s", what, error != NULL ? ": " : "",
             error != NULL ? error->message : "");
    longjmp(w->failed, 1);
}

static void prepare(world *w, const workload *what)
{
    image empty;
    w->name = what->name;
    w->options =
        (eg_engram_options){.segment_size = what->segment_size != 0 ? what->segment_size : 64 << 10,
                            .journal_size = what->journal_size != 0 ? what->journal_size : 64 << 10,
                            .cache_size = 256 << 10};
    image_init(&empty);
    trace_init(&w->trace, &empty);
    w->disk = ram_disk_create(&empty);
    ram_disk_record(w->disk, &w->trace);
    size_t none = history_add(&w->history, VERSION_NONE, STEP_BEFORE);
    w->history.commits[none].ack = STEP_BEFORE;
}

bool world_record(world *w, const workload *what, ram_disk_liar *liar, void *context)
{
    memset(w, 0, sizeof *w);
    w->liar = liar;
    w->liar_context = context;
    prepare(w, what);
    if (setjmp(w->failed) == 0) {
        what->run(w);
        if (!history_resolve(&w->history))
            world_fail(w, "a version without a predecessor", NULL);
    }
    eg_engram_close(&w->engram, NULL);
    ram_disk_record(w->disk, NULL);
    return w->failure[0] == 0;
}

void world_fini(world *w)
{
    ram_disk_free(w->disk);
    trace_fini(&w->trace);
    history_fini(&w->history);
}

static int64_t mark(world *w, const char *what, int64_t version)
{
    char text[80];
    snprintf(text, sizeof text, "%s version %" PRId64, what, version);
    return (int64_t)ram_disk_mark(w->disk, text);
}

void world_explore(world *w)
{
    w->steps_from = (int64_t)ram_disk_mark(w->disk, "explored from here");
    ram_disk_lie(w->disk, w->liar, w->liar_context);
}

void world_open(world *w)
{
    engram_error error = {0};
    if (eg_engram_open(ram_disk_io(w->disk), CRASH_DIR, &w->options, &w->engram, &error) !=
        ENGRAM_OK)
        world_fail(w, "opening", &error);
}

void world_close(world *w)
{
    engram_error error = {0};
    if (eg_engram_close(&w->engram, &error) != ENGRAM_OK)
        world_fail(w, "closing", &error);
    mark(w, "closed at", w->version);
}

void world_create(world *w)
{
    engram_error error = {0};
    size_t genesis = history_add(&w->history, 0, mark(w, "creating", 0));
    if (eg_engram_create(ram_disk_io(w->disk), CRASH_DIR, &crash_config, &error) != ENGRAM_OK)
        world_fail(w, "creating", &error);
    w->history.commits[genesis].ack = mark(w, "acknowledged", 0);
    world_open(w);
}

void world_checkpoint(world *w)
{
    engram_error error = {0};
    mark(w, "checkpoint of", w->version);
    if (eg_engram_checkpoint(w->engram, &error) != ENGRAM_OK)
        world_fail(w, "checkpoint", &error);
    mark(w, "checkpoint done of", w->version);
}

void world_begin(world *w, writer *t)
{
    writer_begin(t, w->engram);
}

/* The edits go to the history. */
static size_t begin_commit(world *w, writer *t)
{
    if (t->status != ENGRAM_OK)
        world_fail(w, "preparing a commit", &t->error);
    size_t own = history_add(&w->history, w->version + 1, mark(w, "begin", w->version + 1));
    w->history.commits[own].edits = t->edits;
    t->edits = (edit_list){0};
    return own;
}

void world_commit(world *w, writer *t)
{
    uint64_t number = 0;
    size_t own = begin_commit(w, t);
    if (writer_commit(t, &number) != ENGRAM_OK)
        world_fail(w, "committing", &t->error);
    w->version = w->history.commits[own].version = (int64_t)number;
    w->history.commits[own].ack = mark(w, "acknowledged", w->version);
    writer_fini(t);
}

void world_commit_refused(world *w, writer *t)
{
    mark(w, "to be refused after", w->version);
    writer_spoil(t);
    if (t->status != ENGRAM_OK || writer_commit(t, NULL) != ENGRAM_INVALID)
        world_fail(w, "a bad commit was not refused", &t->error);
    mark(w, "refused after", w->version);
    writer_fini(t);
}

void world_commit_cut(world *w, writer *t, uint64_t n)
{
    uint64_t number = 0;
    size_t own = begin_commit(w, t);
    ram_disk_cut_at(w->disk, n);
    if (writer_commit(t, &number) == ENGRAM_OK) {
        w->version = (int64_t)number;
        w->history.commits[own].ack = mark(w, "acknowledged", w->version);
    }
    writer_fini(t);
}

/* "all", "none", or letters by chance. */
static void draw(char *out, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = "kkdgzo"[(seed >> 40) % 6];
    }
    out[count] = 0;
}

/* Which commit it is that came back. */
static void settle(world *w)
{
    int64_t version;
    tree found;
    engram_error error = {0};
    if (engram_dump(w->engram, &version, &found, &error) != ENGRAM_OK)
        world_fail(w, "reading after a power cut", &error);
    tree_fini(&found);
    int64_t step = mark(w, "opened", version);
    for (size_t i = 0; i < w->history.count; i++) {
        const commit *c = &w->history.commits[i];
        if (c->version > version && c->ack != STEP_NEVER && c->dead == STEP_NEVER)
            world_fail(w, "a power cut lost an acknowledged version", NULL);
    }
    for (size_t i = 0; i < w->history.count; i++) {
        const commit *c = &w->history.commits[i];
        if (c->version == version && c->dead == STEP_NEVER) {
            history_observe(&w->history, i, step);
            w->version = version;
            return;
        }
    }
    world_fail(w, "an unknown version after a power cut", NULL);
}

void world_crash(world *w, uint64_t seed)
{
    char choices[1024];
    ram_disk_cut_at(w->disk, 1);
    /* Whoever writes now finds the power gone. */
    eg_engram_close(&w->engram, NULL);
    size_t count = ram_disk_pending(w->disk);
    if (count >= sizeof choices)
        world_fail(w, "too much is pending", NULL);
    draw(choices, count, seed);
    if (!ram_disk_restart(w->disk, seed == 0 ? "none" : seed == 1 ? "all" : choices))
        world_fail(w, "a cut that does not fit", NULL);
    world_open(w);
    settle(w);
}
