/* engram query: what is stored that is like this? */
#include "access/query.h"
#include "base/memory.h"
#include "cli/cli.h"

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

static engram_status ask(eg_cli *cli, const eg_query_options *o, eg_view content,
                         engram_error *error)
{
    const eg_access_query query = {.at = eg_option_text(cli, "at"),
                                   .options = o,
                                   .content = content,
                                   .device = cli->device,
                                   .start_ns = cli->start_ns};
    EG_TRY(eg_access_ask(cli->access, &query, cli->document, error));
    eg_query_say(cli, !o->by_chunk && !o->estimate_only);
    return ENGRAM_OK;
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_query_options o;
    uint8_t *bytes = NULL;
    size_t size = 0;
    engram_error inner = {0};
    EG_TRY(read_options(cli, &o, error));
    EG_TRY(eg_cli_access(cli, true, error));
    if (eg_access_engram(cli->access) != NULL)
        EG_TRY(eg_cli_open_device(cli, error));
    engram_status status =
        eg_cli_read_input(cli->operands[0], INPUT_SIZE_MAX, &bytes, &size, &inner);
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s: %s", cli->operands[0], inner.message);
    status = ask(cli, &o, (eg_view){bytes, size}, error);
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
        "--via root compares only the chunks that bundles of 1,024 promise most of, and misses "
        "hits; one command\n"
        "saves nothing by it, since the bundles are made for it.\n",
    .examples = "  engram query -e my.engram draft.txt\n"
                "  engram query -e my.engram -k 3 --min 0.5 --prefix usr/share --json draft.txt\n"
                "  engram query -e my.engram --skip 10 draft.txt\n"
                "  head -c 64K image | engram query -e my.engram --by chunk -v -\n",
    .options = options,
    .operand_min = 1,
    .operand_max = 1,
    .is_remote = true,
    .run = run,
};
