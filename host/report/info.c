/* What an engram holds, and what it costs. */
#include <inttypes.h>

#include "base/memory.h"
#include "report/report.h"
#include "store/segment.h"

static engram_status count_levels(eg_engram *engram, eg_info *info, engram_error *error)
{
    eg_segment_state *levels = NULL;
    size_t count = 0;
    EG_TRY(eg_store_get_levels(eg_engram_store(engram), &levels, &count, error));
    for (size_t i = 0; i < count; i++)
        info->segments_of_level[levels[i].level]++;
    eg_free(levels);
    return ENGRAM_OK;
}

/* Why it cannot be foreseen is for verify to tell. */
void eg_info_judge(eg_engram *engram, eg_info *info)
{
    const engram_compact_options dry = {.dry_run = true};
    info->is_judged = engram_gc(engram, &dry, &info->gc, NULL) == ENGRAM_OK;
}

engram_status eg_info_gather(eg_engram *engram, const eg_version *version, eg_info *info,
                             engram_error *error)
{
    info->version = version->number;
    info->time_ns = version->time_ns;
    EG_TRY(eg_fs_totals(version->root, &info->tree, error));
    EG_TRY(eg_store_get_totals(eg_engram_store(engram), &info->store, error));
    EG_TRY(eg_engram_disk_usage(engram, &info->size, &info->disk_size, error));
    engram_get_retention(engram, &info->retention);
    engram_get_metrics(engram, &info->metrics);
    EG_TRY(count_levels(engram, info, error));
    info->bytes_vectors = info->store.chunks * ENGRAM_BLOCKS;
    info->bytes_records = info->store.chunks * EG_SEGMENT_RECORD_SIZE;
    info->bytes_stored = info->store.bytes_payload + info->bytes_vectors + info->bytes_records;
    return ENGRAM_OK;
}

static json_t *corrections_json(const eg_info *f)
{
    json_t *object = json_object();
    for (size_t i = 0; i < 4; i++) {
        json_t *kind = json_object();
        eg_json_put_number(kind, "chunks", f->store.by_kind[i]);
        eg_json_put_number(kind, "bytes", f->store.bytes_by_kind[i]);
        eg_json_put(object, eg_correction_kind_name((eg_correction_kind)i), kind);
    }
    return object;
}

/* How many segments there are of each level. */
static json_t *levels_json(const eg_info *f)
{
    json_t *list = json_array();
    for (unsigned level = 0; level < 256; level++) {
        if (f->segments_of_level[level] == 0)
            continue;
        json_t *object = json_object();
        eg_json_put_number(object, "level", level);
        eg_json_put_number(object, "segments", f->segments_of_level[level]);
        eg_json_put(list, NULL, object);
    }
    return list;
}

static json_t *garbage_json(const eg_info *f)
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

void eg_info_fill(json_t *d, eg_engram *engram, const eg_info *f)
{
    char time[EG_TEXT_SIZE], chunk[32];
    const eg_engram_config *config = eg_engram_get_config(engram);
    eg_chunk_config_format(&config->chunk, chunk);
    eg_path_json(d, "engram", eg_view_of(eg_engram_dir(engram)));
    eg_json_put_number(d, "version", f->version);
    eg_json_put(d, "time", json_string(eg_text_time_ns(time, f->time_ns)));
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
    eg_json_put(d, "recovery", recovery_json(eg_engram_get_recovery(engram)));
    eg_json_put(d, "retention", eg_retention_json(&f->retention));
}

json_t *eg_retention_json(const engram_retention *retention)
{
    json_t *object = json_object();
    eg_json_put_number(object, "every_seconds", retention->every_s);
    eg_json_put_number(object, "last", retention->last);
    eg_json_put_number(object, "hourly", retention->hourly);
    eg_json_put_number(object, "daily", retention->daily);
    eg_json_put_number(object, "weekly", retention->weekly);
    eg_json_put_number(object, "monthly", retention->monthly);
    eg_json_put_number(object, "yearly", retention->yearly);
    if (retention->runs == 0)
        eg_json_put(object, "runs", json_null());
    else
        eg_json_put_number(object, "runs", retention->runs == ENGRAM_RUNS_NONE ? 0 : retention->runs);
    return object;
}
