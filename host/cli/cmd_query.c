/* engram query: what is stored that is like this? */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "report/query.h"

enum { INPUT_SIZE_MAX = 1 << 30 };

static const eg_option options[] = {
    {"count", 'k', "N", "hits wanted; default 10"},
    {"skip", 0, "N", "leave out the first N hits"},
    {"min", 0, "J", "least score to show, 0 to 1; default: what is above noise"},
    {"by", 0, "file|chunk", "score whole files (default), or list single chunks"},
    {"prefix", 0, "PATH", "only what is stored below PATH"},
    {"via", 0, "root", "look only where bundles promise most; may miss hits"},
    {"share", 0, "P%", "with --via root: compare this share of the chunks; default 20%"},
    {"check", 0, NULL, "with --via root: compare all too, and tell what was missed"},
    {"no-rerank", 0, NULL, "estimates only: do not look at stored bytes"},
    EG_OPTION_AT,
    {0},
};

static engram_status read_via(const eg_cli *cli, eg_query_options *o, engram_error *error)
{
    const char *via = eg_option_text(cli, "via");
    double share = 0.2; /* nine in ten of the best, see via_root.c */
    if (via == NULL && (eg_option_text(cli, "share") != NULL || eg_option_flag(cli, "check")))
        return eg_fail(error, ENGRAM_INVALID, "--share and --check go with --via root");
    if (via != NULL && strcmp(via, "root") != 0)
        return eg_fail(error, ENGRAM_INVALID, "--via %s: root is expected", via);
    EG_TRY(eg_option_share(cli, "share", &share, error));
    if (share <= 0)
        return eg_fail(error, ENGRAM_INVALID, "--share: more than 0 is expected");
    o->via_root_share = via != NULL ? share : 0;
    o->via_root_check = eg_option_flag(cli, "check");
    return ENGRAM_OK;
}

static engram_status read_options(const eg_cli *cli, eg_query_options *o, engram_error *error)
{
    uint64_t k = 10, skip = 0;
    const char *by = eg_option_text(cli, "by");
    *o = (eg_query_options){.min = -1, .prefix = eg_option_text(cli, "prefix")};
    EG_TRY(eg_option_number(cli, "count", 1, 65536, &k, error));
    EG_TRY(eg_option_number(cli, "skip", 0, 65536, &skip, error));
    EG_TRY(eg_option_share(cli, "min", &o->min, error));
    EG_TRY(read_via(cli, o, error));
    if (by != NULL && strcmp(by, "file") != 0 && strcmp(by, "chunk") != 0)
        return eg_fail(error, ENGRAM_INVALID, "--by %s: file or chunk is expected", by);
    o->k = (uint32_t)k;
    o->skip = (uint32_t)skip;
    o->estimate_only = eg_option_flag(cli, "no-rerank");
    o->by_chunk = by != NULL && strcmp(by, "chunk") == 0;
    return ENGRAM_OK;
}

static void fill_document(eg_cli *cli, const eg_query_result *r, const eg_query_options *o)
{
    eg_query_fill(cli->document, r, o, eg_seconds_since(cli->start_ns));
    eg_query_device_fill(cli->document, cli->device);
}

static void print_pair(const eg_query_pair *p)
{
    printf("  (%" PRIu64 "+%" PRIu32 " in the query, %" PRIu64 "+%" PRIu32 " there, %" PRIu32
           " matches)",
           p->query_offset, p->query_size, p->file_offset, p->file_size, p->matches);
}

static void print_path(const eg_query_hit *hit)
{
    eg_path_print(stdout, (eg_view){(const uint8_t *)hit->path, hit->path_size});
}

static void print_estimate(const eg_cli *cli, const eg_query_hit *hit)
{
    printf("%.3f  %.3f [%.3f, %.3f]  %.3f  ", hit->score, hit->jaccard.value, hit->jaccard.low,
           hit->jaccard.high, hit->containment);
    print_path(hit);
    if (cli->verbosity != 0)
        print_pair(&hit->pair);
    putchar('\n');
}

static void print_ranges(const eg_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const eg_range *r = &ranges->items[i];
        printf("    %" PRIu64 " bytes: from %" PRIu64 " in the query, from %" PRIu64 " there\n",
               r->size, r->query_offset, r->file_offset);
    }
    printf("    %s%" PRIu64 " bytes of the query are in runs of %d equal bytes or more\n",
           ranges->complete ? "" : "at least ", ranges->covered, EG_RANGE_MIN);
}

/* The mark behind a share: + at least so much, ~ counted on a sample. */
static void print_exact(const eg_cli *cli, const eg_query_hit *hit)
{
    const eg_query_exact *e = &hit->exact;
    char mark = e->looked_at < e->file_size ? '+' : e->sample > 1 ? '~' : ' ';
    if (!e->present)
        printf("-       -       ");
    else if (e->jaccard < 0)
        printf("%.3f%c  -       ", e->containment, mark);
    else
        printf("%.3f%c  %.3f%c  ", e->containment, mark, e->jaccard, mark);
    printf("%.3f  ", hit->score);
    print_path(hit);
    putchar('\n');
    if (e->present && cli->verbosity != 0)
        print_ranges(&e->ranges);
}

static void print_hits(eg_cli *cli, const eg_query_result *r, const eg_query_options *o)
{
    bool exact = !o->by_chunk && !o->estimate_only;
    eg_output_say(cli, exact ? "within  J       score  path\n"
                             : "score  J [95 %% interval]    within path\n");
    for (size_t i = 0; i < r->hit_count; i++)
        exact ? print_exact(cli, &r->hits[i]) : print_estimate(cli, &r->hits[i]);
    if (r->hit_count == 0 && r->hits_before != 0)
        eg_output_note(cli, "there are only %" PRIu64 " hits", r->hits_before);
    else if (r->hit_count == 0)
        eg_output_note(cli, "nothing similar among %" PRIu64 " chunks", r->chunks_live);
}

static void say_via(eg_cli *cli, const eg_via_root_report *via, bool checked)
{
    eg_output_say(cli, "compared %.0f %% of the chunks, %" PRIu64 " in %zu of %zu bundles\n",
                  100 * via->share, via->chunks_read, via->bundles_read, via->bundles);
    if (checked)
        eg_output_say(cli,
                      "found %" PRIu64 " of the %" PRIu64
                      " best chunks, ten for each of the query: recall %.3f\n",
                      via->found_hits, via->exact_hits, via->recall);
}

static engram_status run_query(eg_cli *cli, const eg_query_options *o, eg_view content,
                               engram_error *error)
{
    eg_version version = {0};
    eg_searcher *searcher = NULL;
    eg_query_result result = {0};
    EG_TRY(eg_cli_pin(cli, &version, error));
    engram_status status = eg_searcher_create(cli->engram, cli->device, &searcher, error);
    if (status == ENGRAM_OK)
        status =
            eg_searcher_query(searcher, &version, content.data, content.size, o, &result, error);
    if (status == ENGRAM_OK) {
        fill_document(cli, &result, o);
        if (!cli->json)
            print_hits(cli, &result, o);
        if (o->via_root_share > 0)
            say_via(cli, &result.via_root, o->via_root_check);
        if (result.unsure && !cli->quiet)
            eg_output_note(cli, "the query has under 2 KiB: chunks are too large to be sure of the "
                                "answer; an engram "
                                "made with 'init --chunk cdc:4096' suits snippets");
        eg_query_result_fini(&result);
    }
    eg_searcher_free(searcher);
    eg_version_release(&version);
    return status;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_query_options o;
    uint8_t *bytes = NULL;
    size_t size = 0;
    engram_error inner = {0};
    EG_TRY(read_options(cli, &o, error));
    EG_TRY(eg_cli_open_device(cli, error));
    EG_TRY(eg_cli_open(cli, true, error));
    engram_status status =
        eg_cli_read_input(cli->operands[0], INPUT_SIZE_MAX, &bytes, &size, &inner);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s: %s", cli->operands[0], inner.message);
    status = run_query(cli, &o, (eg_view){bytes, size}, error);
    eg_free(bytes);
    return status;
}

const eg_command eg_command_query = {
    .name = "query",
    .operands = "FILE|-",
    .summary = "Find what is stored that is like FILE",
    .details =
        "Every chunk of FILE (at most 1 GiB) is compared with every stored chunk. The files that "
        "hold the\n"
        "best ones get a score, an estimate of how much of FILE is like them, and are looked at on "
        "their\n"
        "stored bytes, twenty by twenty. A hit shows how much of FILE is in it, counted in windows "
        "of 8\n"
        "bytes, the exact Jaccard similarity J, the score, and the path; -v adds the runs of bytes "
        "they have\n"
        "in common. A + says that only a part of a large file was looked at, so at least so much "
        "is in it; a\n"
        "~ that a sample of the windows was counted. --no-rerank and --by chunk show estimates: "
        "the score, J\n"
        "of the best pair of chunks with its 95 % interval, and how much of the query's chunk lies "
        "within the\n"
        "stored one. A query has at most 100 files as hits; --skip shows those behind the first.\n"
               "--via root compares only the chunks that bundles of 1,024 promise most of, and misses hits; one command\n"
               "saves nothing by it, since the bundles are made for it.\n",
    .examples = "  engram query -e my.engram draft.txt\n"
                "  engram query -e my.engram -k 3 --min 0.5 --prefix usr/share --json draft.txt\n"
                "  engram query -e my.engram --skip 10 draft.txt\n"
                "  head -c 64K image | engram query -e my.engram --by chunk -v -\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .run = run,
};
