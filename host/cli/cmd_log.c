/* engram log: what a path was, from version to version. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {{0}};

static void print_entry(const engram_log_entry *entry)
{
    char time[EG_TEXT_SIZE], token[EG_TOKEN_SIZE], mode[11];
    const struct engram_stat *s = &entry->stat;
    printf("%8" PRIu64 "  %.19sZ  ", entry->version, eg_text_time_ns(time, entry->time_ns));
    if (entry->present)
        printf("%s %12" PRIu64 "  %s\n", eg_entry_mode(s, mode), s->size, eg_entry_token(s, token));
    else
        puts("not there");
}

typedef struct history {
    eg_cli *cli;
    const char *path;
} history;

static engram_status on_entry(void *context, const engram_log_entry *entry, engram_error *error)
{
    history *h = context;
    (void)error;
    if (h->cli->json)
        eg_output_list_item(h->cli, eg_log_entry_json(h->path, entry));
    else
        print_entry(entry);
    return eg_output_check();
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name path;
    history h = {.cli = cli, .path = path.text};
    EG_TRY(eg_path_operand(cli->operands[0], &path, error));
    EG_TRY(eg_cli_access(cli, true, error));
    eg_path_json(cli->document, "path", eg_view_of(path.text));
    if (cli->json)
        eg_output_list_begin(cli, "entries");
    return eg_access_log(cli->access, path.text, on_entry, &h, error);
}

const eg_command eg_command_log = {
    .name = "log",
    .operands = "PATH",
    .summary = "Show the states of a path over the versions",
    .details = "Newest first: the retained version that shows a state first, its time, and mode, "
               "size and token\n"
               "of the path, or that it was not there. Between retained versions there may have "
               "been more.\n",
    .examples = "  engram log -e my.engram notes/plan.txt\n"
                "  engram log -e my.engram --json notes/plan.txt | jq '.entries[].version_seen'\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
