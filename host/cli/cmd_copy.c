/* engram copy: a version as an engram of its own, while this one is in use. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {0},
};

static engram_status copy(eg_cli *cli, engram_view *view, const char *directory,
                          engram_error *error)
{
    char time[EG_TEXT_SIZE];
    uint64_t version = engram_view_version(view);
    EG_TRY(eg_cli_check_output(cli, directory, error));
    EG_TRY(engram_copy(view, directory, error));
    eg_path_json(cli->document, "engram", eg_view_of(eg_engram_dir(cli->engram)));
    eg_path_json(cli->document, "copy", eg_view_of(directory));
    eg_json_put_number(cli->document, "version", version);
    eg_json_put(cli->document, "time",
                json_string(eg_text_time_ns(time, engram_view_time_ns(view))));
    eg_json_put(cli->document, "seconds", json_real(eg_seconds_since(cli->start_ns)));
    eg_output_say_path(cli, directory);
    eg_output_say(cli, ": a copy of version %" PRIu64 ", %.19sZ\n", version, time);
    return ENGRAM_OK;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    engram_view *view = NULL;
    EG_TRY(eg_cli_open_view(cli, &view, error));
    engram_status status = copy(cli, view, cli->operands[0], error);
    engram_unpin(&view);
    return status;
}

const eg_command eg_command_copy = {
    .name = "copy",
    .operands = "DIRECTORY",
    .summary = "Copy a version into a new engram",
    .details = "Copies what is needed to read one version into DIRECTORY, which must be new or "
               "empty, also while\n"
               "a writer is at work: a consistent engram that holds that version alone.\n",
    .examples = "  engram copy -e my.engram /backup/my-2026-11.engram\n"
                "  engram copy -e my.engram --at before-upgrade old.engram\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
