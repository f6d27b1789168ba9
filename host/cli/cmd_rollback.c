/* engram rollback: what a version was becomes the newest version. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"to", 0, "WHEN", "the version, snapshot or time to go back to"},
    EG_OPTION_DRY_RUN,
    EG_OPTION_DURABILITY,
    {0},
};

static engram_status roll_back(eg_cli *cli, const char *path, engram_error *error)
{
    eg_cli_edit edit;
    eg_access_view *to = NULL;
    uint64_t changed = 0, version = 0;
    EG_TRY(eg_cli_edit_begin(cli, &edit, error));
    engram_status status = eg_access_pin(cli->access, eg_option_text(cli, "to"), &to, error);
    if (status == ENGRAM_OK)
        status = eg_access_rollback(edit.edit, to, path, &changed, error);
    status = eg_cli_edit_end(&edit, status, &version, error);
    if (status == ENGRAM_OK) {
        eg_json_put_number(cli->document, "version", version);
        eg_json_put_number(cli->document, "to", eg_access_version(to));
        eg_json_put_number(cli->document, "changed", changed);
        eg_path_json(cli->document, "path", eg_view_of(path));
        eg_output_say(cli, "back at version %" PRIu64 " of ", eg_access_version(to));
        eg_output_say_path(cli, path);
        eg_output_say(cli, ": %" PRIu64 " changed, version %" PRIu64 "\n", changed, version);
    }
    eg_access_unpin(&to);
    return status;
}

/* The changes that would be made: from the newest version to the old one. */
static engram_status show(eg_cli *cli, const char *path, engram_error *error)
{
    eg_access_view *newest = NULL, *to = NULL;
    eg_changes changes = {.cli = cli};
    EG_TRY(eg_cli_access(cli, true, error));
    engram_status status = eg_access_pin(cli->access, eg_option_text(cli, "to"), &to, error);
    if (status == ENGRAM_OK)
        status = eg_access_pin(cli->access, NULL, &newest, error);
    if (status == ENGRAM_OK) {
        eg_json_put_number(cli->document, "version", eg_access_version(newest));
        eg_json_put_number(cli->document, "to", eg_access_version(to));
        eg_path_json(cli->document, "path", eg_view_of(path));
        status = eg_changes_print(&changes, newest, to, path, error);
    }
    eg_access_unpin(&newest);
    eg_access_unpin(&to);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name path;
    const char *to = eg_option_text(cli, "to");
    if (to == NULL || *to == 0)
        return eg_fail(error, ENGRAM_INVALID,
                       "rollback: to where? Name a version, a snapshot or a time with --to");
    EG_TRY(eg_path_operand(cli->operand_count != 0 ? cli->operands[0] : "", &path, error));
    return eg_option_flag(cli, "dry-run") ? show(cli, path.text, error)
                                          : roll_back(cli, path.text, error);
}

const eg_command eg_command_rollback = {
    .name = "rollback",
    .operands = "[PATH]",
    .summary = "Make PATH, or everything, what it was",
    .details = "What PATH was at an older version is committed as a new version: the ones in "
               "between stay, and\n"
               "can be gone back to as well. What was not there then is removed. --dry-run prints "
               "what would\n"
               "change, as 'engram diff' does.\n",
    .examples = "  engram rollback -e my.engram --to before-upgrade etc\n"
                "  engram rollback -e my.engram --to '2 hours ago' --dry-run\n",
    .options = options,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
