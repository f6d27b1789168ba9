/* engram extract: from an engram back to a file system. */
#include <inttypes.h>

#include "cli/cli.h"
#include "ingest/extract.h"

static const eg_option options[] = {
    {"output", 'o', "DIR", "where to: stored path a/b becomes DIR/a/b; made when missing"},
    EG_OPTION_AT,
    {"sparse", 0, NULL, "leave holes where there are only zeros"},
    {"overwrite", 0, NULL, "replace files that are there"},
    {0},
};

static void on_progress(void *context, const eg_extract_stats *stats, uint64_t bytes_total)
{
    eg_issues *issues = context;
    eg_progress_show(&issues->cli->progress, stats->bytes, bytes_total, 0);
}

static void report(eg_cli *cli, const eg_version *version, const eg_extract_stats *s,
                   const eg_issues *issues)
{
    char bytes[EG_TEXT_SIZE], rate[EG_TEXT_SIZE];
    double seconds = eg_seconds_since(cli->start_ns);
    json_t *d = cli->document;
    eg_json_put_number(d, "version", version->number);
    eg_json_put_number(d, "files", s->files);
    eg_json_put_number(d, "entries", s->entries);
    eg_json_put_number(d, "bytes", s->bytes);
    eg_json_put(d, "seconds", json_real(seconds));
    eg_json_put(d, "bytes_per_second", json_real(eg_ratio((double)s->bytes, seconds)));
    eg_json_put_number(d, "issue_count", issues->count);
    eg_json_put(d, "issues", json_incref(issues->list));
    eg_output_say(
        cli, "%" PRIu64 " files of %" PRIu64 " entries, %s in %.2f s, %s (version %" PRIu64 ")\n",
        s->files, s->entries, eg_text_bytes(bytes, s->bytes), seconds,
        eg_text_rate(rate, s->bytes, seconds), version->number);
}

static engram_status extract(eg_cli *cli, const eg_version *version, const eg_extract_options *base,
                             engram_error *error)
{
    eg_issues issues;
    eg_extract_stats stats = {0};
    eg_extract_options o = *base;
    eg_issues_init(&issues, cli);
    o.progress = on_progress;
    o.issue = eg_issues_add;
    o.context = &issues;
    eg_signals_defer();
    engram_status status = eg_extract(cli->engram, version, cli->pool, &o, &stats, error);
    if (status == ENGRAM_OK || status == ENGRAM_CANCELLED || status == ENGRAM_PARTIAL)
        report(cli, version, &stats, &issues);
    if (status == ENGRAM_OK && issues.count != 0)
        status = ENGRAM_PARTIAL;
    eg_issues_fini(&issues);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_version version = {0};
    eg_extract_options o = {
        .output = eg_option_text(cli, "output"),
        .prefixes = (const char *const *)cli->operands,
        .prefix_count = (size_t)cli->operand_count,
        .sparse = eg_option_flag(cli, "sparse"),
        .overwrite = eg_option_flag(cli, "overwrite"),
        .cancel = &eg_signals_cancel,
    };
    if (o.output == NULL || *o.output == 0)
        return eg_fail(error, ENGRAM_INVALID, "extract: where to? Name a directory with -o DIR");
    EG_TRY(eg_cli_open_pool(cli, error));
    EG_TRY(eg_cli_open(cli, true, error));
    EG_TRY(eg_cli_check_output(cli, o.output, error));
    EG_TRY(eg_cli_pin(cli, &version, error));
    engram_status status = extract(cli, &version, &o, error);
    eg_version_release(&version);
    return status;
}

const eg_command eg_command_extract = {
    .name = "extract",
    .operands = "-o DIR [PREFIX...]",
    .summary = "Write stored files back",
    .details = "Restores content, modes, times, links, extended attributes and special files; "
               "owners and device\n"
               "nodes as root only. Nothing outside DIR is touched, whatever the engram or DIR "
               "holds. What\n"
               "cannot be written is named, the rest goes on, and the exit code is 3. Damaged "
               "files are named\n"
               "and not left behind. A PREFIX that is not stored ends the run with 5.\n",
    .examples = "  engram extract -e my.engram -o restored\n  engram extract -e my.engram -o out "
                "--at 12 etc usr/share/doc\n",
    .options = options,
    .operand_max = -1,
    .run = run,
};
