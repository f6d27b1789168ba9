/* What a query found, in lines: from its document, whoever made it. */
#include <inttypes.h>

#include "access/document.h"
#include "cli/cli.h"
#include "search/ranges.h"

static uint64_t number(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static double real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_path(const json_t *hit)
{
    eg_stored_name path;
    if (eg_document_path(hit, "path", &path, NULL) == ENGRAM_OK)
        eg_path_print(stdout, eg_view_of(path.text));
}

static void print_pair(const json_t *pair)
{
    printf("  (%" PRIu64 "+%" PRIu64 " in the query, %" PRIu64 "+%" PRIu64 " there, %" PRIu64
           " matches)",
           number(pair, "query_offset"), number(pair, "query_length"), number(pair, "offset"),
           number(pair, "length"), number(pair, "matches"));
}

static void print_estimate(const eg_cli *cli, const json_t *hit)
{
    printf("%.3f  %.3f [%.3f, %.3f]  %.3f  ", real(hit, "score"), real(hit, "jaccard"),
           real(hit, "jaccard_low"), real(hit, "jaccard_high"), real(hit, "containment"));
    print_path(hit);
    if (cli->verbosity != 0)
        print_pair(json_object_get(hit, "best"));
    putchar('\n');
}

static void print_ranges(const json_t *hit)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(hit, "ranges"), i, r)
    {
        printf("    %" PRIu64 " bytes: from %" PRIu64 " in the query, from %" PRIu64 " there\n",
               number(r, "length"), number(r, "query_offset"), number(r, "offset"));
    }
    printf("    %s%" PRIu64 " bytes of the query are in runs of %d equal bytes or more\n",
           json_is_true(json_object_get(hit, "ranges_complete")) ? "" : "at least ",
           number(hit, "ranges_query_bytes"), EG_RANGE_MIN);
}

/* The mark behind a share: + at least so much, ~ counted on a sample. */
static void print_exact(const eg_cli *cli, const json_t *hit)
{
    bool present = json_object_get(hit, "exact_containment") != NULL;
    bool is_part = number(hit, "looked_at") < number(hit, "size");
    char mark = is_part ? '+' : number(hit, "sample") > 1 ? '~' : ' ';
    if (!present)
        printf("-       -       ");
    else if (!json_is_real(json_object_get(hit, "exact_jaccard")))
        printf("%.3f%c  -       ", real(hit, "exact_containment"), mark);
    else
        printf("%.3f%c  %.3f%c  ", real(hit, "exact_containment"), mark, real(hit, "exact_jaccard"),
               mark);
    printf("%.3f  ", real(hit, "score"));
    print_path(hit);
    putchar('\n');
    if (present && cli->verbosity != 0)
        print_ranges(hit);
}

static void print_hits(eg_cli *cli, bool exact)
{
    size_t i;
    json_t *hit, *hits = json_object_get(cli->document, "hits");
    eg_output_say(cli, exact ? "within  J       score  path\n"
                             : "score  J [95 %% interval]    within path\n");
    json_array_foreach(hits, i, hit) exact ? print_exact(cli, hit) : print_estimate(cli, hit);
    uint64_t before = number(cli->document, "hits_before");
    if (json_array_size(hits) == 0 && before != 0)
        eg_output_note(cli, "there are only %" PRIu64 " hits", before);
    else if (json_array_size(hits) == 0)
        eg_output_note(cli, "nothing similar among %" PRIu64 " chunks",
                       number(cli->document, "chunks_live"));
}

static void say_via(eg_cli *cli, const json_t *via)
{
    eg_output_say(
        cli, "compared %.0f %% of the chunks, %" PRIu64 " in %" PRIu64 " of %" PRIu64 " bundles\n",
        100 * real(via, "share"), number(via, "chunks_read"), number(via, "bundles_read"),
        number(via, "bundles"));
    if (json_object_get(via, "recall") != NULL)
        eg_output_say(cli,
                      "found %" PRIu64 " of the %" PRIu64
                      " best chunks, ten for each of the query: recall %.3f\n",
                      number(via, "found_hits"), number(via, "exact_hits"), real(via, "recall"));
}

void eg_query_say(eg_cli *cli, bool exact)
{
    const json_t *via = json_object_get(cli->document, "via");
    if (!cli->json)
        print_hits(cli, exact);
    if (via != NULL)
        say_via(cli, via);
    if (json_is_true(json_object_get(cli->document, "unsure")) && !cli->quiet)
        eg_output_note(cli, "the query has under 2 KiB: chunks are too large to be sure of the "
                            "answer; an engram made with 'init --chunk cdc:4096' suits snippets");
}
