/* engram ls: stored paths, those that a filter lets through, and what is known of them. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {"long", 'l', NULL, "mode, links, owner, size and time as ls -n shows them"},
    {"recursive", 'R', NULL, "all below, which is the default"},
    {"depth", 'd', "N", "at most N levels below PREFIX"},
    {"print0", '0', NULL, "paths as they are, each ended by a zero byte"},
    {"glob", 0, "GLOB", "only paths below PREFIX like this: * and ? within a name, ** across"},
    {"kind", 0, "KIND", "only of this kind: file, directory, symlink, ...; may be repeated"},
    {"size-min", 0, "SIZE", "only of this size or more"},
    {"size-max", 0, "SIZE", "only of this size or less"},
    {"newer", 0, "TIME", "only with an mtime at TIME or after it"},
    {"older", 0, "TIME", "only with an mtime before TIME"},
    {"changed-after", 0, "WHEN", "only what was changed after that version"},
    {0},
};

typedef struct listing {
    eg_cli *cli;
    eg_access_view *view;
    engram_filter filter;
    bool is_long, ends_with_zero, itself, begun;
} listing;

/* The version is known for sure with the first entry. */
static void begin_document(listing *l)
{
    if (l->begun || !l->cli->json)
        return;
    eg_json_put_number(l->cli->document, "version", eg_access_version(l->view));
    eg_output_list_begin(l->cli, "entries");
    l->begun = true;
}

static void print_entry(const listing *l, const char *path, const struct engram_stat *stat,
                        const char *target)
{
    if (l->is_long)
        eg_entry_print_long(stat);
    if (l->ends_with_zero) {
        fwrite(path, 1, strlen(path) + 1, stdout);
        return;
    }
    eg_path_print(stdout, eg_view_of(path));
    if (*target != 0) {
        fputs(" -> ", stdout);
        eg_path_print(stdout, eg_view_of(target));
    }
    fputc('\n', stdout);
}

static engram_status on_entry(void *context, const char *path, const struct engram_stat *stat,
                              const char *target, engram_error *error)
{
    listing *l = context;
    (void)error;
    begin_document(l);
    if (l->cli->json)
        eg_output_list_item(l->cli, eg_entry_json(path, stat, target));
    else
        print_entry(l, path, stat, l->is_long ? target : "");
    return eg_output_check();
}

static engram_status read_kinds(const eg_cli *cli, unsigned *kinds, engram_error *error)
{
    for (size_t i = 0; i < cli->setting_count; i++) {
        const eg_setting *setting = &cli->settings[i];
        if (strcmp(setting->option->name, "kind") != 0)
            continue;
        unsigned bit = eg_kind_bit(setting->value);
        if (bit == 0)
            return eg_fail(error, ENGRAM_INVALID,
                           "--kind %s: file, directory, symlink, fifo, char_device or "
                           "block_device is expected",
                           setting->value);
        *kinds |= bit;
    }
    return ENGRAM_OK;
}

static engram_status read_time(const eg_cli *cli, const char *name, int64_t *seconds,
                               engram_error *error)
{
    const char *text = eg_option_text(cli, name);
    if (text != NULL && !eg_since_parse(text, seconds))
        return eg_fail(error, ENGRAM_INVALID,
                       "--%s %s: a time is expected, as 2026-11-27T10:00:00Z, 2026-11-27, "
                       "'3 hours ago' or yesterday",
                       name, text);
    return ENGRAM_OK;
}

/* A number need not be a version that is retained. */
static engram_status read_version(const listing *l, uint64_t *version, engram_error *error)
{
    const char *text = eg_option_text(l->cli, "changed-after");
    eg_access_view *view = NULL;
    if (text == NULL)
        return ENGRAM_OK;
    if (isdigit((unsigned char)*text) && text[strspn(text, "0123456789")] == 0)
        return eg_option_number(l->cli, "changed-after", 0, UINT64_MAX, version, error);
    EG_TRY(eg_access_pin(l->cli->access, text, &view, error));
    *version = eg_access_version(view);
    eg_access_unpin(&view);
    return ENGRAM_OK;
}

static engram_status read_filter(listing *l, engram_error *error)
{
    const eg_cli *cli = l->cli;
    uint64_t depth = UINT64_MAX;
    engram_filter *f = &l->filter;
    f->glob = eg_option_text(cli, "glob");
    EG_TRY(eg_option_number(cli, "depth", 0, UINT32_MAX, &depth, error));
    EG_TRY(read_kinds(cli, &f->kinds, error));
    EG_TRY(eg_option_size(cli, "size-min", &f->size_min, error));
    EG_TRY(eg_option_size(cli, "size-max", &f->size_max, error));
    EG_TRY(read_time(cli, "newer", &f->mtime_after_s, error));
    EG_TRY(read_time(cli, "older", &f->mtime_before_s, error));
    l->itself = depth == 0;
    f->depth_max = depth <= UINT32_MAX ? (uint32_t)depth : 0;
    l->is_long = eg_option_flag(cli, "long");
    l->ends_with_zero = eg_option_flag(cli, "print0");
    return ENGRAM_OK;
}

static engram_status list(listing *l, const char *prefix, engram_error *error)
{
    struct engram_stat stat;
    eg_stored_name target;
    EG_TRY(read_version(l, &l->filter.version_after, error));
    if (!l->itself)
        return eg_access_list(l->view, prefix, &l->filter, on_entry, l, error);
    EG_TRY(eg_access_stat(l->view, prefix, &stat, &target, error));
    return on_entry(l, prefix, &stat, target.text, error);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_stored_name prefix;
    listing l = {.cli = cli};
    EG_TRY(eg_path_operand(cli->operand_count != 0 ? cli->operands[0] : "", &prefix, error));
    EG_TRY(read_filter(&l, error));
    EG_TRY(eg_cli_access_view(cli, &l.view, error));
    engram_status status = list(&l, prefix.text, error);
    begin_document(&l);
    eg_access_unpin(&l.view);
    return status;
}

const eg_command eg_command_ls = {
    .name = "ls",
    .operands = "[PREFIX]",
    .summary = "List what is stored",
    .details = "Prints stored paths, one a line, of all that lies below PREFIX (everything without "
               "one), or of\n"
               "PREFIX itself when it is no directory. On a terminal control characters in names "
               "are escaped\n"
               "as ls -b does; elsewhere names are printed as they are. --json gives the entries "
               "of a version.\n"
               "Of several conditions all have to hold.\n",
    .examples = "  engram ls -e my.engram\n  engram ls -e my.engram -l -d 1 usr/share\n"
                "  engram ls -e my.engram --glob '**/*.c' --newer '2 days ago' --size-min 64K\n"
                "  engram ls -e my.engram --print0 usr | xargs -0 -n 1 echo\n",
    .options = options,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
