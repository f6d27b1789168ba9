/* engram cat: the bytes of one stored file. */
#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {0},
};

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name path;
    eg_access_view *view = NULL;
    EG_TRY(eg_path_operand(cli->operands[0], &path, error));
    EG_TRY(eg_cli_access_view(cli, &view, error));
    engram_status status = eg_output_content(cli, view, path.text, error);
    eg_access_unpin(&view);
    return status;
}

const eg_command eg_command_cat = {
    .name = "cat",
    .operands = "PATH",
    .summary = "Print a stored file",
    .details = "Writes the file's bytes to standard output, checked against their fingerprints; "
               "nothing that is\n"
               "damaged is printed. With --json the bytes are printed all the same, and a document "
               "only when\n"
               "nothing could be.\n",
    .examples = "  engram cat -e my.engram etc/hostname\n"
                "  engram cat -e my.engram --at yesterday etc/hostname\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
