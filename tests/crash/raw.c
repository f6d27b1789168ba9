/* Runs of operations, as ingest commits them: chunks go to the store, and are synced before the
 * record is written. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "crash/util.h"
#include "crash/writer.h"

void raw_begin(writer *w, eg_engram *engram)
{
    memset(w, 0, sizeof *w);
    w->engram = engram;
}

/* ---- paths ---- */

static uint64_t *find_name(writer *w, const char *path)
{
    for (size_t i = 0; i < w->name_count; i++)
        if (strcmp(w->names[i].path, path) == 0)
            return &w->names[i].inode;
    return NULL;
}

static void set_name(writer *w, const char *path, uint64_t inode)
{
    uint64_t *known = find_name(w, path);
    if (known != NULL) {
        *known = inode;
        return;
    }
    if (w->name_count == sizeof w->names / sizeof *w->names)
        abort();
    writer_name *name = &w->names[w->name_count++];
    crash_text(name->path, sizeof name->path, path);
    name->inode = inode;
}

/* The inode at path as the transaction sees it; 0: there is none. */
static uint64_t lookup(writer *w, const char *path)
{
    uint64_t inode = 0, *known = find_name(w, path);
    eg_version version;
    if (known != NULL)
        return *known;
    if (writer_failed(w, eg_engram_pin(w->engram, &version, &w->error)))
        return 0;
    engram_status status =
        eg_fs_lookup(version.root, (eg_view){(const uint8_t *)path, strlen(path)}, &inode, NULL);
    eg_version_release(&version);
    return status == ENGRAM_OK ? inode : 0;
}

static uint64_t parent_of(writer *w, const char *path, eg_view *name)
{
    char parent[64];
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    *name = (eg_view){(const uint8_t *)base, strlen(base)};
    if (slash == NULL)
        return EG_INODE_ROOT;
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return lookup(w, parent);
}

/* ---- content ---- */

static engram_status store_chunk(writer *w, eg_coder *coder, const uint8_t *bytes, size_t size,
                                 eg_chunk_ref *ref)
{
    uint8_t vector[ENGRAM_BLOCKS], packed[2 * CRASH_CHUNK];
    eg_new_chunk chunk = {
        .fingerprint = eg_fingerprint_of(bytes, size), .vector = vector, .size = (uint32_t)size};
    size_t packed_size = 0;
    uint64_t id;
    engram_encode(eg_engram_get_codebook(w->engram), bytes, size, vector, &chunk.spread);
    EG_TRY(eg_coder_pack(coder, bytes, size, packed, &chunk.kind, &packed_size, &w->error));
    chunk.correction = (eg_view){packed, packed_size};
    EG_TRY(eg_store_append(eg_engram_store(w->engram), &chunk, 1, &id, &w->error));
    eg_ops_write_chunk(&w->ops, id, &chunk.fingerprint, size);
    *ref = (eg_chunk_ref){id, (uint32_t)size};
    return ENGRAM_OK;
}

static engram_status store_content(writer *w, const uint8_t *bytes, size_t size, eg_chunk_ref *refs)
{
    eg_coder *coder = NULL;
    engram_status status = eg_coder_create(1, &coder, &w->error);
    for (size_t at = 0; at < size && status == ENGRAM_OK; at += CRASH_CHUNK) {
        size_t take = size - at < CRASH_CHUNK ? size - at : CRASH_CHUNK;
        status = store_chunk(w, coder, bytes + at, take, &refs[at / CRASH_CHUNK]);
    }
    eg_coder_free(coder);
    return status;
}

/* ---- operations ---- */

/* Attributes that differ with the seed, so that an older state of a file shows. */
static eg_inode file_inode(uint64_t seed, size_t size)
{
    return (eg_inode){.kind = EG_KIND_FILE,
                      .mode = seed % 2 != 0 ? 0644 : 0600,
                      .uid = (uint32_t)(1000 + seed % 7),
                      .size = size,
                      .mtime = {1600000000 + (int64_t)(seed % 1000), 5}};
}

void raw_put(writer *w, const char *path, uint64_t seed, size_t size)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name), number = lookup(w, path);
    bool is_new = number == 0;
    size_t count = (size + CRASH_CHUNK - 1) / CRASH_CHUNK;
    if (writer_failed(w, ENGRAM_OK))
        return;
    content c = contents_get(contents_add_drawn(seed, size));
    eg_chunk_ref *refs = crash_alloc((count + 1) * sizeof *refs);
    eg_inode inode = file_inode(seed, size);
    if (!writer_failed(w, store_content(w, c.bytes, size, refs))) {
        if (is_new)
            number = eg_engram_new_inode(w->engram);
        eg_ops_put_inode(&w->ops, number, &inode);
        if (is_new)
            eg_ops_link(&w->ops, directory, number, EG_KIND_FILE, name);
        eg_ops_splice(&w->ops, number, 0, UINT64_MAX, refs, count);
        set_name(w, path, number);
        tree_entry entry = writer_entry(path);
        entry.kind = EG_KIND_FILE;
        entry.mode = inode.mode;
        entry.uid = inode.uid;
        entry.mtime = inode.mtime.seconds;
        entry.size = size;
        entry.hash = c.hash;
        writer_note(w, EDIT_SET, path)->entry = entry;
    }
    free(refs);
}

static tree_entry *find_put(writer *w, const char *path)
{
    for (size_t i = w->edits.count; i > 0; i--)
        if (w->edits.edits[i - 1].kind == EDIT_SET &&
            strcmp(w->edits.edits[i - 1].entry.path, path) == 0)
            return &w->edits.edits[i - 1].entry;
    return NULL;
}

void raw_put_attribute(writer *w, const char *path, const char *name, uint64_t seed, size_t size)
{
    uint64_t number = lookup(w, path);
    tree_entry *entry = find_put(w, path);
    if (writer_failed(w, number != 0 && entry != NULL ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    uint8_t *bytes = crash_alloc(size);
    eg_view name_view = {(const uint8_t *)name, strlen(name)}, value = {bytes, size};
    fill_bytes(bytes, size, seed);
    eg_ops_put_xattr(&w->ops, number, name_view, value);
    entry->attributes = hash_attribute(entry->attributes, name_view, value);
    free(bytes);
}

void raw_mkdir(writer *w, const char *path)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name);
    if (writer_failed(w, directory != 0 ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    eg_inode inode = {
        .kind = EG_KIND_DIRECTORY, .mode = 0750, .uid = 1001, .mtime = {1500000000, 0}};
    uint64_t number = eg_engram_new_inode(w->engram);
    eg_ops_put_inode(&w->ops, number, &inode);
    eg_ops_link(&w->ops, directory, number, EG_KIND_DIRECTORY, name);
    set_name(w, path, number);
    tree_entry entry = writer_entry(path);
    entry.kind = EG_KIND_DIRECTORY;
    entry.mode = inode.mode;
    entry.uid = inode.uid;
    entry.mtime = inode.mtime.seconds;
    writer_note(w, EDIT_SET, path)->entry = entry;
}

void raw_remove(writer *w, const char *path)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name);
    if (writer_failed(w, directory != 0 ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    eg_ops_unlink(&w->ops, directory, name);
    set_name(w, path, 0);
    writer_note(w, EDIT_REMOVE, path);
}

void raw_label(writer *w, const char *label)
{
    eg_ops_label(&w->ops, (eg_view){(const uint8_t *)label, strlen(label)});
    writer_note(w, EDIT_LABEL, label);
}

void raw_spoil(writer *w)
{
    eg_ops_unlink(&w->ops, EG_INODE_ROOT, (eg_view){(const uint8_t *)"no such name", 12});
}
