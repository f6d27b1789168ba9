/* engram gc, engram compact: space that nothing needs any more. */
#include <inttypes.h>

#include "cli/cli.h"

static const eg_option options[] = {
    {"dry-run", 0, NULL, "only tell what would be done"},
    {"garbage", 0, "P%", "write anew what garbage takes this share of; default 2%, of the tree 20%"},
    {"rate", 0, "SIZE", "read and write so much in a second at most"},
    {0},
};

typedef engram_status compaction(struct engram *e, const engram_compact_options *options,
                                 engram_compacted *done, engram_error *error);

static void on_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    eg_cli *cli = context;
    eg_progress_show(&cli->progress, bytes_done, bytes_total, 0);
}

static bool is_cancelled(void *context)
{
    (void)context;
    return atomic_load(&eg_signals_cancel);
}

static engram_status read_options(eg_cli *cli, engram_compact_options *o, engram_error *error)
{
    *o = (engram_compact_options){.dry_run = eg_option_flag(cli, "dry-run"),
                                  .context = cli,
                                  .progress = on_progress,
                                  .is_cancelled = is_cancelled};
    const double any = 1e-9;
    EG_TRY(eg_option_share(cli, "garbage", &o->garbage, error));
    if (eg_option_text(cli, "garbage") != NULL && o->garbage < any)
        o->garbage = any; /* 0 is for the defaults */
    return eg_option_size(cli, "rate", &o->rate, error);
}

static void fill_document(eg_cli *cli, const engram_compacted *done, uint64_t before, uint64_t after)
{
    json_t *d = cli->document;
    eg_json_put(d, "dry_run", json_boolean(eg_option_flag(cli, "dry-run")));
    eg_json_put_number(d, "chunks", done->chunks);
    eg_json_put_number(d, "chunks_garbage", done->chunks_garbage);
    eg_json_put_number(d, "bytes_garbage", done->bytes_garbage);
    eg_json_put_number(d, "chunks_dropped", done->chunks_dropped);
    eg_json_put_number(d, "chunks_encoded", done->chunks_encoded);
    eg_json_put_number(d, "segments_before", done->segments_before);
    eg_json_put_number(d, "segments_after", done->segments_after);
    eg_json_put_number(d, "segments_read", done->segments_read);
    eg_json_put_number(d, "segments_written", done->segments_written);
    eg_json_put_number(d, "segments_damaged", done->segments_damaged);
    eg_json_put_number(d, "bytes_before", done->bytes_before);
    eg_json_put_number(d, "bytes_after", done->bytes_after);
    eg_json_put_number(d, "tree_bytes", done->tree_bytes);
    eg_json_put_number(d, "tree_bytes_kept", done->tree_bytes_kept);
    eg_json_put_number(d, "bytes_on_disk_before", before);
    eg_json_put_number(d, "bytes_on_disk", after);
    eg_json_put(d, "seconds", json_real(eg_seconds_since(cli->start_ns)));
}

static void say(eg_cli *cli, const engram_compacted *done)
{
    char a[EG_TEXT_SIZE], b[EG_TEXT_SIZE];
    bool dry_run = eg_option_flag(cli, "dry-run");
    eg_output_say(cli, "garbage   %" PRIu64 " of %" PRIu64 " chunks, %s\n", done->chunks_garbage,
                  done->chunks, eg_text_bytes(a, done->bytes_garbage));
    eg_output_say(cli, "segments  %" PRIu64 " %s %" PRIu64 ": %" PRIu64 " %s read, %" PRIu64 " written\n",
                  done->segments_before, dry_run ? "would become" : "became", done->segments_after,
                  done->segments_read, dry_run ? "would be" : "were", done->segments_written);
    eg_output_say(cli, "takes     %s%s instead of %s\n", dry_run ? "about " : "",
                  eg_text_bytes(a, done->bytes_after), eg_text_bytes(b, done->bytes_before));
    eg_output_say(cli, "tree      %s, of which %s are kept\n", eg_text_bytes(a, done->tree_bytes),
                  eg_text_bytes(b, done->tree_bytes_kept));
}

/* Closing writes the tree anew: only then it can be told what is taken. */
static engram_status close_and_look(eg_cli *cli, const engram_compact_options *o,
                                    engram_error *error)
{
    if (o->dry_run)
        return ENGRAM_OK;
    EG_TRY(eg_engram_close(&cli->engram, error));
    return eg_cli_open(cli, true, error);
}

static engram_status run(eg_cli *cli, compaction *compact, engram_error *error)
{
    engram_compact_options o;
    engram_compacted done;
    uint64_t size, before, after;
    EG_TRY(read_options(cli, &o, error));
    eg_signals_defer();
    EG_TRY(eg_cli_open(cli, o.dry_run, error));
    EG_TRY(eg_engram_disk_usage(cli->engram, &size, &before, error));
    EG_TRY(compact(cli->engram, &o, &done, error));
    EG_TRY(close_and_look(cli, &o, error));
    EG_TRY(eg_engram_disk_usage(cli->engram, &size, &after, error));
    fill_document(cli, &done, before, after);
    say(cli, &done);
    if (done.segments_damaged != 0)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "%" PRIu64 " damaged segments were left as they are; engram verify --repair mends what can be",
                       done.segments_damaged);
    return ENGRAM_OK;
}

static engram_status run_gc(eg_cli *cli, engram_error *error)
{
    return run(cli, engram_gc, error);
}

static engram_status run_compact(eg_cli *cli, engram_error *error)
{
    return run(cli, engram_compact, error);
}

const eg_command eg_command_gc = {
    .name = "gc",
    .operands = "",
    .summary = "Return the space of what no kept version needs",
    .details = "The rules of retention are applied, then chunks that no kept version holds are "
               "dropped: segments are\n"
               "written anew without them, where they take a share that is worth it. What rested on "
               "a dropped chunk\n"
               "is encoded anew. Versions that encode labelled keep what they hold until 'snapshot "
               "keep --runs N'\n"
               "lets go of them. Readers and writers go on meanwhile, and interrupting it costs "
               "nothing.\n",
    .examples = "  engram gc -e my.engram --dry-run\n  engram gc -e my.engram\n",
    .options = options,
    .run = run_gc,
};

const eg_command eg_command_compact = {
    .name = "compact",
    .operands = "",
    .summary = "Return space, and merge segments into few",
    .details = "As gc, and merges neighbouring segments into files of up to 1 GiB: each process that "
               "writes leaves a\n"
               "segment of its own, and each is a file to open.\n",
    .examples = "  engram compact -e my.engram\n  engram compact -e my.engram --rate 50M --json\n",
    .options = options,
    .run = run_compact,
};
