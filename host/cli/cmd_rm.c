/* engram rm: names, and with -r directories, out of the newest version. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"

static const eg_option options[] = {
    {"recursive", 'r', NULL, "directories too, with all below them"},
    EG_OPTION_EXPECT,
    EG_OPTION_DRY_RUN,
    EG_OPTION_DURABILITY,
    {0},
};

typedef struct removal {
    eg_cli *cli;
    eg_stored_name *paths;
    bool recursive;
    uint64_t count;
} removal;

/* The root only when it is written out: an empty variable must not empty an engram. */
static engram_status read_paths(removal *r, engram_error *error)
{
    eg_cli *cli = r->cli;
    r->paths = eg_alloc_zero((size_t)cli->operand_count, sizeof *r->paths);
    if (r->paths == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    for (int i = 0; i < cli->operand_count; i++) {
        EG_TRY(eg_path_operand(cli->operands[i], &r->paths[i], error));
        if (r->paths[i].text[0] == 0 && strcmp(cli->operands[i], "/") != 0)
            return eg_fail(error, ENGRAM_INVALID, "rm: '%s' names nothing; the root itself is '/'",
                           cli->operands[i]);
    }
    if (cli->operand_count > 1 && eg_option_text(cli, "expect") != NULL)
        return eg_fail(error, ENGRAM_INVALID, "--expect: is of one PATH; name one alone");
    return ENGRAM_OK;
}

static engram_status check_kind(const removal *r, const char *path, const struct engram_stat *stat,
                                engram_error *error)
{
    return stat->kind != ENGRAM_KIND_DIRECTORY || r->recursive
               ? ENGRAM_OK
               : eg_fail(error, ENGRAM_INVALID,
                         "%s: is a directory; -r removes it with all below it",
                         *path != 0 ? path : "/");
}

static bool holds(const engram_expected *expected, const struct engram_stat *stat)
{
    if (expected->what == ENGRAM_ANY || expected->what == ENGRAM_THERE)
        return true;
    return expected->what == ENGRAM_TOKEN && expected->version == stat->version &&
           (expected->inode == 0 || expected->inode == stat->inode);
}

static engram_status check_expected(const engram_expected *expected, const char *path,
                                    const struct engram_stat *stat, engram_error *error)
{
    char token[EG_TOKEN_SIZE];
    return holds(expected, stat)
               ? ENGRAM_OK
               : eg_fail(error, expected->what == ENGRAM_NONE ? ENGRAM_EXISTS : ENGRAM_CONFLICT,
                         "%s: is at %s, not what --expect says; nothing was changed", path,
                         eg_entry_token(stat, token));
}

static engram_status remove_path(removal *r, const eg_cli_edit *edit, const char *path,
                                 engram_error *error)
{
    struct engram_stat stat;
    uint64_t removed = 1;
    EG_TRY(eg_access_edit_stat(edit->edit, path, &stat, error));
    EG_TRY(check_kind(r, path, &stat, error));
    if (stat.kind != ENGRAM_KIND_DIRECTORY) {
        EG_TRY(eg_access_remove(edit->edit, path, &edit->expected, error));
    } else {
        EG_TRY(check_expected(&edit->expected, path, &stat, error));
        EG_TRY(eg_access_remove_all(edit->edit, path, &removed, error));
    }
    r->count += removed;
    return ENGRAM_OK;
}

static engram_status remove_all(removal *r, engram_error *error)
{
    eg_cli_edit edit;
    uint64_t version = 0;
    engram_status status = ENGRAM_OK;
    EG_TRY(eg_cli_edit_begin(r->cli, &edit, error));
    for (int i = 0; i < r->cli->operand_count && status == ENGRAM_OK; i++)
        status = remove_path(r, &edit, r->paths[i].text, error);
    EG_TRY(eg_cli_edit_end(&edit, status, &version, error));
    eg_json_put_number(r->cli->document, "version", version);
    eg_json_put_number(r->cli->document, "removed", r->count);
    eg_output_say(r->cli, "%" PRIu64 " removed, version %" PRIu64 "\n", r->count, version);
    return ENGRAM_OK;
}

static engram_status show_entry(void *context, const char *path, const struct engram_stat *stat,
                                const char *target, engram_error *error)
{
    removal *r = context;
    (void)target;
    (void)error;
    if (*path == 0)
        return ENGRAM_OK; /* the root stays */
    r->count++;
    if (r->cli->json)
        eg_output_list_item(r->cli, eg_entry_json(path, stat, ""));
    eg_output_say_path(r->cli, path);
    eg_output_say(r->cli, "\n");
    return eg_output_check();
}

static engram_status show_path(removal *r, eg_access_view *view, const engram_expected *expected,
                               const char *path, engram_error *error)
{
    struct engram_stat stat;
    EG_TRY(eg_access_stat(view, path, &stat, NULL, error));
    EG_TRY(check_kind(r, path, &stat, error));
    EG_TRY(check_expected(expected, path, &stat, error));
    EG_TRY(show_entry(r, path, &stat, "", error));
    return stat.kind == ENGRAM_KIND_DIRECTORY
               ? eg_access_list(view, path, NULL, show_entry, r, error)
               : ENGRAM_OK;
}

static engram_status show_all(removal *r, engram_error *error)
{
    eg_access_view *view = NULL;
    engram_expected expected;
    engram_status status = ENGRAM_OK;
    EG_TRY(eg_cli_edit_expected(r->cli, &expected, error));
    EG_TRY(eg_cli_access_view(r->cli, &view, error));
    eg_json_put_number(r->cli->document, "version", eg_access_version(view));
    if (r->cli->json)
        eg_output_list_begin(r->cli, "would_remove");
    for (int i = 0; i < r->cli->operand_count && status == ENGRAM_OK; i++)
        status = show_path(r, view, &expected, r->paths[i].text, error);
    eg_json_put_number(r->cli->document, "removed", 0);
    eg_access_unpin(&view);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    removal r = {.cli = cli, .recursive = eg_option_flag(cli, "recursive")};
    engram_status status = read_paths(&r, error);
    if (status == ENGRAM_OK)
        status = eg_option_flag(cli, "dry-run") ? show_all(&r, error) : remove_all(&r, error);
    eg_free(r.paths);
    return status;
}

const eg_command eg_command_rm = {
    .name = "rm",
    .operands = "PATH...",
    .summary = "Remove stored files",
    .details = "Takes the PATHs out of the newest version, as one commit: all of them or none. "
               "Older versions\n"
               "that are retained keep them, and 'engram rollback' brings them back. A directory "
               "needs -r; the\n"
               "whole tree is '/'. --dry-run prints what would go, also beside a writer.\n",
    .examples = "  engram rm -e my.engram notes/old.txt notes/older.txt\n"
                "  engram rm -e my.engram -r --dry-run build\n"
                "  engram rm -e my.engram --expect 17.42 notes/plan.txt\n",
    .options = options,
    .operand_min = 1,
    .operand_max = -1,
    .is_remote = true,
    .run = run,
};
