#include "crash/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "crash/dump.h"
#include "crash/writer.h"

const eg_engram_config crash_config = {
    .chunk = {EG_CHUNK_FIXED, CRASH_CHUNK}, .seed = 0, .level = 1};

#define AFTER "zz-after" /* the small commit's file */

static bool wrong(check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(check *c, const char *format, ...)
{
    va_list args;
    if (c->message[0] != 0)
        return false;
    va_start(args, format);
    vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
    return false;
}

/* ---- what was found ---- */

static void list_allowed(const check *c, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < c->history->count && used + 24 < size; i++)
        if (history_allows(c->history, i, c->step))
            used += (size_t)snprintf(out + used, size - used, " %" PRId64,
                                     c->history->commits[i].version);
}

static bool nothing_fits(check *c, const char *when, int64_t version, const tree *found)
{
    char allowed[200], difference[900] = "no such version was ever begun";
    list_allowed(c, allowed, sizeof allowed);
    for (size_t i = 0; i < c->history->count; i++)
        if (c->history->commits[i].version == version)
            tree_difference(&c->history->commits[i].tree, found, difference, sizeof difference);
    return wrong(c, "%s: found version %" PRId64 " (allowed:%s); against its model: %s", when,
                 version, allowed, difference);
}

static bool match(check *c, const char *when, int64_t version, const tree *found, uint64_t rules)
{
    c->digest = version_digest(version, found, c->history->rule_count > 0 ? rules : 0);
    c->rules = rules;
    c->matched = history_match(c->history, c->step, version, found);
    if (c->matched < 0)
        return nothing_fits(c, when, version, found);
    return history_allows_rule(c->history, c->step, rules) ||
           wrong(c, "%s: found retention rules that need not be there", when);
}

static bool match_engram(check *c, const char *when, eg_engram *engram)
{
    int64_t version;
    tree found;
    engram_error error = {0};
    engram_status status = engram_dump(engram, &version, &found, &error);
    bool ok = status == ENGRAM_OK ? match(c, when, version, &found, engram_dump_rules(engram))
                                  : wrong(c, "%s: cannot be read back: %s (%s)", when,
                                          engram_status_name(status), error.message);
    tree_fini(&found);
    return ok;
}

/* ---- older versions ---- */

typedef struct retained {
    check *check;
    eg_engram *engram;
    int64_t next; /* version, when all are kept */
} retained;

static engram_status look_at_version(void *context, const engram_retained *r, engram_error *error)
{
    retained *all = context;
    check *c = all->check;
    tree found;
    engram_status status = engram_dump_version(all->engram, r->version, &found, error);
    if (status != ENGRAM_OK)
        return status;
    int64_t version = (int64_t)r->version;
    if (version != 0 && !history_knows(c->history, c->step, version, &found)) /* 0: not a commit */
        wrong(c, "the retained version %" PRId64 " is not what was committed", version);
    if (c->history->keeps_all && version > all->next)
        wrong(c, "version %" PRId64 " is no longer retained", all->next);
    all->next = version + 1;
    tree_fini(&found);
    return ENGRAM_OK;
}

/* Everything that can be pinned is what was committed. */
static bool match_retained(check *c, eg_engram *engram)
{
    retained all = {.check = c, .engram = engram, .next = 1};
    engram_error error = {0};
    engram_status status = engram_versions(engram, look_at_version, &all, &error);
    if (status != ENGRAM_OK)
        return wrong(c, "retained versions: %s (%s)", engram_status_name(status), error.message);
    return c->message[0] == 0;
}

/* Opens and compares; *engram stays NULL when there is none and none need be. */
static bool open_and_match(check *c, eg_io *io, const char *when, bool read_only,
                           eg_engram **engram)
{
    engram_error error = {0};
    eg_engram_options options = c->options;
    options.read_only = read_only;
    engram_status status = eg_engram_open(io, CRASH_DIR, &options, engram, &error);
    if (status == ENGRAM_OK)
        return match_engram(c, when, *engram);
    *engram = NULL;
    tree nothing = {0};
    if (status == ENGRAM_NOT_ENGRAM) {
        c->digest = version_digest(VERSION_NONE, &nothing, 0);
        c->matched = history_match(c->history, c->step, VERSION_NONE, &nothing);
        if (c->matched >= 0)
            return true;
    }
    return wrong(c, "%s: %s (%s)", when, engram_status_name(status), error.message);
}

bool check_glance(check *c, const image *state)
{
    image copy = image_copy(state);
    ram_disk *disk = ram_disk_create(&copy);
    eg_engram *engram = NULL;
    bool ok = open_and_match(c, ram_disk_io(disk), "opening to read", true, &engram);
    eg_engram_close(&engram, NULL);
    ram_disk_free(disk);
    return ok;
}

static void note_problem(void *context, const char *message)
{
    wrong(context, "verify: %s", message);
}

static bool verify(check *c, eg_engram *engram)
{
    engram_error error = {0};
    uint64_t problems = 0;
    eg_verify_options options = {.subset = 1.0, .context = c, .problem = note_problem};
    engram_status status = eg_engram_verify(engram, &options, &problems, &error);
    if (status != ENGRAM_OK)
        return wrong(c, "verify: %s (%s)", engram_status_name(status), error.message);
    return problems == 0 || wrong(c, "verify found %" PRIu64 " problems", problems);
}

/* ---- going on ---- */

static void observe(check *c, ram_disk *disk, const char *what, size_t own)
{
    if (c->record == NULL)
        return;
    int64_t step = (int64_t)ram_disk_mark(disk, what);
    history_observe(c->recorded, own, step);
    history_observe_rule(c->recorded, c->rules, step);
}

/* The recorded history's commit of version 0, begun now if it was not. */
static size_t begin_genesis(check *c, ram_disk *disk)
{
    for (size_t i = 0; c->record != NULL && i < c->recorded->count; i++)
        if (c->recorded->commits[i].version == 0 && c->recorded->commits[i].begin != STEP_NEVER)
            return i;
    return c->record == NULL
               ? 0
               : history_add(c->recorded, 0, (int64_t)ram_disk_mark(disk, "creating"));
}

static bool create(check *c, ram_disk *disk, eg_engram **engram)
{
    engram_error error = {0};
    size_t genesis = begin_genesis(c, disk);
    engram_status status = eg_engram_create(ram_disk_io(disk), CRASH_DIR, &crash_config, &error);
    if (status != ENGRAM_OK)
        return wrong(c, "creating it again: %s (%s)", engram_status_name(status), error.message);
    observe(c, disk, "created", genesis);
    status = eg_engram_open(ram_disk_io(disk), CRASH_DIR, &c->options, engram, &error);
    return status == ENGRAM_OK ||
           wrong(c, "opening after creating: %s (%s)", engram_status_name(status), error.message);
}

/* A file more; *expected becomes the tree with it, *version its version. */
static bool commit_small(check *c, ram_disk *disk, eg_engram *engram, tree *expected,
                         int64_t *version)
{
    writer w;
    uint64_t number = 0;
    size_t own = 0;
    *version += 1;
    writer_begin(&w, engram, ENGRAM_DURABILITY_DEFAULT);
    writer_put(&w, AFTER, (uint64_t)*version + 7, 700);
    if (w.edits.count == 1)
        tree_apply(expected, &w.edits.edits[0], NULL);
    if (c->record != NULL) {
        own = history_add(c->recorded, *version, (int64_t)ram_disk_mark(disk, "small commit"));
        c->recorded->commits[own].tree = tree_copy(expected);
    }
    engram_status status = writer_commit(&w, &number);
    if (c->record != NULL && status == ENGRAM_OK)
        c->recorded->commits[own].ack = (int64_t)ram_disk_mark(disk, "acknowledged");
    bool ok = status == ENGRAM_OK ? (int64_t)number == *version ||
                                        wrong(c, "the small commit made version %" PRIu64, number)
                                  : wrong(c, "the small commit: %s (%s)",
                                          engram_status_name(status), w.error.message);
    writer_fini(&w);
    return ok;
}

static bool close_writer(check *c, eg_engram **engram, const char *when)
{
    engram_error error = {0};
    engram_status status = eg_engram_close(engram, &error);
    return status == ENGRAM_OK ||
           wrong(c, "%s: %s (%s)", when, engram_status_name(status), error.message);
}

static bool reopen(check *c, ram_disk *disk, const tree *expected, int64_t version)
{
    eg_engram *engram = NULL;
    engram_error error = {0};
    int64_t found_version = 0;
    tree found = {0};
    char difference[900];
    engram_status status =
        eg_engram_open(ram_disk_io(disk), CRASH_DIR, &c->options, &engram, &error);
    if (status != ENGRAM_OK)
        return wrong(c, "opening again: %s (%s)", engram_status_name(status), error.message);
    status = engram_dump(engram, &found_version, &found, &error);
    bool ok = status == ENGRAM_OK || wrong(c, "reading after opening again: %s", error.message);
    if (ok && (found_version != version || !tree_equal(expected, &found))) {
        tree_difference(expected, &found, difference, sizeof difference);
        ok = wrong(c, "opening again: found version %" PRId64 ", not %" PRId64 ": %s",
                   found_version, version, difference);
    }
    tree_fini(&found);
    return close_writer(c, &engram, "closing again") && ok;
}

static bool run_on(check *c, ram_disk *disk, eg_engram **engram)
{
    if (!open_and_match(c, ram_disk_io(disk), "opening to write", false, engram))
        return false;
    const commit *found = &c->history->commits[c->matched];
    int64_t version = found->version == VERSION_NONE ? 0 : found->version;
    if (*engram == NULL) {
        if (!create(c, disk, engram))
            return false;
    } else {
        observe(c, disk, "opened", (size_t)c->matched);
    }
    if (!verify(c, *engram) || (c->read_only_first && !match_retained(c, *engram)))
        return false;
    tree expected = {0};
    int64_t unused;
    engram_error error = {0};
    bool ok = engram_dump(*engram, &unused, &expected, &error) == ENGRAM_OK ||
              wrong(c, "reading: %s", error.message);
    ok = ok && commit_small(c, disk, *engram, &expected, &version) &&
         close_writer(c, engram, "closing") && reopen(c, disk, &expected, version);
    tree_fini(&expected);
    return ok;
}

bool check_run(check *c, image *state)
{
    c->matched = -1;
    c->digest = 0;
    c->message[0] = 0;
    bool ok = !c->read_only_first || check_glance(c, state);
    int glanced = c->matched;
    ram_disk *disk = ram_disk_create(state);
    eg_engram *engram = NULL;
    if (ok) {
        ram_disk_record(disk, c->record);
        ok = run_on(c, disk, &engram);
        if (ok && c->read_only_first && glanced != c->matched)
            ok = wrong(c, "a reader found version %" PRId64 ", a writer %" PRId64,
                       c->history->commits[glanced].version,
                       c->history->commits[c->matched].version);
    }
    ram_disk_record(disk, NULL);
    eg_engram_close(&engram, NULL);
    ram_disk_free(disk);
    return ok;
}
