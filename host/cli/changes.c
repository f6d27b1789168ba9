/* How one version differs from another: a letter and a path a line, or a list of objects. */
#include "cli/cli.h"

static const struct {
    char letter;
    const char *name;
} kinds[] = {
    [ENGRAM_ADDED] = {'A', "added"},     [ENGRAM_REMOVED] = {'D', "removed"},
    [ENGRAM_CONTENT] = {'M', "content"}, [ENGRAM_ATTRIBUTES] = {'T', "attributes"},
    [ENGRAM_RENAMED] = {'R', "renamed"},
};

static json_t *side_json(const struct engram_stat *stat)
{
    char mode[8], token[EG_TOKEN_SIZE];
    json_t *object = json_object();
    snprintf(mode, sizeof mode, "%04o", stat->mode);
    eg_json_put(object, "kind", json_string(engram_kind_name(stat->kind)));
    eg_json_put_number(object, "size", stat->size);
    eg_json_put(object, "mode", json_string(mode));
    eg_json_put(object, "token", json_string(eg_entry_token(stat, token)));
    return object;
}

static json_t *change_json(const engram_change *change)
{
    char letter[2] = {kinds[change->what].letter, 0};
    json_t *object = json_object();
    eg_json_put(object, "change", json_string(kinds[change->what].name));
    eg_json_put(object, "letter", json_string(letter));
    eg_path_json(object, "path", eg_view_of(change->path));
    if (change->old_path != NULL)
        eg_path_json(object, "old_path", eg_view_of(change->old_path));
    if (change->what != ENGRAM_ADDED)
        eg_json_put(object, "before", side_json(&change->before));
    if (change->what != ENGRAM_REMOVED)
        eg_json_put(object, "after", side_json(&change->after));
    return object;
}

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
    printf("%c%c", kinds[change->what].letter, between);
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
        eg_output_list_item(changes->cli, change_json(change));
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
