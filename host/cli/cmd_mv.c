/* engram mv: another name for what is stored. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"expect", 0, "TOKEN", "only if TO is at INODE.VERSION, at VERSION, or is not there (none)"},
    EG_OPTION_DURABILITY,
    {0},
};

static bool names_directory(const char *operand)
{
    size_t size = strlen(operand);
    return size != 0 && operand[size - 1] == '/';
}

/* Into the directory that `to` names, under from's last name. */
static engram_status enter(eg_stored_name *to, const char *from, engram_error *error)
{
    const char *base = eg_path_base(from);
    size_t size = strlen(to->text), base_size = strlen(base);
    bool slash = size != 0;
    if (size + slash + base_size > EG_PATH_MAX)
        return eg_fail(error, ENGRAM_INVALID, "%.200s...: longer than the %d bytes of a path",
                       to->text, EG_PATH_MAX);
    memcpy(to->text + size, "/", slash);
    memcpy(to->text + size + slash, base, base_size + 1);
    return ENGRAM_OK;
}

static engram_status find_target(const eg_cli_edit *edit, const char *from, eg_stored_name *to,
                                 engram_error *error)
{
    const char *operand = edit->cli->operands[1];
    struct engram_stat stat;
    engram_error inner = {0};
    engram_status status = eg_access_edit_stat(edit->edit, to->text, &stat, &inner);
    if (status == ENGRAM_OK && stat.kind == ENGRAM_KIND_DIRECTORY)
        return enter(to, from, error);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "%s", inner.message);
    if (!names_directory(operand))
        return ENGRAM_OK;
    engram_status source = eg_access_edit_stat(edit->edit, from, &stat, error);
    if (source != ENGRAM_OK || stat.kind == ENGRAM_KIND_DIRECTORY)
        return source;
    return eg_fail(error, status == ENGRAM_OK ? ENGRAM_INVALID : ENGRAM_NOT_FOUND,
                   "%s: no such directory; 'engram mkdir' makes one", operand);
}

static engram_status move(const eg_cli_edit *edit, const char *from, eg_stored_name *to,
                          engram_error *error)
{
    struct engram_stat here, there;
    EG_TRY(find_target(edit, from, to, error));
    bool is_one = strcmp(from, to->text) != 0 &&
                  eg_access_edit_stat(edit->edit, from, &here, NULL) == ENGRAM_OK &&
                  eg_access_edit_stat(edit->edit, to->text, &there, NULL) == ENGRAM_OK &&
                  here.inode == there.inode;
    /* Two names of one file: renaming it to itself does nothing. */
    return is_one ? eg_access_remove(edit->edit, from, &edit->expected, error)
                  : eg_access_rename(edit->edit, from, to->text, &edit->expected, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_cli_edit edit;
    eg_stored_name from, to;
    uint64_t version = 0;
    EG_TRY(eg_path_operand(cli->operands[0], &from, error));
    EG_TRY(eg_path_operand(cli->operands[1], &to, error));
    if (from.text[0] == 0)
        return eg_fail(error, ENGRAM_INVALID, "mv: the root itself cannot be moved");
    EG_TRY(eg_cli_edit_begin(cli, &edit, error));
    EG_TRY(eg_cli_edit_end(&edit, move(&edit, from.text, &to, error), &version, error));
    eg_path_json(cli->document, "from", eg_view_of(from.text));
    EG_TRY(eg_cli_edit_report(cli, to.text, version, NULL, error));
    eg_output_say_path(cli, from.text);
    eg_output_say(cli, " -> ");
    eg_output_say_path(cli, to.text);
    eg_output_say(cli, ", version %" PRIu64 "\n", version);
    return ENGRAM_OK;
}

const eg_command eg_command_mv = {
    .name = "mv",
    .operands = "FROM TO",
    .summary = "Rename or move what is stored",
    .details = "As one commit, at the cost of one name, also for a directory. When TO is a "
               "directory, FROM goes\n"
               "into it. A file that is at TO gives way, unless --expect says otherwise.\n",
    .examples = "  engram mv -e my.engram notes/draft.txt notes/plan.txt\n"
                "  engram mv -e my.engram notes archive/\n"
                "  engram mv -e my.engram --expect none draft.txt plan.txt\n",
    .options = options,
    .operand_min = 2,
    .operand_max = 2,
    .is_remote = true,
    .run = run,
};
