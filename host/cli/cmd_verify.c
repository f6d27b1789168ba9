/* engram verify: is everything what was written? */
#include <inttypes.h>

#include "cli/verify.h"

static const eg_option options[] = {
    {"subset", 0, "P%", "read the content of this share of the chunks only; default 100%"},
    EG_OPTION_AT,
    {"repair", 0, NULL, "mend what can be mended; what is replaced is put aside, nothing is removed"},
    {"dry-run", 0, NULL, "with --repair: only tell what would be done"},
    {0},
};

/* On standard output: they are what the command is asked for. */
void eg_verification_problem(eg_verification *v, const char *message)
{
    enum { KEPT_MAX = 100000 };
    pthread_mutex_lock(&v->lock);
    if (v->cli->json && v->count < KEPT_MAX)
        eg_json_put(v->problems, NULL, eg_json_text(message, strlen(message)));
    v->count++;
    if (!v->cli->json) {
        eg_progress_pause(&v->cli->progress);
        eg_output_line(stdout, message);
        eg_progress_resume(&v->cli->progress);
    }
    pthread_mutex_unlock(&v->lock);
}

static void on_problem(void *context, const char *message)
{
    eg_verification_problem(context, message);
}

static void on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    eg_verification *v = context;
    pthread_mutex_lock(&v->lock);
    v->bytes_done = bytes_done;
    pthread_mutex_unlock(&v->lock);
    eg_progress_show(&v->cli->progress, bytes_done, bytes_total, 0);
}

static engram_status report(eg_verification *v, engram_error *error)
{
    eg_cli *cli = v->cli;
    char bytes[EG_TEXT_SIZE], rate[EG_TEXT_SIZE];
    double seconds = eg_seconds_since(cli->start_ns);
    eg_json_put_number(cli->document, "problem_count", v->count);
    eg_json_put(cli->document, "problems", json_incref(v->problems));
    eg_json_put_number(cli->document, "bytes_verified", v->bytes_done);
    eg_json_put(cli->document, "seconds", json_real(seconds));
    if (v->count != 0)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%s: %" PRIu64
                       " problems found; engram verify --repair mends what can be, --dry-run "
                       "tells before",
                       eg_engram_dir(cli->engram), v->count);
    eg_output_say(cli, "no problem found: %s in %.2f s, %s\n", eg_text_bytes(bytes, v->bytes_done),
                  seconds, eg_text_rate(rate, v->bytes_done, seconds));
    return ENGRAM_OK;
}

static engram_status verify_all(eg_verification *v, double subset, engram_error *error)
{
    const eg_verify_options o = {.subset = subset,
                                 .pool = v->cli->pool,
                                 .context = v,
                                 .problem = on_problem,
                                 .progress = on_progress};
    uint64_t counted; /* as the callback does */
    EG_TRY(eg_engram_verify(v->cli->engram, &o, &counted, error));
    eg_json_put(v->cli->document, "subset", json_real(subset));
    return report(v, error);
}

static engram_status verify_version(eg_verification *v, const char *when, engram_error *error)
{
    uint64_t version = 0, files = 0;
    EG_TRY(eg_verify_at(v, when, &version, &files, error));
    eg_json_put_number(v->cli->document, "version", version);
    eg_json_put_number(v->cli->document, "files", files);
    return report(v, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    double subset = 1.0;
    eg_verification v = {.cli = cli};
    const char *when = eg_option_text(cli, "at");
    if (when != NULL && eg_option_text(cli, "subset") != NULL)
        return eg_fail(error, ENGRAM_INVALID, "verify: --at and --subset exclude each other");
    bool repair = eg_option_flag(cli, "repair"), dry_run = eg_option_flag(cli, "dry-run");
    if (dry_run && !repair)
        return eg_fail(error, ENGRAM_INVALID, "verify: --dry-run says what --repair would do: name both");
    if (repair && (when != NULL || eg_option_text(cli, "subset") != NULL))
        return eg_fail(error, ENGRAM_INVALID, "verify: --repair looks at everything, without --at or --subset");
    if (repair)
        return eg_cli_repair(cli, dry_run, error);
    EG_TRY(eg_option_share(cli, "subset", &subset, error));
    EG_TRY(eg_cli_open_pool(cli, error));
    EG_TRY(eg_cli_open(cli, true, error));
    v.problems = json_array();
    pthread_mutex_init(&v.lock, NULL);
    engram_status status =
        when != NULL ? verify_version(&v, when, error) : verify_all(&v, subset, error);
    pthread_mutex_destroy(&v.lock);
    json_decref(v.problems);
    return status;
}

const eg_command eg_command_verify = {
    .name = "verify",
    .operands = "",
    .summary = "Check that everything stored is what was written",
    .details = "Reads headers, checksums, records, the tree of every retained version and the "
               "content of every\n"
               "chunk, and computes hypervectors and the root anew. Each problem is a line, and so "
               "is each file\n"
               "that a damaged chunk is in; with any, the exit code is 13. --subset 5% reads a part "
               "of the\n"
               "content, and all the rest.\n\n"
               "With --repair what is derived is computed anew, and what is damaged is taken from wherever "
               "a good\n"
               "copy is. What is lost is told, and reads of it go on failing. What is replaced goes "
               "to quarantine/\n"
               "in the engram. It works on an engram that does not open, too; nobody may be writing.\n\n"
               "With --at only the files of that version are read, as their readers would, and "
               "problems are told\n"
               "by path.\n",
    .examples = "  engram verify -e my.engram\n  engram verify -e my.engram --subset 5% --json\n"
                "  engram verify -e my.engram --at before-upgrade\n"
                "  engram verify -e my.engram --repair --dry-run\n",
    .options = options,
    .run = run,
};
