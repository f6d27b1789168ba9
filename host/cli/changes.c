/* How one version differs from another: a letter and a path a line, or a list of objects. */
#include "cli/cli.h"

static void print_path(const eg_changes *changes, const char *path)
{
    if (changes->ends_with_zero)
        fputs(path, stdout);
    else
        eg_path_print(stdout, eg_view_of(path));
}

static void print_change(const eg_changes *changes, const engram_change *change)
{
    char between = changes->ends_with_zero ? 0 : '\t';
    printf("%c%c", eg_change_letter(change->what), between);
    if (change->old_path != NULL) {
        print_path(changes, change->old_path);
        putchar(between);
    }
    print_path(changes, change->path);
    putchar(changes->ends_with_zero ? 0 : '\n');
}

static engram_status on_change(void *context, const engram_change *change, engram_error *error)
{
    eg_changes *changes = context;
    (void)error;
    changes->count++;
    if (changes->cli->json)
        eg_output_list_item(changes->cli, eg_change_json(change));
    else if (!changes->cli->quiet)
        print_change(changes, change);
    return eg_output_check();
}

engram_status eg_changes_print(eg_changes *changes, eg_access_view *from, eg_access_view *to,
                               const char *prefix, engram_error *error)
{
    if (changes->cli->json)
        eg_output_list_begin(changes->cli, "changes");
    EG_TRY(eg_access_diff(from, to, prefix, on_change, changes, error));
    eg_json_put_number(changes->cli->document, "change_count", changes->count);
    return ENGRAM_OK;
}
