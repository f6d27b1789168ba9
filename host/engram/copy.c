/* A copy of one version as an engram of its own, while the other is in use.
 *
 * The chunks that the version holds go over as they are stored, under their ids, each checked on
 * the way; a delta whose base the version does not hold is packed alone. Then the tree, key by key,
 * without the names of snapshots, whose versions are not there. All of it under another name,
 * DIRECTORY.part: the copy is there whole or not at all. */
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/look.h"
#include "store/id_set.h"

enum { BATCH = 64, KEYS_PER_FLUSH = 50000 };

typedef struct copying {
    eg_engram *from, *to;
    eg_root *root;
    eg_new_chunk chunks[BATCH];
    uint8_t vectors[BATCH][ENGRAM_BLOCKS];
    eg_buffer corrections[BATCH];
    uint64_t ids[BATCH];
    size_t count;
    uint64_t last;  /* the chunk copied last */
    eg_id_set held; /* by the version */
    uint8_t *bytes;
} copying;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory copying");
}

/* ---- chunks ---- */

static engram_status append_batch(copying *c, engram_error *error)
{
    if (c->count == 0)
        return ENGRAM_OK;
    EG_TRY(eg_store_append(c->to->store, c->chunks, c->count, c->ids, error));
    for (size_t i = 0; i < c->count; i++) {
        c->to->kernels.bundle(c->to->bundle->counters, c->vectors[i], 1, 1);
        c->to->bundle->count++;
    }
    c->count = 0;
    return ENGRAM_OK;
}

static engram_status pack_alone(copying *c, size_t size, engram_error *error)
{
    eg_new_chunk *chunk = &c->chunks[c->count];
    eg_buffer *out = &c->corrections[c->count];
    eg_workbench *bench;
    size_t packed_size = 0;
    EG_TRY(eg_workbench_take(c->to, &bench, error));
    eg_buffer_clear(out);
    uint8_t *packed = eg_buffer_extend(out, eg_coder_bound(size));
    engram_status status = packed == NULL ? no_memory(error)
                                          : eg_coder_pack(bench->coder, c->bytes, size, packed,
                                                          &chunk->kind, &packed_size, error);
    eg_workbench_give(c->to, bench);
    chunk->base = 0;
    chunk->depth = 0;
    chunk->correction = (eg_view){packed, packed_size};
    return status;
}

static engram_status copy_chunk(void *context, uint64_t id, uint64_t inode, uint32_t count,
                                engram_error *error)
{
    copying *c = context;
    size_t size;
    (void)inode, (void)count;
    if (id == c->last)
        return ENGRAM_OK;
    c->last = id;
    EG_TRY(eg_store_read(c->from->store, id, c->bytes, c->from->chunker.size_max, &size, error));
    EG_TRY(eg_store_export(c->from->store, id, &c->chunks[c->count], c->vectors[c->count],
                           &c->corrections[c->count], error));
    uint64_t base = c->chunks[c->count].base;
    if (base != 0 && !eg_id_set_has(&c->held, base))
        EG_TRY(pack_alone(c, size, error));
    return ++c->count == BATCH ? append_batch(c, error) : ENGRAM_OK;
}

static engram_status note_held(void *context, uint64_t id, uint64_t inode, uint32_t count, engram_error *error)
{
    copying *c = context;
    (void)inode, (void)count;
    return eg_id_set_add(&c->held, id) ? ENGRAM_OK : no_memory(error);
}

static engram_status copy_chunks(copying *c, engram_error *error)
{
    EG_TRY(eg_fs_holders(c->root, 0, note_held, c, error));
    c->bytes = eg_alloc(c->from->chunker.size_max);
    if (c->bytes == NULL)
        return no_memory(error);
    EG_TRY(eg_fs_holders(c->root, 0, copy_chunk, c, error));
    return append_batch(c, error);
}

/* ---- tree ---- */

static engram_status put_keys(eg_cursor *cursor, eg_edit *edit, bool *more, engram_error *error)
{
    engram_status status = ENGRAM_OK;
    for (size_t i = 0; i < KEYS_PER_FLUSH && status == ENGRAM_OK; i++) {
        eg_view key = eg_cursor_key(cursor);
        if (key.data[0] != 'N')
            EG_TRY(eg_edit_put(edit, key, eg_cursor_value(cursor), error));
        status = eg_cursor_next(cursor, error);
    }
    *more = status == ENGRAM_OK;
    return status == ENGRAM_NOT_FOUND ? ENGRAM_OK : status;
}

/* Some keys, and what was made of them goes to disk, so that memory stays bounded. */
static engram_status copy_some(copying *c, eg_cursor *cursor, bool *more, engram_error *error)
{
    eg_engram *to = c->to;
    eg_edit *edit = NULL;
    eg_root *root = NULL, *flushed = NULL;
    eg_node_ref ref;
    EG_TRY(eg_edit_begin(to->assigned, &edit, error));
    engram_status status = put_keys(cursor, edit, more, error);
    if (status == ENGRAM_OK)
        status = eg_edit_finish(&edit, &root, error);
    eg_edit_abort(&edit);
    if (status == ENGRAM_OK)
        status = eg_root_flush(root, &ref, error);
    if (status == ENGRAM_OK)
        status = eg_nodes_sync(to->nodes, error);
    if (status == ENGRAM_OK)
        status = eg_root_open(to->nodes, ref, &flushed, error);
    eg_root_release(root);
    EG_TRY(status);
    eg_root_release(to->assigned);
    to->assigned = flushed;
    return ENGRAM_OK;
}

static engram_status copy_tree(copying *c, engram_error *error)
{
    eg_cursor *cursor = NULL;
    bool more = true;
    EG_TRY(eg_cursor_open(c->root, &cursor, error));
    engram_status status = eg_cursor_seek(cursor, (eg_view){(const uint8_t *)"A", 1}, error);
    while (status == ENGRAM_OK && more)
        status = copy_some(c, cursor, &more, error);
    eg_cursor_close(&cursor);
    return status;
}

/* ---- all ---- */

/* The copy's version of the number becomes the newest: nobody else uses the copy. */
static engram_status adopt(copying *c, const engram_view *view, engram_error *error)
{
    eg_engram *to = c->to;
    to->assigned_version = view->number;
    to->assigned_time_ns = view->time_ns;
    atomic_store(&to->bundle_version, view->number);
    atomic_store(&to->inode_next, atomic_load(&c->from->inode_next));
    eg_store_raise_next_id(to->store, eg_store_next_id(c->from->store));
    eg_apply nothing = {0};
    eg_pending *pending = NULL;
    EG_TRY(eg_pending_create(to, eg_root_retain(to->assigned), view->number, view->time_ns,
                             &nothing, &pending, error));
    eg_engram_publish(to, pending);
    return eg_engram_checkpoint(to, error);
}

static engram_status fill(copying *c, const engram_view *view, engram_error *error)
{
    EG_TRY(copy_chunks(c, error));
    EG_TRY(copy_tree(c, error));
    return adopt(c, view, error);
}

static engram_status copy_to(engram_view *view, const char *directory, engram_error *error)
{
    eg_engram *from = view->engram;
    eg_engram_options options = {.by_hand = true};
    EG_TRY(eg_engram_create(from->io, directory, &from->manifest.config, error));
    copying *c = eg_alloc_zero(1, sizeof *c);
    if (c == NULL)
        return no_memory(error);
    c->from = from;
    c->root = view->root;
    engram_status status = eg_engram_open(from->io, directory, &options, &c->to, error);
    if (status == ENGRAM_OK)
        status = fill(c, view, error);
    if (status != ENGRAM_OK && c->to != NULL)
        eg_engram_fail(c->to, status);
    engram_status closing = eg_engram_close(&c->to, error);
    for (size_t i = 0; i < BATCH; i++)
        eg_buffer_fini(&c->corrections[i]);
    eg_id_set_fini(&c->held);
    eg_free(c->bytes);
    eg_free(c);
    return status == ENGRAM_OK ? closing : status;
}

static char *part_name(const char *directory)
{
    const char ending[] = ".part";
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/')
        size--;
    char *name = eg_alloc(size + sizeof ending);
    if (name != NULL) {
        memcpy(name, directory, size);
        memcpy(name + size, ending, sizeof ending);
    }
    return name;
}

static engram_status check_part(eg_io *io, const char *part, engram_error *error)
{
    uint64_t size, disk_size;
    if (io->stat(io, part, &size, &disk_size, NULL) != ENGRAM_OK)
        return ENGRAM_OK;
    return eg_fail(
        error, ENGRAM_EXISTS,
        "%s is there: a copy is under way, or was cut off. If none is, remove it and copy again",
        part);
}

engram_status engram_copy(engram_view *view, const char *directory, engram_error *error)
{
    eg_io *io = view->engram->io;
    EG_TRY(eg_engram_check_new(io, directory, error));
    char *part = part_name(directory);
    if (part == NULL)
        return no_memory(error);
    engram_status status = check_part(io, part, error);
    if (status == ENGRAM_OK)
        status = copy_to(view, part, error);
    if (status == ENGRAM_OK)
        status = io->rename(io, part, directory, error);
    if (status == ENGRAM_OK)
        status = eg_engram_sync_name(io, directory, error);
    eg_free(part);
    return status;
}
