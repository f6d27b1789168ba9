/* Which versions can be named: many in an engram that is written to all the time, so that people
 * see those with a name, and the last of the others. */
#include <inttypes.h>

#include "cli/cli.h"

enum { PLAIN_SHOWN_MAX = 10 };

typedef struct listing {
    eg_cli *cli;
    uint64_t plain, plain_hidden; /* without label and snapshot; the first are not shown */
} listing;

static bool is_plain(const engram_retained *retained)
{
    return *retained->label == 0 && *retained->snapshot == 0 && !retained->newest;
}

static engram_status count_plain(void *context, const engram_retained *retained,
                                 engram_error *error)
{
    listing *l = context;
    (void)error;
    l->plain += is_plain(retained);
    return ENGRAM_OK;
}

/* A label is one line. */
static void print_label(const char *label)
{
    for (const char *c = label; *c != 0; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7F ? '?' : *c);
}

static void print_line(const engram_retained *retained)
{
    char time[EG_TEXT_SIZE];
    printf("  %6" PRIu64 "  %.19sZ", retained->version, eg_text_time_ns(time, retained->time_ns));
    if (*retained->snapshot != 0) {
        fputs("  snapshot ", stdout);
        eg_path_print(stdout, eg_view_of(retained->snapshot));
    }
    if (*retained->label != 0) {
        fputs("  ", stdout);
        print_label(retained->label);
    }
    puts(retained->newest ? "  (newest)" : "");
}

static engram_status on_version(void *context, const engram_retained *retained, engram_error *error)
{
    listing *l = context;
    (void)error;
    if (l->cli->json)
        eg_output_list_item(l->cli, eg_retained_json(retained));
    else if (is_plain(retained) && l->plain_hidden != 0)
        l->plain_hidden--;
    else if (!l->cli->quiet)
        print_line(retained);
    return eg_output_check();
}

engram_status eg_info_versions(eg_cli *cli, engram_error *error)
{
    listing l = {.cli = cli};
    if (cli->json) {
        eg_output_list_begin(cli, "versions");
        return eg_access_versions(cli->access, on_version, &l, error);
    }
    EG_TRY(eg_access_versions(cli->access, count_plain, &l, error));
    l.plain_hidden =
        cli->verbosity != 0 || l.plain <= PLAIN_SHOWN_MAX ? 0 : l.plain - PLAIN_SHOWN_MAX;
    eg_output_say(cli, "versions");
    if (l.plain_hidden != 0)
        eg_output_say(cli, " (and %" PRIu64 " older ones without a name: -v shows them)",
                      l.plain_hidden);
    eg_output_say(cli, "\n");
    return eg_access_versions(cli->access, on_version, &l, error);
}
