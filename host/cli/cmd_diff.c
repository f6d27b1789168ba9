/* engram diff: what changed between two versions. */
#include "cli/cli.h"

static const eg_option options[] = {
    {"print0", '0', NULL, "letters and paths each ended by a zero byte"},
    {0},
};

static engram_status diff(eg_cli *cli, eg_access_view *from, eg_access_view *to, const char *prefix,
                          engram_error *error)
{
    eg_changes changes = {.cli = cli, .ends_with_zero = eg_option_flag(cli, "print0")};
    eg_json_put_number(cli->document, "from", eg_access_version(from));
    eg_json_put_number(cli->document, "to", eg_access_version(to));
    return eg_changes_print(&changes, from, to, prefix, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name prefix;
    eg_access_view *from = NULL, *to = NULL;
    const char *to_text = cli->operand_count > 1 ? cli->operands[1] : NULL;
    EG_TRY(eg_path_operand(cli->operand_count > 2 ? cli->operands[2] : "", &prefix, error));
    if (*cli->operands[0] == 0)
        return eg_fail(error, ENGRAM_INVALID, "diff: FROM is empty; name a version");
    EG_TRY(eg_cli_access(cli, true, error));
    engram_status status = eg_access_pin(cli->access, cli->operands[0], &from, error);
    if (status == ENGRAM_OK)
        status = eg_access_pin(cli->access, to_text, &to, error);
    if (status == ENGRAM_OK)
        status = diff(cli, from, to, prefix.text, error);
    eg_access_unpin(&to);
    eg_access_unpin(&from);
    return status;
}

const eg_command eg_command_diff = {
    .name = "diff",
    .operands = "FROM [TO] [PREFIX]",
    .summary = "Show what changed between two versions",
    .details = "A line for each path that differs below PREFIX: A added, D removed, M other "
               "content, T only other\n"
               "attributes, R renamed (old path, new path). FROM and TO are each a WHEN; without "
               "TO, or when it\n"
               "is empty, it is the newest version. It takes the longer the more differs, however "
               "much is stored.\n",

    .examples = "  engram diff -e my.engram 40\n  engram diff -e my.engram before-upgrade 57 etc\n"
                "  engram diff -e my.engram yesterday '' etc\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 3,
    .is_remote = true,
    .run = run,
};
