/* Repair: the order of things. */
#include "engram/repair.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

static void tell(void (*to)(void *, const char *), void *context, const char *format, va_list args)
{
    char text[1200];
    if (to == NULL)
        return;
    vsnprintf(text, sizeof text, format, args);
    to(context, text);
}

void eg_repair_say(eg_repair *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(r->options->step, r->options->context, format, args);
    va_end(args);
}

void eg_repair_lose(eg_repair *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(r->options->lost, r->options->context, format, args);
    va_end(args);
}

engram_status eg_repair_no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory repairing");
}

engram_status eg_repair_move(eg_repair *r, engram_error *error, const char *format, ...)
{
    char file[64];
    va_list args;
    va_start(args, format);
    vsnprintf(file, sizeof file, format, args);
    va_end(args);
    for (size_t i = 0; i < r->moves.count; i++)
        if (strcmp(r->moves.files[i], file) == 0)
            return ENGRAM_OK;
    if (!eg_grow((void **)&r->moves.files, &r->move_capacity, r->moves.count + 1,
                 sizeof *r->moves.files))
        return eg_repair_no_memory(error);
    r->moves.files[r->moves.count] = eg_strdup(file);
    return r->moves.files[r->moves.count++] != NULL ? ENGRAM_OK : eg_repair_no_memory(error);
}

engram_status eg_repair_add_version(eg_repair *r, uint64_t number, uint64_t time_ns, eg_root *root,
                                    eg_view label, engram_error *error)
{
    char *text = eg_memdup(label.data, label.size);
    if (text == NULL || !eg_grow((void **)&r->versions, &r->version_capacity, r->version_count + 1,
                                 sizeof *r->versions)) {
        eg_free(text);
        eg_root_release(root);
        return eg_repair_no_memory(error);
    }
    r->versions[r->version_count++] = (eg_repair_version){.number = number,
                                                          .time_ns = time_ns,
                                                          .root = root,
                                                          .label = text,
                                                          .label_size = label.size,
                                                          .keep = label.size != 0,
                                                          .listed = true};
    return ENGRAM_OK;
}

void eg_repair_drop_version(eg_repair_version *v)
{
    eg_root_release(v->root);
    eg_root_release(v->found);
    eg_free(v->label);
}

/* ---- the parts ---- */

static engram_status open_nodes(eg_repair *r, engram_error *error)
{
    eg_nodes_options options = {
        .read_only = r->options->dry_run, .salvage = true, .end = r->state.nodes_end};
    char *path = eg_path_join(r->dir, "tree");
    if (path == NULL)
        return eg_repair_no_memory(error);
    engram_status status = eg_nodes_open(r->io, path, &options, &r->nodes, error);
    eg_free(path);
    EG_TRY(status);
    if (eg_nodes_lacks_header(r->nodes)) {
        r->broken = true;
        eg_repair_say(r, "tree/%s: its header is damaged and is written anew",
                      eg_nodes_file_name(r->nodes));
    }
    if (eg_nodes_end(r->nodes) < r->state.nodes_end) {
        r->broken = true;
        eg_repair_say(r, "tree/%s ends at %" PRIu64 ", the checkpoint needs %" PRIu64,
                      eg_nodes_file_name(r->nodes), eg_nodes_offset_of(eg_nodes_end(r->nodes)),
                      eg_nodes_offset_of(r->state.nodes_end));
    }
    return ENGRAM_OK;
}

static void encode(void *context, const uint8_t *bytes, size_t size, uint8_t *vector,
                   uint32_t *spread)
{
    eg_repair *r = context;
    r->kernels.encode(&r->codebook, bytes, size, vector, spread);
}

static void pass_progress(void *context, uint64_t bytes_done)
{
    eg_repair *r = context;
    uint64_t total = 0;
    for (size_t i = 0; i < r->segment_count; i++)
        total += r->segments[i].payload_size;
    if (r->options->progress != NULL)
        r->options->progress(r->options->context, bytes_done,
                             total > bytes_done ? total : bytes_done);
}

static engram_status open_store(eg_repair *r, engram_error *error)
{
    eg_store_options options = {.read_only = true, .tolerate = true};
    char *path = eg_path_join(r->dir, "segments");
    if (path == NULL)
        return eg_repair_no_memory(error);
    engram_status status =
        eg_store_open(r->io, path, r->segments, r->segment_count, &options, &r->store, error);
    eg_free(path);
    return status;
}

static engram_status tell_segment(eg_repair *r, const eg_salvage_segment *s, engram_error *error)
{
    char more[64] = "";
    uint64_t expected = s->state.chunk_count;
    r->broken = true;
    if (s->has_more) {
        eg_repair_say(r,
                      "segments/%08" PRIu64 ".seg may hold more than is known to be committed; what is "
                      "goes into a new segment",
                      s->state.id);
        return eg_repair_move(r, error, "segments/%08" PRIu64 ".seg", s->state.id);
    }
    r->done->segments_damaged++;
    r->done->chunks_saved += s->good;
    if (s->problems > 1)
        snprintf(more, sizeof more, ", and %" PRIu64 " more problems", s->problems - 1);
    eg_repair_say(r, "%s%s; %" PRIu64 " of its %" PRIu64 " chunks are good%s", s->reason, more,
                  s->good, expected, s->good != 0 ? " and go into a new segment" : "");
    return s->is_missing ? ENGRAM_OK
                         : eg_repair_move(r, error, "segments/%08" PRIu64 ".seg", s->state.id);
}

/* The record that named them may be lost. */
static engram_status move_unnamed(eg_repair *r, engram_error *error)
{
    uint64_t *numbers;
    size_t count;
    EG_TRY(eg_salvage_list_unnamed(r->salvage, &numbers, &count, error));
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < count && status == ENGRAM_OK; i++) {
        eg_repair_say(r, "segments/%08" PRIu64 ".seg is named by nothing that can be read",
                      numbers[i]);
        status = eg_repair_move(r, error, "segments/%08" PRIu64 ".seg", numbers[i]);
    }
    eg_free(numbers);
    return status;
}

static engram_status survey_chunks(eg_repair *r, engram_error *error)
{
    eg_salvage_options options = {.states = r->segments,
                                  .state_count = r->segment_count,
                                  .next_id = r->chunk_end,
                                  .exact = r->is_past,
                                  .level = r->manifest.config.level,
                                  .pool = r->pool,
                                  .context = r,
                                  .encode = encode,
                                  .progress = pass_progress};
    EG_TRY(open_store(r, error));
    EG_TRY(eg_salvage_create(r->store, &options, &r->salvage, error));
    for (size_t i = 0; i < eg_salvage_count(r->salvage); i++)
        EG_TRY(tell_segment(r, eg_salvage_get(r->salvage, i), error));
    return r->is_past ? move_unnamed(r, error) : ENGRAM_OK;
}

/* ---- the root ---- */

typedef struct counting {
    eg_repair *repair;
    engram_bundle *fresh;
    uint64_t last;
} counting;

static engram_status count_chunk(void *context, uint64_t chunk, uint64_t inode, uint32_t count,
                                 engram_error *error)
{
    counting *c = context;
    uint8_t vector[ENGRAM_BLOCKS];
    (void)inode, (void)count;
    if (chunk == c->last)
        return ENGRAM_OK;
    c->last = chunk;
    engram_status status = eg_salvage_get_vector(c->repair->salvage, chunk, vector, error);
    if (status == ENGRAM_OK)
        engram_bundle_add(c->fresh, vector, 1);
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

static bool is_expected(const eg_repair *r, const engram_bundle *fresh)
{
    uint8_t hash[32];
    eg_hash_root(fresh, hash);
    if (r->has_hash)
        return memcmp(hash, r->hash, sizeof hash) == 0;
    return !r->has_bundle ||
           (fresh->count == r->bundle->count &&
            memcmp(fresh->counters, r->bundle->counters, sizeof fresh->counters) == 0);
}

static engram_status count_root(eg_repair *r, engram_error *error)
{
    counting c = {.repair = r, .fresh = eg_alloc_zero(1, sizeof *c.fresh)};
    if (c.fresh == NULL)
        return eg_repair_no_memory(error);
    engram_status status =
        eg_fs_holders(r->versions[r->version_count - 1].root, 0, count_chunk, &c, error);
    if (status == ENGRAM_OK && !r->broken && !is_expected(r, c.fresh)) {
        r->broken = true;
        eg_repair_say(r, "the root differs from the sum of the live chunks and is computed anew");
    }
    *r->bundle = *c.fresh;
    eg_free(c.fresh);
    return status;
}

/* ---- all ---- */

static engram_status is_there(eg_repair *r, const char *path, bool *there, engram_error *error)
{
    uint64_t size, disk_size;
    engram_error inner = {0};
    engram_status status = r->io->stat(r->io, path, &size, &disk_size, &inner);
    *there = status == ENGRAM_OK;
    return status == ENGRAM_OK || status == ENGRAM_NOT_FOUND
               ? ENGRAM_OK
               : eg_fail(error, status, "%s", inner.message);
}

/* Before anything is made in a directory that is another's. */
static engram_status find_engram(eg_repair *r, engram_error *error)
{
    bool there;
    uint64_t *numbers = NULL;
    size_t count = 0;
    engram_error inner = {0};
    EG_TRY(is_there(r, r->dir, &there, error));
    if (!there)
        return eg_fail(error, ENGRAM_NOT_ENGRAM, "%s is no engram: there is no such directory",
                       r->dir);
    char *path = eg_path_join(r->dir, "MANIFEST.json");
    if (path == NULL)
        return eg_repair_no_memory(error);
    engram_status status = is_there(r, path, &there, error);
    eg_free(path);
    if (status != ENGRAM_OK || there)
        return status;
    status = eg_checkpoint_list(r->io, r->dir, &numbers, &count, &inner);
    eg_free(numbers);
    if (status != ENGRAM_OK && status != ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "%s", inner.message);
    return count != 0 ? ENGRAM_OK
                      : eg_fail(error, ENGRAM_NOT_ENGRAM,
                                "%s is no engram: it has neither MANIFEST.json nor a checkpoint",
                                r->dir);
}

static engram_status lock(eg_repair *r, engram_error *error)
{
    EG_TRY(find_engram(r, error));
    return r->options->dry_run ? eg_lock_looker(r->io, r->dir, &r->lock, error)
                               : eg_lock_writer(r->io, r->dir, &r->lock, error);
}

static engram_status run(eg_repair *r, engram_error *error)
{
    r->bundle = eg_alloc_zero(1, sizeof *r->bundle);
    if (r->bundle == NULL)
        return eg_repair_no_memory(error);
    eg_kernels_init(&r->kernels, eg_cpu_flags());
    EG_TRY(eg_pool_create(r->options->threads, &r->pool, error));
    EG_TRY(eg_repair_find_base(r, error));
    engram_codebook_init(&r->codebook, r->manifest.config.seed);
    EG_TRY(eg_chunker_init(&r->chunker, &r->manifest.config.chunk, error));
    EG_TRY(open_nodes(r, error));
    EG_TRY(eg_repair_scan_journal(r, error));
    EG_TRY(survey_chunks(r, error));
    EG_TRY(eg_repair_load_versions(r, error));
    EG_TRY(eg_repair_settle_base(r, error));
    size_t base = r->version_count - 1;
    EG_TRY(eg_repair_replay(r, error));
    EG_TRY(eg_repair_settle_history(r, base, error));
    EG_TRY(eg_repair_settle_newest(r, base, error));
    EG_TRY(count_root(r, error));
    r->done->needed = r->broken;
    r->done->version = r->versions[r->version_count - 1].number;
    return r->broken && !r->options->dry_run ? eg_repair_write(r, error) : ENGRAM_OK;
}

static void release(eg_repair *r)
{
    for (size_t i = 0; i < r->version_count; i++)
        eg_repair_drop_version(&r->versions[i]);
    eg_free(r->versions);
    eg_buffer_fini(&r->named);
    eg_salvage_free(r->salvage);
    eg_store_close(&r->store);
    eg_nodes_close(&r->nodes);
    eg_moves_fini(&r->moves);
    eg_free(r->bad_nodes);
    eg_free(r->segments);
    eg_manifest_fini(&r->manifest);
    eg_free(r->bundle);
    eg_pool_free(r->pool);
    r->io->close(r->io, &r->lock);
}

engram_status eg_engram_repair(eg_io *io, const char *dir, const engram_repair_options *options,
                               engram_repaired *repaired, engram_error *error)
{
    eg_repair r = {.io = io, .dir = dir, .options = options, .done = repaired};
    *repaired = (engram_repaired){0};
    engram_status status = lock(&r, error);
    if (status == ENGRAM_OK)
        status = run(&r, error);
    release(&r);
    return status;
}

engram_status engram_repair(const char *directory, const engram_repair_options *options,
                            engram_repaired *repaired, engram_error *error)
{
    static const engram_repair_options none;
    return eg_engram_repair(eg_io_posix(), directory, options != NULL ? options : &none, repaired,
                            error);
}
