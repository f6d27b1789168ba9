/* engram verify --repair: salvages what can be, puts aside what it replaces. */
#include <inttypes.h>

#include "cli/verify.h"

typedef struct repairing {
    eg_cli *cli;
    json_t *steps, *lost;
    size_t losses; /* told */
} repairing;

static void tell(repairing *r, json_t *list, const char *message)
{
    if (r->cli->json) {
        eg_json_put(list, NULL, eg_json_text(message, strlen(message)));
        return;
    }
    eg_progress_pause(&r->cli->progress);
    eg_output_line(stdout, message);
    eg_progress_resume(&r->cli->progress);
}

static void on_step(void *context, const char *message)
{
    repairing *r = context;
    tell(r, r->steps, message);
}

static void on_lost(void *context, const char *message)
{
    repairing *r = context;
    r->losses++;
    tell(r, r->lost, message);
}

static void on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    repairing *r = context;
    eg_progress_show(&r->cli->progress, bytes_done, bytes_total, 0);
}

static void put_document(const repairing *r, const engram_repaired *done, bool dry_run)
{
    json_t *d = r->cli->document;
    eg_json_put(d, "dry_run", json_boolean(dry_run));
    eg_json_put(d, "needed", json_boolean(done->needed));
    eg_json_put_number(d, "version", done->version);
    eg_json_put_number(d, "segments_damaged", done->segments_damaged);
    eg_json_put_number(d, "chunks_saved", done->chunks_saved);
    eg_json_put_number(d, "transactions_lost", done->transactions_lost);
    eg_json_put_number(d, "versions_rebuilt", done->versions_rebuilt);
    eg_json_put_number(d, "versions_lost", done->versions_lost);
    eg_json_put_number(d, "inodes_restored", done->inodes_restored);
    eg_json_put_number(d, "files_damaged", done->files_damaged);
    eg_json_put(d, "quarantine", json_string(done->quarantine));
    eg_json_put(d, "steps", json_incref(r->steps));
    eg_json_put(d, "lost", json_incref(r->lost));
}

static void say(eg_cli *cli, const char *dir, const engram_repaired *done, bool dry_run)
{
    if (!done->needed) {
        eg_output_say(cli, "nothing to repair: version %" PRIu64 "\n", done->version);
        return;
    }
    eg_output_say(cli,
                  "%s: version %" PRIu64 ", %" PRIu64 " chunks saved, %" PRIu64
                  " transactions, %" PRIu64 " versions and content of %" PRIu64 " files lost\n",
                  dry_run ? "would be repaired" : "repaired", done->version, done->chunks_saved,
                  done->transactions_lost, done->versions_lost, done->files_damaged);
    if (done->quarantine[0] != 0)
        eg_output_say(cli, "what was replaced is in %s/quarantine/%s\n", dir, done->quarantine);
}

engram_status eg_cli_repair(eg_cli *cli, bool dry_run, engram_error *error)
{
    const char *dir;
    uint64_t threads = 0;
    repairing r = {.cli = cli, .steps = json_array(), .lost = json_array()};
    engram_repaired done = {0};
    engram_status status = eg_cli_dir(cli, &dir, error);
    if (status == ENGRAM_OK)
        status = eg_option_number(cli, "threads", 1, 1024, &threads, error);
    engram_repair_options options = {.dry_run = dry_run,
                                     .threads = (uint32_t)threads,
                                     .context = &r,
                                     .step = on_step,
                                     .lost = on_lost,
                                     .progress = on_progress};
    if (status == ENGRAM_OK)
        status = engram_repair(dir, &options, &done, error);
    if (status == ENGRAM_OK) {
        put_document(&r, &done, dry_run);
        say(cli, dir, &done, dry_run);
    }
    if (status == ENGRAM_OK && r.losses != 0)
        status = eg_fail(error, ENGRAM_DAMAGED,
                         dry_run ? "%s: what is told above is lost and cannot be brought back"
                                 : "%s: what is told above is lost; the rest is whole, and a read of what is lost fails",
                         dir);
    json_decref(r.steps);
    json_decref(r.lost);
    return status;
}
