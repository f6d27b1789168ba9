#include "crash/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "crash/dump.h"
#include "crash/util.h"

void world_fail(world *w, const char *what, const engram_error *error)
{
    snprintf(w->failure, sizeof w->failure, "%s%s%s", what, error != NULL ? ": " : "",
             error != NULL ? error->message : "");
    longjmp(w->failed, 1);
}

static uint64_t or_size(uint64_t size, uint64_t otherwise)
{
    return size != 0 ? size : otherwise;
}

static void prepare(world *w, const workload *what)
{
    image empty;
    w->name = what->name;
    w->options = (eg_engram_options){.segment_size = or_size(what->segment_size, 64 << 10),
                                     .journal_size = or_size(what->journal_size, 64 << 10),
                                     .small_size = or_size(what->small_size, 8 << 10),
                                     .cache_size = 256 << 10,
                                     .by_hand = !what->threads};
    w->history.keeps_all = !what->threads && !what->lets_go;
    image_init(&empty);
    trace_init(&w->trace, &empty);
    w->disk = ram_disk_create(&empty);
    ram_disk_record(w->disk, &w->trace);
    size_t none = history_add(&w->history, VERSION_NONE, STEP_BEFORE);
    w->history.commits[none].ack = STEP_BEFORE;
}

bool world_record(world *w, const workload *what, liar *l)
{
    memset(w, 0, sizeof *w);
    w->liar = l;
    prepare(w, what);
    if (setjmp(w->failed) == 0) {
        what->run(w);
        if (!history_resolve(&w->history))
            world_fail(w, "a version without a predecessor", NULL);
    }
    eg_engram_close(&w->engram, NULL);
    ram_disk_record(w->disk, NULL);
    slips_end();
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
    ram_disk_lie(w->disk, liar_ask, w->liar);
    slips_begin(w->liar);
}

void world_open(world *w)
{
    engram_error error = {0};
    if (eg_engram_open(ram_disk_io(w->disk), CRASH_DIR, &w->options, &w->engram, &error) !=
        ENGRAM_OK)
        world_fail(w, "opening", &error);
}

/* Everything up to the newest version is durable now, were it relaxed. */
static void acknowledge_newest(world *w, int64_t step)
{
    for (size_t i = 0; i < w->history.count; i++) {
        commit *c = &w->history.commits[i];
        if (c->version == w->version && c->ack == STEP_NEVER && c->dead == STEP_NEVER)
            c->ack = step;
    }
}

void world_close(world *w)
{
    engram_error error = {0};
    if (eg_engram_close(&w->engram, &error) != ENGRAM_OK)
        world_fail(w, "closing", &error);
    acknowledge_newest(w, mark(w, "closed at", w->version));
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
    acknowledge_newest(w, mark(w, "checkpoint done of", w->version));
}

void world_begin(world *w, writer *t)
{
    writer_begin(t, w->engram, ENGRAM_DURABILITY_DEFAULT);
}

void world_begin_as(world *w, writer *t, engram_durability durability)
{
    writer_begin(t, w->engram, durability);
}

void world_begin_raw(world *w, writer *t)
{
    raw_begin(t, w->engram);
}

static size_t begin_version(world *w)
{
    return history_add(&w->history, w->version + 1, mark(w, "begin", w->version + 1));
}

/* The edits go to the history. */
static size_t begin_commit(world *w, writer *t)
{
    if (t->status != ENGRAM_OK)
        world_fail(w, "preparing a commit", &t->error);
    size_t own = begin_version(w);
    w->history.commits[own].edits = t->edits;
    t->edits = (edit_list){0};
    return own;
}

static size_t commit_made(world *w, writer *t)
{
    uint64_t number = 0;
    size_t own = begin_commit(w, t);
    if (writer_commit(t, &number) != ENGRAM_OK)
        world_fail(w, "committing", &t->error);
    w->version = w->history.commits[own].version = (int64_t)number;
    writer_fini(t);
    return own;
}

void world_commit(world *w, writer *t)
{
    size_t own = commit_made(w, t);
    w->history.commits[own].ack = mark(w, "acknowledged", w->version);
}

void world_commit_relaxed(world *w, writer *t)
{
    commit_made(w, t);
    mark(w, "written", w->version);
}

static void commit_in_vain(world *w, writer *t, engram_status expected)
{
    mark(w, "to be refused after", w->version);
    if (t->status != ENGRAM_OK || writer_commit(t, NULL) != expected)
        world_fail(w, "a commit was not refused as it should be", &t->error);
    mark(w, "refused after", w->version);
    writer_fini(t);
}

void world_commit_refused(world *w, writer *t)
{
    raw_spoil(t);
    commit_in_vain(w, t, ENGRAM_INVALID);
}

void world_commit_conflict(world *w, writer *t)
{
    commit_in_vain(w, t, ENGRAM_CONFLICT);
}

void world_abort(world *w, writer *t)
{
    if (t->status != ENGRAM_OK)
        world_fail(w, "preparing what is to be aborted", &t->error);
    writer_fini(t);
    mark(w, "aborted after", w->version);
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

void world_note_commit(world *w, int64_t begin, int64_t ack, uint64_t version, edit_list *edits)
{
    size_t own = history_add(&w->history, (int64_t)version, begin);
    w->history.commits[own].ack = ack;
    w->history.commits[own].edits = *edits;
    *edits = (edit_list){0};
    if ((int64_t)version > w->version)
        w->version = (int64_t)version;
}

void world_put(world *w, const char *path, uint64_t seed, size_t size)
{
    writer t;
    world_begin(w, &t);
    writer_put(&t, path, seed, size);
    world_commit(w, &t);
}

void world_remove(world *w, const char *path)
{
    writer t;
    world_begin(w, &t);
    writer_remove(&t, path);
    world_commit(w, &t);
}

/* ---- names of versions, and rules ---- */

static size_t begin_naming(world *w, edit_kind kind, const char *name, int64_t number)
{
    size_t own = begin_version(w);
    edit e = {.kind = kind, .number = number};
    crash_text(e.entry.path, sizeof e.entry.path, name);
    edit_list_add(&w->history.commits[own].edits, e);
    return own;
}

/* These calls do not all tell the version that they make. */
static void end_naming(world *w, size_t own, engram_status status, const engram_error *error)
{
    if (status != ENGRAM_OK)
        world_fail(w, "naming a version", error);
    w->version = w->history.commits[own].version;
    w->history.commits[own].ack = mark(w, "acknowledged", w->version);
}

void world_snapshot(world *w, const char *name)
{
    engram_error error = {0};
    size_t own = begin_naming(w, EDIT_SNAPSHOT, name, 0);
    end_naming(w, own, engram_snapshot_create(w->engram, name, NULL, &error), &error);
}

void world_snapshot_at(world *w, const char *name, int64_t version)
{
    engram_error error = {0};
    char at[24];
    size_t own = begin_naming(w, EDIT_SNAPSHOT, name, version);
    snprintf(at, sizeof at, "%" PRId64, version);
    end_naming(w, own, engram_snapshot_create_at(w->engram, name, at, NULL, &error), &error);
}

void world_forget(world *w, const char *name)
{
    engram_error error = {0};
    size_t own = begin_naming(w, EDIT_FORGET, name, 0);
    end_naming(w, own, engram_snapshot_delete(w->engram, name, &error), &error);
}

void world_set_retention(world *w, const engram_retention *rules)
{
    engram_error error = {0};
    if (w->history.rule_count == 0) { /* those of now */
        size_t first = history_add_rule(&w->history, engram_dump_rules(w->engram), STEP_BEFORE);
        w->history.rules[first].ack = STEP_BEFORE;
    }
    size_t own = history_add_rule(&w->history, rules_value(rules), mark(w, "rules at", w->version));
    if (engram_set_retention(w->engram, rules, &error) != ENGRAM_OK)
        world_fail(w, "setting rules", &error);
    w->history.rules[own].ack = mark(w, "rules set at", w->version);
}

/* ---- power cuts ---- */

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
    history_observe_rule(&w->history, engram_dump_rules(w->engram), step);
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

/* Whoever writes now finds the power gone. */
static void stop(world *w)
{
    ram_disk_cut_at(w->disk, 1);
    eg_engram_close(&w->engram, NULL);
}

static void restart(world *w, uint64_t seed)
{
    char choices[4096];
    size_t count = ram_disk_pending(w->disk);
    if (count >= sizeof choices)
        world_fail(w, "too much is pending", NULL);
    draw(choices, count, seed);
    if (!ram_disk_restart(w->disk, seed == 0 ? "none" : seed == 1 ? "all" : choices))
        world_fail(w, "a cut that does not fit", NULL);
}

void world_crash(world *w, uint64_t seed)
{
    stop(w);
    restart(w, seed);
    world_open(w);
    settle(w);
}

void world_kill(world *w)
{
    stop(w);
    ram_disk_go_on(w->disk);
    mark(w, "killed at", w->version);
    world_open(w);
    settle(w);
}

void world_crash_twice(world *w, uint64_t seed, uint64_t n, uint64_t seed_then)
{
    stop(w);
    restart(w, seed);
    ram_disk_cut_at(w->disk, n);
    if (eg_engram_open(ram_disk_io(w->disk), CRASH_DIR, &w->options, &w->engram, NULL) == ENGRAM_OK)
        world_fail(w, "opening took less than it should", NULL);
    restart(w, seed_then);
    world_open(w);
    settle(w);
}
