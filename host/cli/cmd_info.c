/* engram info: what an engram holds, and what it costs. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {"novelty", 0, "FILE|-", "only how much of what is stored is like FILE, by the root alone"},
    {0},
};

static void say_facts(eg_cli *cli, const eg_info *f)
{
    char a[EG_TEXT_SIZE], b[EG_TEXT_SIZE], c[EG_TEXT_SIZE], chunk[32];
    const eg_engram_config *config = eg_engram_get_config(cli->engram);
    const eg_recovery *r = eg_engram_get_recovery(cli->engram);
    eg_chunk_config_format(&config->chunk, chunk);
    eg_output_say(cli, "version   %" PRIu64 ", %.19sZ\n", f->version,
                  eg_text_time_ns(a, f->time_ns));
    eg_output_say(cli,
                  "holds     %" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64
                  " links, %" PRIu64 " others\n",
                  f->tree.files, eg_text_bytes(a, f->tree.bytes_logical), f->tree.directories,
                  f->tree.links, f->tree.others);
    eg_output_say(cli, "chunks    %" PRIu64 " (%s) in %" PRIu64 " segments\n", f->store.chunks,
                  eg_text_bytes(a, f->store.bytes_logical), f->store.segments);
    eg_output_say(cli, "stored    %s: %s corrections, %s vectors and records\n",
                  eg_text_bytes(a, f->bytes_stored), eg_text_bytes(b, f->store.bytes_payload),
                  eg_text_bytes(c, f->bytes_vectors + f->bytes_records));
    eg_output_say(cli, "on disk   %s, %.2f:1\n", eg_text_bytes(a, f->disk_size),
                  eg_ratio((double)f->tree.bytes_logical, (double)f->disk_size));
    if (f->is_judged && f->gc.bytes_garbage + f->gc.tree_bytes - f->gc.tree_bytes_kept != 0)
        eg_output_say(cli,
                      "garbage   %s in %" PRIu64 " chunks, of which gc would return %s, and %s of the tree\n",
                      eg_text_bytes(a, f->gc.bytes_garbage), f->gc.chunks_garbage,
                      eg_text_bytes(b, f->gc.bytes_before - f->gc.bytes_after),
                      eg_text_bytes(c, f->gc.tree_bytes - f->gc.tree_bytes_kept));
    eg_output_say(cli, "made with %s, codebook 1 seed %" PRIu64 ", level %d, xxh3-128\n", chunk,
                  config->seed, config->level);
    if (r->records != 0 || r->torn_bytes != 0)
        eg_output_say(cli,
                      "opening   replayed %" PRIu64 " transactions, passed over %" PRIu64
                      " torn bytes at the journal's end\n",
                      r->transactions, r->torn_bytes);
}

static engram_status run(eg_cli *cli, engram_error *error)
{
    eg_version version = {0};
    eg_info info = {0};
    if (eg_option_text(cli, "novelty") != NULL)
        return eg_info_novelty(cli, eg_option_text(cli, "novelty"), error);
    EG_TRY(eg_cli_open(cli, true, error));
    EG_TRY(eg_cli_pin(cli, &version, error));
    engram_status status = eg_info_gather(cli->engram, &version, &info, error);
    eg_version_release(&version);
    EG_TRY(status);
    eg_info_judge(cli->engram, &info);
    eg_info_fill(cli->document, cli->engram, &info);
    say_facts(cli, &info);
    eg_output_say(cli, "keeps     ");
    eg_retention_say(cli, &info.retention);
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
    .run = run,
};
