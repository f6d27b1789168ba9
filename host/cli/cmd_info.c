/* engram info: what an engram holds, and what it costs. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {"novelty", 0, "FILE|-", "only how much of what is stored is like FILE, by the root alone"},
    {0},
};

static uint64_t number(const eg_cli *cli, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(cli->document, key));
}

static const char *bytes(const eg_cli *cli, const char *key, char text[EG_TEXT_SIZE])
{
    return eg_text_bytes(text, number(cli, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "?";
}

static void say_opening(eg_cli *cli)
{
    const json_t *r = json_object_get(cli->document, "recovery");
    json_int_t records = json_integer_value(json_object_get(r, "records"));
    json_int_t torn = json_integer_value(json_object_get(r, "torn_bytes"));
    if (records != 0 || torn != 0)
        eg_output_say(cli,
                      "opening   replayed %" JSON_INTEGER_FORMAT
                      " transactions, passed over %" JSON_INTEGER_FORMAT
                      " torn bytes at the journal's end\n",
                      json_integer_value(json_object_get(r, "transactions")), torn);
}

static void say_garbage(eg_cli *cli)
{
    char a[EG_TEXT_SIZE], b[EG_TEXT_SIZE], c[EG_TEXT_SIZE];
    const json_t *g = json_object_get(cli->document, "garbage");
    uint64_t size = (uint64_t)json_integer_value(json_object_get(g, "bytes"));
    uint64_t tree = (uint64_t)json_integer_value(json_object_get(g, "tree_bytes_garbage"));
    if (size + tree == 0)
        return;
    eg_output_say(cli, "garbage   %s in %" JSON_INTEGER_FORMAT " chunks, of which gc would return %s, and %s of the tree\n",
                  eg_text_bytes(a, size), json_integer_value(json_object_get(g, "chunks")),
                  eg_text_bytes(b, (uint64_t)json_integer_value(json_object_get(g, "bytes_gc"))), eg_text_bytes(c, tree));
}

/* The document in words. */
static void say_facts(eg_cli *cli)
{
    char a[EG_TEXT_SIZE], b[EG_TEXT_SIZE], c[EG_TEXT_SIZE];
    const json_t *d = cli->document;
    uint64_t own = number(cli, "bytes_vectors") + number(cli, "bytes_records");
    eg_output_say(cli, "version   %" PRIu64 ", %.19sZ\n", number(cli, "version"),
                  text_of(d, "time"));
    eg_output_say(cli,
                  "holds     %" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64
                  " links, %" PRIu64 " others\n",
                  number(cli, "files"), bytes(cli, "bytes_logical", a), number(cli, "directories"),
                  number(cli, "links"), number(cli, "others"));
    eg_output_say(cli, "chunks    %" PRIu64 " (%s) in %" PRIu64 " segments\n",
                  number(cli, "chunks"), bytes(cli, "bytes_chunks", a), number(cli, "segments"));
    eg_output_say(cli, "stored    %s: %s corrections, %s vectors and records\n",
                  bytes(cli, "bytes_stored", a), bytes(cli, "bytes_corrections", b),
                  eg_text_bytes(c, own));
    eg_output_say(
        cli, "on disk   %s, %.2f:1\n", bytes(cli, "bytes_on_disk", a),
        eg_ratio((double)number(cli, "bytes_logical"), (double)number(cli, "bytes_on_disk")));
    say_garbage(cli);
    eg_output_say(cli, "made with %s, codebook 1 seed %s, level %" PRIu64 ", xxh3-128\n",
                  text_of(d, "chunk"), text_of(json_object_get(d, "codebook"), "seed"),
                  number(cli, "level"));
    say_opening(cli);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    const char *novelty = eg_option_text(cli, "novelty");
    if (novelty != NULL) {
        EG_TRY(eg_cli_check_directory(cli, "--novelty", error));
        return eg_info_novelty(cli, novelty, error);
    }
    EG_TRY(eg_cli_access(cli, true, error));
    EG_TRY(eg_access_info(cli->access, eg_option_text(cli, "at"), cli->document, error));
    say_facts(cli);
    eg_output_say(cli, "keeps     ");
    eg_retention_say(cli, json_object_get(cli->document, "retention"));
    return eg_info_versions(cli, error);
}

const eg_command eg_command_info = {
    .name = "info",
    .operands = "",
    .summary = "Show what the engram holds and what it takes",
    .details = "Files and bytes of a version, chunks of all of them and what they take, garbage, how the "
               "engram was made,\n"
               "what opening it had to repair, which versions are kept by which rules, and those "
               "that --at can\n"
               "name. Of many versions without a label or a snapshot the last are shown; -v and "
               "--json have all.\n"
               "--novelty estimates, from the root alone, how many copies' worth of FILE the "
               "collection holds; what\n"
               "stands below its noise cannot be told, and is said to be so: of single chunks that "
               "is from some\n"
               "16,000 stored chunks on.\n",
    .examples = "  engram info -e my.engram\n  engram info -e my.engram --json\n"
                "  engram info -e my.engram --novelty draft.txt\n",
    .options = options,
    .is_remote = true,
    .run = run,
};
