/* engram mkdir: directories. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"

static const eg_option options[] = {
    {"parents", 'p', NULL, "with the parents that are missing; fine when it is there"},
    {"mode", 0, "MODE", "permissions; default 0755"},
    EG_OPTION_DURABILITY,
    {0},
};

static engram_status make(const eg_cli_edit *edit, const eg_stored_name *paths, uint32_t mode,
                          engram_error *error)
{
    bool parents = eg_option_flag(edit->cli, "parents");
    for (int i = 0; i < edit->cli->operand_count; i++)
        EG_TRY(eg_access_mkdir(edit->edit, paths[i].text, mode, parents, error));
    return ENGRAM_OK;
}

static engram_status report(eg_cli *cli, const eg_stored_name *paths, uint64_t version,
                            engram_error *error)
{
    struct engram_stat stat;
    eg_stored_name target;
    eg_access_view *view = NULL;
    EG_TRY(eg_access_pin(cli->access, NULL, &view, error));
    json_t *entries = json_array();
    engram_status status = ENGRAM_OK;
    for (int i = 0; i < cli->operand_count && status == ENGRAM_OK; i++) {
        status = eg_entry_add(entries, view, paths[i].text, &stat, &target, error);
        eg_output_say_path(cli, paths[i].text);
        eg_output_say(cli, ", version %" PRIu64 "\n", version);
    }
    eg_entries_put(cli, entries, cli->operand_count);
    eg_json_put_number(cli->document, "version", version);
    eg_access_unpin(&view);
    return status;
}

static engram_status make_all(eg_cli *cli, eg_stored_name *paths, engram_error *error)
{
    eg_cli_edit edit;
    uint32_t mode = 0755;
    uint64_t version = 0;
    EG_TRY(eg_option_mode(cli, "mode", &mode, error));
    for (int i = 0; i < cli->operand_count; i++)
        EG_TRY(eg_path_operand(cli->operands[i], &paths[i], error));
    EG_TRY(eg_cli_edit_begin(cli, &edit, error));
    EG_TRY(eg_cli_edit_end(&edit, make(&edit, paths, mode, error), &version, error));
    return report(cli, paths, version, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name *paths = eg_alloc_zero((size_t)cli->operand_count, sizeof *paths);
    if (paths == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = make_all(cli, paths, error);
    eg_free(paths);
    return status;
}

const eg_command eg_command_mkdir = {
    .name = "mkdir",
    .operands = "PATH...",
    .summary = "Make directories",
    .details = "As one commit: all of them or none.\n",
    .examples = "  engram mkdir -e my.engram notes\n  engram mkdir -e my.engram -p a/b/c a/d\n",
    .options = options,
    .operand_min = 1,
    .operand_max = -1,
    .is_remote = true,
    .run = run,
};
