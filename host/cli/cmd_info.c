/* engram info: what an engram holds, and what it costs. */
#include <inttypes.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "store/segment.h"

static const eg_option options[] = {
    EG_OPTION_AT,
    {"novelty", 0, "FILE|-", "only how much of what is stored is like FILE, by the root alone"},
    {0},
};

typedef struct facts {
    eg_version version;
    eg_tree_totals tree;
    eg_store_totals store;
    uint64_t size, disk_size, bytes_vectors, bytes_records, bytes_stored;
    engram_retention retention;
    engram_metrics metrics;
    engram_compacted gc; /* what it would do */
    bool is_judged;      /* gc could be foreseen */
    eg_segment_state *levels;
    size_t level_count;
} facts;

/* Why it cannot be foreseen is for verify to tell. */
static void look_for_garbage(eg_cli *cli, facts *f)
{
    const engram_compact_options dry = {.dry_run = true};
    f->is_judged = engram_gc(cli->engram, &dry, &f->gc, NULL) == ENGRAM_OK;
}

static engram_status gather(eg_cli *cli, facts *f, engram_error *error)
{
    EG_TRY(eg_cli_pin(cli, &f->version, error));
    EG_TRY(eg_fs_totals(f->version.root, &f->tree, error));
    EG_TRY(eg_store_get_totals(eg_engram_store(cli->engram), &f->store, error));
    EG_TRY(eg_engram_disk_usage(cli->engram, &f->size, &f->disk_size, error));
    engram_get_retention(cli->engram, &f->retention);
    engram_get_metrics(cli->engram, &f->metrics);
    look_for_garbage(cli, f);
    EG_TRY(eg_store_get_levels(eg_engram_store(cli->engram), &f->levels, &f->level_count, error));
    f->bytes_vectors = f->store.chunks * ENGRAM_BLOCKS;
    f->bytes_records = f->store.chunks * EG_SEGMENT_RECORD_SIZE;
    f->bytes_stored = f->store.bytes_payload + f->bytes_vectors + f->bytes_records;
    return ENGRAM_OK;
}

static const char *const kinds[] = {"none", "delta", "packed", "verbatim"};

static json_t *corrections_json(const facts *f)
{
    json_t *object = json_object();
    for (size_t i = 0; i < 4; i++) {
        json_t *kind = json_object();
        eg_json_put_number(kind, "chunks", f->store.by_kind[i]);
        eg_json_put_number(kind, "bytes", f->store.bytes_by_kind[i]);
        eg_json_put(object, kinds[i], kind);
    }
    return object;
}

/* How many segments there are of each level. */
static json_t *levels_json(const facts *f)
{
    json_t *list = json_array();
    for (unsigned level = 0; level < 256; level++) {
        uint64_t count = 0;
        for (size_t i = 0; i < f->level_count; i++)
            count += f->levels[i].level == level;
        if (count == 0)
            continue;
        json_t *object = json_object();
        eg_json_put_number(object, "level", level);
        eg_json_put_number(object, "segments", count);
        eg_json_put(list, NULL, object);
    }
    return list;
}

static json_t *garbage_json(const facts *f)
{
    json_t *object = json_object();
    eg_json_put_number(object, "chunks", f->gc.chunks_garbage);
    eg_json_put_number(object, "bytes", f->gc.bytes_garbage);
    eg_json_put_number(object, "bytes_gc", f->gc.bytes_before - f->gc.bytes_after);
    eg_json_put_number(object, "tree_bytes", f->gc.tree_bytes);
    eg_json_put_number(object, "tree_bytes_garbage", f->gc.tree_bytes - f->gc.tree_bytes_kept);
    return object;
}

static json_t *codebook_json(const eg_engram_config *config)
{
    char seed[24];
    json_t *object = json_object();
    snprintf(seed, sizeof seed, "%" PRIu64, config->seed);
    eg_json_put_number(object, "version", 1);
    eg_json_put(object, "seed", json_string(seed));
    return object;
}

static json_t *recovery_json(const eg_recovery *r)
{
    json_t *object = json_object();
    eg_json_put_number(object, "checkpoint", r->checkpoint);
    eg_json_put_number(object, "checkpoint_version", r->checkpoint_version);
    eg_json_put_number(object, "records", r->records);
    eg_json_put_number(object, "transactions", r->transactions);
    eg_json_put_number(object, "chunks", r->chunks);
    eg_json_put_number(object, "torn_bytes", r->torn_bytes);
    eg_json_put_number(object, "segments_rewritten", r->segments_rewritten);
    eg_json_put(object, "seconds", json_real(r->seconds));
    return object;
}

static void fill_document(eg_cli *cli, const facts *f)
{
    char time[EG_TEXT_SIZE], chunk[32];
    const eg_engram_config *config = eg_engram_get_config(cli->engram);
    json_t *d = cli->document;
    eg_chunk_config_format(&config->chunk, chunk);
    eg_path_json(d, "engram", eg_view_of(eg_engram_dir(cli->engram)));
    eg_json_put_number(d, "version", f->version.number);
    eg_json_put(d, "time", json_string(eg_text_time_ns(time, f->version.time_ns)));
    eg_json_put_number(d, "files", f->tree.files);
    eg_json_put_number(d, "directories", f->tree.directories);
    eg_json_put_number(d, "links", f->tree.links);
    eg_json_put_number(d, "others", f->tree.others);
    eg_json_put_number(d, "chunks", f->store.chunks);
    eg_json_put_number(d, "bytes_logical", f->tree.bytes_logical);
    eg_json_put_number(d, "bytes_chunks", f->store.bytes_logical);
    eg_json_put_number(d, "bytes_stored", f->bytes_stored);
    eg_json_put_number(d, "bytes_corrections", f->store.bytes_payload);
    eg_json_put_number(d, "bytes_vectors", f->bytes_vectors);
    eg_json_put_number(d, "bytes_records", f->bytes_records);
    eg_json_put_number(d, "bytes_on_disk", f->disk_size);
    eg_json_put(d, "corrections", corrections_json(f));
    eg_json_put_number(d, "segments", f->store.segments);
    eg_json_put(d, "levels", levels_json(f));
    eg_json_put(d, "garbage", f->is_judged ? garbage_json(f) : json_null());
    eg_json_put(d, "codebook", codebook_json(config));
    eg_json_put(d, "chunk", json_string(chunk));
    eg_json_put_number(d, "level", (uint64_t)config->level);
    eg_json_put(d, "hash", json_string("xxh3-128"));
    eg_json_put_number(d, "journal_bytes", f->metrics.journal_bytes);
    eg_json_put(d, "recovery", recovery_json(eg_engram_get_recovery(cli->engram)));
    eg_json_put(d, "retention", eg_retention_json(&f->retention));
}

static void say_facts(eg_cli *cli, const facts *f)
{
    char a[EG_TEXT_SIZE], b[EG_TEXT_SIZE], c[EG_TEXT_SIZE], chunk[32];
    const eg_engram_config *config = eg_engram_get_config(cli->engram);
    const eg_recovery *r = eg_engram_get_recovery(cli->engram);
    eg_chunk_config_format(&config->chunk, chunk);
    eg_output_say(cli, "version   %" PRIu64 ", %.19sZ\n", f->version.number,
                  eg_text_time_ns(a, f->version.time_ns));
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
    facts f = {0};
    if (eg_option_text(cli, "novelty") != NULL)
        return eg_info_novelty(cli, eg_option_text(cli, "novelty"), error);
    EG_TRY(eg_cli_open(cli, true, error));
    engram_status status = gather(cli, &f, error);
    if (status == ENGRAM_OK) {
        fill_document(cli, &f);
        say_facts(cli, &f);
        eg_output_say(cli, "keeps     ");
        eg_retention_say(cli, &f.retention);
        status = eg_info_versions(cli, error);
    }
    eg_version_release(&f.version);
    eg_free(f.levels);
    return status;
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
