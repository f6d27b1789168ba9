/* engram stat: what is known of a path. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {0},
};

static void print_owner(const struct engram_stat *s)
{
    char text[11];
    printf("mode      %04o %s, owner %u, group %u, links %u\n", s->mode, eg_entry_mode(s, text),
           s->uid, s->gid, s->links);
}

static void print_entry(const char *path, const struct engram_stat *s, const char *target)
{
    char text[EG_TEXT_SIZE], token[EG_TOKEN_SIZE];
    fputs("path      ", stdout);
    eg_path_print(stdout, eg_view_of(*path != 0 ? path : "/"));
    printf("\nkind      %s", engram_kind_name(s->kind));
    if (*target != 0) {
        fputs(" -> ", stdout);
        eg_path_print(stdout, eg_view_of(target));
    }
    printf("\nsize      %" PRIu64 " in %" PRIu64 " chunks\n", s->size, s->chunks);
    print_owner(s);
    printf("mtime     %s\n", eg_text_time(text, s->mtime_s, s->mtime_ns, true));
    printf("token     %s\n", eg_entry_token(s, token));
    printf("created   %s, version %" PRIu64 "\n", eg_text_time_ns(text, s->created_ns),
           s->created_version);
    printf("modified  %s, version %" PRIu64 "\n", eg_text_time_ns(text, s->modified_ns),
           s->version);
}

typedef struct listing {
    eg_cli *cli;
    eg_access_view *view;
    json_t *entries;
    uint64_t count;
} listing;

static engram_status show(listing *l, const char *operand, engram_error *error)
{
    eg_stored_name path, target;
    struct engram_stat stat;
    EG_TRY(eg_path_operand(operand, &path, error));
    EG_TRY(eg_entry_add(l->entries, l->view, path.text, &stat, &target, error));
    if (l->cli->json || l->cli->quiet)
        return ENGRAM_OK;
    if (l->count++ != 0)
        putchar('\n');
    print_entry(path.text, &stat, target.text);
    return ENGRAM_OK;
}

/* What is not there is named, and the rest is shown; the first one's cause is the run's. */
static engram_status show_all(listing *l, engram_error *error)
{
    engram_status first = ENGRAM_OK;
    for (int i = 0; i < l->cli->operand_count; i++) {
        engram_error inner = {0};
        engram_status status = show(l, l->cli->operands[i], &inner);
        if (status == ENGRAM_OK)
            continue;
        if (first == ENGRAM_OK)
            *error = inner;
        else
            eg_output_note(l->cli, "%s", inner.message);
        first = first == ENGRAM_OK ? status : first;
        if (status != ENGRAM_NOT_FOUND)
            break;
    }
    return first;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    listing l = {.cli = cli};
    EG_TRY(eg_cli_access_view(cli, &l.view, error));
    l.entries = json_array();
    eg_json_put_number(cli->document, "at_version", eg_access_version(l.view));
    engram_status status = show_all(&l, error);
    eg_entries_put(cli, l.entries, cli->operand_count);
    eg_access_unpin(&l.view);
    return status;
}

const eg_command eg_command_stat = {
    .name = "stat",
    .operands = "PATH...",
    .summary = "Show what is known of a stored path",
    .details = "Kind, size, permissions, times and the TOKEN, INODE.VERSION, that --expect of put, "
               "rm and mv\n"
               "takes: it names the state of the path and never comes again. 'created' and "
               "'modified' are of the\n"
               "engram, mtime is what was stored. With --json and one PATH the fields are those "
               "of the document;\n"
               "'entries' lists all.\n",
    .examples = "  engram stat -e my.engram notes/plan.txt\n"
                "  engram stat -e my.engram --json notes/plan.txt | jq -r .token\n",
    .options = options,
    .operand_min = 1,
    .operand_max = -1,
    .is_remote = true,
    .run = run,
};
