/* engram dups: which stored files are nearly the same? */
#include <inttypes.h>

#include "cli/cli.h"
#include "search/dups.h"

static const eg_option options[] = {
    {"min", 0, "J", "score from which two files are joined, above 0 to 1; default 0.5"},
    {"prefix", 0, "PATH", "only what is stored below PATH"},
    EG_OPTION_AT,
    {0},
};

static bool on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    eg_cli *cli = context;
    eg_progress_show(&cli->progress, bytes_done, bytes_total, 0);
    return !atomic_load(&eg_signals_cancel);
}

static void fill_document(eg_cli *cli, const eg_dups_options *o, const eg_dups_stats *s)
{
    eg_device_stats device;
    json_t *d = cli->document;
    eg_device_get_stats(cli->device, &device);
    eg_json_put_number(d, "version", s->version);
    eg_json_put(d, "min", json_real(o->min));
    eg_json_put_number(d, "files", s->files);
    eg_json_put_number(d, "chunks", s->chunks);
    eg_json_put_number(d, "group_count", s->groups);
    eg_json_put_number(d, "files_grouped", s->files_grouped);
    eg_json_put_number(d, "pairs_scored", s->pairs_scored);
    eg_json_put(d, "seconds", json_real(s->seconds));
    eg_json_put(d, "device", json_string(eg_device_get_info(cli->device)->spec));
    eg_json_put(d, "device_used", json_string(device.device_used));
    eg_json_put_number(d, "fallback_batches", device.fallback_batches);
}

typedef struct telling {
    eg_cli *cli;
    const eg_dups_options *options;
} telling;

static engram_status on_begin(void *context, const eg_dups_stats *stats, engram_error *error)
{
    const telling *t = context;
    (void)error;
    eg_progress_pause(&t->cli->progress);
    eg_progress_resume(&t->cli->progress);
    if (t->cli->json) {
        fill_document(t->cli, t->options, stats);
        eg_output_list_begin(t->cli, "groups");
    } else if (stats->groups == 0 && !t->cli->quiet)
        eg_output_note(t->cli, "no files are alike among %" PRIu64, stats->files);
    else
        eg_output_say(t->cli, "%" PRIu64 " of %" PRIu64 " files in %" PRIu64 " groups\n",
                      stats->files_grouped, stats->files, stats->groups);
    return eg_output_check();
}

static json_t *group_json(const eg_dups_group *group)
{
    json_t *object = json_object(), *files = json_array();
    eg_json_put_number(object, "count", group->count);
    eg_json_put_number(object, "bytes", group->size);
    for (size_t i = 0; i < group->count; i++) {
        const eg_dups_member *m = &group->members[i];
        json_t *file = json_object();
        eg_path_json(file, "path", m->path);
        eg_json_put_number(file, "inode", m->inode);
        eg_json_put_number(file, "size", m->size);
        eg_json_put(file, "score", json_real(m->score));
        eg_json_put(files, NULL, file);
    }
    eg_json_put(object, "files", files);
    return object;
}

static void print_group(eg_cli *cli, const eg_dups_group *group)
{
    char size[EG_TEXT_SIZE];
    eg_output_say(cli, "\n%zu files, %s\n", group->count, eg_text_bytes(size, group->size));
    for (size_t i = 0; i < group->count; i++) {
        printf("%.3f  ", group->members[i].score);
        eg_path_print(stdout, group->members[i].path);
        putchar('\n');
    }
}

static engram_status on_group(void *context, const eg_dups_group *group, engram_error *error)
{
    const telling *t = context;
    if (t->cli->json)
        eg_output_list_item(t->cli, group_json(group));
    else
        print_group(t->cli, group);
    EG_TRY(eg_output_check());
    return atomic_load(&eg_signals_cancel)
               ? eg_fail(error, ENGRAM_CANCELLED, "interrupted; nothing was changed")
               : ENGRAM_OK;
}

static engram_status find_dups(eg_cli *cli, const eg_dups_options *o, engram_error *error)
{
    eg_version version = {0};
    eg_searcher *searcher = NULL;
    telling t = {cli, o};
    const eg_dups_visitor visitor = {&t, on_begin, on_group};
    EG_TRY(eg_cli_pin(cli, &version, error));
    engram_status status = eg_searcher_create(cli->engram, cli->device, &searcher, error);
    if (status == ENGRAM_OK)
        status = eg_searcher_dups(searcher, &version, o, &visitor, error);
    eg_searcher_free(searcher);
    eg_version_release(&version);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_dups_options o = {.min = 0.5,
                         .prefix = eg_option_text(cli, "prefix"),
                         .context = cli,
                         .progress = on_progress};
    EG_TRY(eg_option_share(cli, "min", &o.min, error));
    if (o.min <= 0)
        return eg_fail(error, ENGRAM_INVALID, "--min: more than 0 is expected");
    EG_TRY(eg_cli_open_device(cli, error));
    EG_TRY(eg_cli_open(cli, true, error));
    eg_signals_defer();
    return find_dups(cli, &o, error);
}

const eg_command eg_command_dups = {
    .name = "dups",
    .operands = "",
    .summary = "Find groups of stored files that are nearly the same",
    .details =
        "Every chunk is compared with every other. Files are joined when each is like the "
        "other by at least\n"
        "--min: how much of the one is found in the other, by the estimated similarity of "
        "its chunks, the\n"
        "lesser of both directions. Groups are printed largest first, by number of files, "
        "each file with its\n"
        "score with the first of its group, which may be less than --min where others lie "
        "between. Empty\n"
        "files are left out. The time goes with the square of the number of chunks: --prefix "
        "makes it short.\n",
    .examples = "  engram dups -e my.engram\n"
                "  engram dups -e my.engram --min 0.9 --prefix usr/share/doc --json\n",
    .options = options,
    .run = run,
};
