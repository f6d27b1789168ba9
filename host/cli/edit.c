/* What the commands that change an engram share: one commit, and what became of it. */
#include "cli/cli.h"

engram_status eg_cli_edit_expected(const eg_cli *cli, engram_expected *expected,
                                   engram_error *error)
{
    const char *text = eg_option_text(cli, "expect");
    *expected = (engram_expected){ENGRAM_ANY, 0, 0};
    return text == NULL ? ENGRAM_OK : engram_expected_parse(text, expected, error);
}

engram_status eg_cli_edit_begin(eg_cli *cli, eg_cli_edit *edit, engram_error *error)
{
    engram_transaction_options options = {0};
    *edit = (eg_cli_edit){.cli = cli};
    EG_TRY(eg_cli_edit_expected(cli, &edit->expected, error));
    EG_TRY(eg_cli_durability(cli, &options.durability, error));
    EG_TRY(eg_cli_access(cli, false, error));
    return eg_access_begin(cli->access, &options, &edit->edit, error);
}

engram_status eg_cli_edit_end(eg_cli_edit *edit, engram_status status, uint64_t *version,
                              engram_error *error)
{
    return eg_access_end(&edit->edit, status, version, error);
}

static engram_status fill(json_t *document, eg_access_view *view, const char *path,
                          struct engram_stat *stat, engram_error *error)
{
    eg_stored_name target;
    EG_TRY(eg_access_stat(view, path, stat, &target, error));
    eg_entry_fill(document, path, stat, target.text);
    return ENGRAM_OK;
}

engram_status eg_cli_edit_report(eg_cli *cli, const char *path, uint64_t version,
                                 struct engram_stat *stat, engram_error *error)
{
    struct engram_stat here;
    eg_access_view *view = NULL;
    EG_TRY(eg_access_pin(cli->access, NULL, &view, error));
    engram_status status = fill(cli->document, view, path, stat != NULL ? stat : &here, error);
    eg_access_unpin(&view);
    eg_json_put_number(cli->document, "version", version);
    return status;
}
