/* Repair: writing what was made, beside what is there, and the switch.
 *
 * 1. Copies of what is overwritten, into the quarantine. 2. New segments. 3. New nodes, behind all that are
 * there; a header of the node file, where that is broken. 4. An empty journal file. 5. The checkpoint.
 * 6. MANIFEST.json: from here on the engram is repaired. 7. What was replaced moves into the quarantine. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/repair.h"
#include "journal/files.h"

enum { MANIFEST_SIZE_MAX = 64 << 20 };

/* ---- 1. ---- */

static engram_status make_folders(eg_repair *r, engram_error *error)
{
    static const char *const folders[] = {"journal", "segments", "tree", "checkpoint"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        engram_error inner = {0};
        char *path = eg_path_join(r->dir, folders[i]);
        if (path == NULL)
            return eg_repair_no_memory(error);
        engram_status status = r->io->mkdir(r->io, path, &inner);
        eg_free(path);
        if (status != ENGRAM_OK && status != ENGRAM_EXISTS)
            return eg_fail(error, status, "%s", inner.message);
    }
    return r->io->sync_dir(r->io, r->dir, error);
}

static engram_status keep(eg_repair *r, const char *name, eg_view bytes, engram_error *error)
{
    return eg_quarantine_keep(r->io, r->dir, r->moves.folder, name, bytes, error);
}

static engram_status keep_manifest(eg_repair *r, engram_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    engram_error inner = {0};
    char *path = eg_path_join(r->dir, "MANIFEST.json");
    if (path == NULL)
        return eg_repair_no_memory(error);
    engram_status status =
        eg_io_read_file(r->io, path, MANIFEST_SIZE_MAX, &bytes, &size, &inner);
    if (status == ENGRAM_OK)
        status = keep(r, "MANIFEST.json", (eg_view){bytes, size}, error);
    else if (status == ENGRAM_NOT_FOUND)
        status = ENGRAM_OK;
    else
        eg_fail(error, status, "%s", inner.message);
    eg_free(bytes);
    eg_free(path);
    return status;
}

/* Bytes of the node file, as many as there are. */
static engram_status keep_nodes(eg_repair *r, eg_file *file, uint64_t offset, size_t size,
                                engram_error *error)
{
    char name[64];
    size_t got = 0;
    uint8_t *bytes = eg_alloc(size + 1);
    if (bytes == NULL)
        return eg_repair_no_memory(error);
    snprintf(name, sizeof name, "tree/%s.%" PRIu64, eg_nodes_file_name(r->nodes), offset);
    engram_status status = r->io->read_some(r->io, file, offset, bytes, size, &got, error);
    if (status == ENGRAM_OK && got != 0)
        status = keep(r, name, (eg_view){bytes, got}, error);
    eg_free(bytes);
    return status;
}

static engram_status keep_tree(eg_repair *r, engram_error *error)
{
    enum { HEADER_SIZE = 64, NODE_SIZE_MAX = 1 << 20 };
    eg_file *file = NULL;
    engram_error inner = {0};
    bool header = eg_nodes_lacks_header(r->nodes);
    char name[32];
    snprintf(name, sizeof name, "tree/%s", eg_nodes_file_name(r->nodes));
    char *path = eg_path_join(r->dir, name);
    if (path == NULL)
        return eg_repair_no_memory(error);
    engram_status status = r->io->open(r->io, path, EG_OPEN_READ, &file, &inner);
    eg_free(path);
    if (status == ENGRAM_NOT_FOUND)
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    if (header)
        status = keep_nodes(r, file, 0, HEADER_SIZE, error);
    for (size_t i = 0; i < r->bad_node_count && status == ENGRAM_OK; i++)
        if (r->bad_nodes[i].size != 0 && r->bad_nodes[i].size <= NODE_SIZE_MAX)
            status = keep_nodes(r, file, eg_nodes_offset_of(r->bad_nodes[i].address),
                                r->bad_nodes[i].size, error);
    r->io->close(r->io, &file);
    return status;
}

static engram_status keep_copies(eg_repair *r, engram_error *error)
{
    EG_TRY(eg_quarantine_create(r->io, r->dir, &r->moves.folder, error));
    snprintf(r->done->quarantine, sizeof r->done->quarantine, "%s", r->moves.folder);
    EG_TRY(keep_manifest(r, error));
    return keep_tree(r, error);
}

/* ---- 3. ---- */

static engram_status list_version(eg_edit *catalog, const eg_repair_version *v,
                                  engram_error *error)
{
    eg_node_ref ref;
    eg_buffer value = {0};
    eg_key key = eg_key_catalog(v->number);
    EG_TRY(eg_root_flush(v->root, &ref, error));
    eg_write_u64(&value, v->time_ns);
    eg_write_u64(&value, ref.address);
    eg_write_u32(&value, ref.size);
    eg_write_bytes(&value, v->label, v->label_size);
    engram_status status =
        value.failed ? eg_repair_no_memory(error)
                     : eg_edit_put(catalog, eg_key_view(&key), (eg_view){value.data, value.size},
                                   error);
    eg_buffer_fini(&value);
    return status;
}

static engram_status write_catalog(eg_repair *r, eg_node_ref *ref, engram_error *error)
{
    engram_status status;
    eg_root *empty = NULL, *catalog = NULL;
    eg_edit *edit = NULL;
    EG_TRY_DONE(eg_root_open(r->nodes, (eg_node_ref){0}, &empty, error));
    EG_TRY_DONE(eg_edit_begin(empty, &edit, error));
    for (size_t i = 0; i < r->version_count; i++)
        if (r->versions[i].listed && !r->versions[i].lost)
            EG_TRY_DONE(list_version(edit, &r->versions[i], error));
    EG_TRY_DONE(eg_edit_finish(&edit, &catalog, error));
    EG_TRY_DONE(eg_root_flush(catalog, ref, error));
done:
    eg_edit_abort(&edit);
    eg_root_release(catalog);
    eg_root_release(empty);
    return status;
}

static engram_status write_trees(eg_repair *r, eg_checkpoint *state, engram_error *error)
{
    if (eg_nodes_lacks_header(r->nodes))
        EG_TRY(eg_nodes_write_header(r->nodes, error));
    EG_TRY(write_catalog(r, &state->catalog, error));
    EG_TRY(eg_root_flush(r->versions[r->version_count - 1].root, &state->tree, error));
    state->nodes_end = eg_nodes_end(r->nodes);
    return eg_nodes_sync(r->nodes, error);
}

/* ---- 4. to 6. ---- */

static engram_status start_journal(eg_repair *r, eg_journal_start *start, engram_error *error)
{
    char *dir = eg_path_join(r->dir, "journal");
    if (dir == NULL)
        return eg_repair_no_memory(error);
    start->file = r->journal_last + 1;
    start->sequence = r->end.sequence > r->sequence_last ? r->end.sequence : r->sequence_last + 1;
    engram_status status =
        start->file > EG_JOURNAL_FILE_MAX
            ? eg_fail(error, ENGRAM_UNSUPPORTED, "the journal has used up its file numbers")
            : eg_journal_create(r->io, dir, start->file, error);
    eg_free(dir);
    return status;
}

static engram_status switch_to(eg_repair *r, const eg_checkpoint *state,
                               eg_segment_state *segments, size_t segment_count,
                               engram_error *error)
{
    eg_manifest next = r->manifest;
    next.checkpoint = r->checkpoint_last + 1;
    next.state = *state;
    next.segments = segments;
    next.segment_count = segment_count;
    next.clean = false;
    next.moves = r->moves;
    EG_TRY(eg_checkpoint_write(r->io, r->dir, next.checkpoint, state, r->bundle, &next, error));
    EG_TRY(eg_manifest_write(r->io, r->dir, &next, error));
    next.segments = eg_alloc_zero(segment_count + 1, sizeof *segments);
    if (next.segments != NULL && segment_count != 0)
        memcpy(next.segments, segments, segment_count * sizeof *segments);
    eg_free(r->manifest.segments);
    eg_moves_fini(&r->manifest.moves);
    r->manifest = next;
    r->moves = (eg_moves){0};
    return next.segments != NULL ? ENGRAM_OK : eg_repair_no_memory(error);
}

engram_status eg_repair_write(eg_repair *r, engram_error *error)
{
    const eg_repair_version *newest = &r->versions[r->version_count - 1];
    eg_segment_state *segments = NULL;
    size_t count = 0;
    EG_TRY(make_folders(r, error));
    EG_TRY(keep_copies(r, error));
    eg_checkpoint state = {.version = newest->number,
                           .time_ns = newest->time_ns,
                           .transaction_next = r->transaction_next,
                           .inode_next = r->inode_next,
                           .chunk_next = r->chunk_next};
    engram_status status = eg_salvage_write(r->salvage, &segments, &count, error);
    if (status == ENGRAM_OK)
        status = write_trees(r, &state, error);
    if (status == ENGRAM_OK)
        status = start_journal(r, &state.journal, error);
    if (status == ENGRAM_OK)
        status = switch_to(r, &state, segments, count, error);
    eg_free(segments);
    return status == ENGRAM_OK ? eg_quarantine_finish(r->io, r->dir, &r->manifest, error) : status;
}
