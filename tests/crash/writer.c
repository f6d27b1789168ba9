#include "crash/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "crash/util.h"

enum { CHUNK = 4096 };

void fill_bytes(uint8_t *bytes, size_t size, uint64_t seed)
{
    seed = seed * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = i % 1024 < 512 ? (uint8_t)(seed >> 56) : (uint8_t)(i / 1024);
    }
}

void writer_begin(writer *w, eg_engram *engram)
{
    memset(w, 0, sizeof *w);
    w->engram = engram;
}

static bool failed(writer *w, engram_status status)
{
    if (w->status == ENGRAM_OK)
        w->status = status;
    return w->status != ENGRAM_OK;
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
    if (failed(w, eg_engram_pin(w->engram, &version, &w->error)))
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
    uint8_t vector[ENGRAM_BLOCKS], packed[2 * CHUNK];
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

static engram_status write_segments(writer *w)
{
    eg_segment_state *states = NULL;
    size_t count = 0;
    EG_TRY(eg_store_get_states(eg_engram_store(w->engram), &states, &count, &w->error));
    for (size_t i = 0; i < count; i++)
        if (states[i].chunk_count != 0)
            eg_ops_segment(&w->ops, &states[i]);
    eg_free(states);
    return ENGRAM_OK;
}

static engram_status store_content(writer *w, const uint8_t *bytes, size_t size, eg_chunk_ref *refs)
{
    eg_coder *coder = NULL;
    engram_status status = eg_coder_create(1, &coder, &w->error);
    for (size_t at = 0; at < size && status == ENGRAM_OK; at += CHUNK) {
        size_t take = size - at < CHUNK ? size - at : CHUNK;
        status = store_chunk(w, coder, bytes + at, take, &refs[at / CHUNK]);
    }
    eg_coder_free(coder);
    return status == ENGRAM_OK && size > 0 ? write_segments(w) : status;
}

/* ---- operations ---- */

static void note(writer *w, edit_kind kind, const tree_entry *entry, const char *to)
{
    edit e = {.kind = kind, .entry = *entry};
    crash_text(e.to, sizeof e.to, to);
    edit_list_add(&w->edits, e);
}

static tree_entry entry_at(const char *path)
{
    tree_entry entry = {0};
    crash_text(entry.path, sizeof entry.path, path);
    return entry;
}

/* Attributes that differ with the seed, so that an older state of a file shows. */
static eg_inode file_inode(uint64_t seed, size_t size)
{
    return (eg_inode){.kind = EG_KIND_FILE,
                      .mode = seed % 2 != 0 ? 0644 : 0600,
                      .uid = (uint32_t)(1000 + seed % 7),
                      .size = size,
                      .mtime = {1700000000 + (int64_t)(seed % 1000), 5}};
}

void writer_put(writer *w, const char *path, uint64_t seed, size_t size)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name), number = lookup(w, path);
    bool is_new = number == 0;
    size_t count = (size + CHUNK - 1) / CHUNK;
    if (failed(w, ENGRAM_OK))
        return;
    uint8_t *bytes = crash_alloc(size);
    eg_chunk_ref *refs = crash_alloc((count + 1) * sizeof *refs);
    fill_bytes(bytes, size, seed);
    eg_inode inode = file_inode(seed, size);
    if (!failed(w, store_content(w, bytes, size, refs))) {
        if (is_new)
            number = eg_engram_new_inode(w->engram);
        eg_ops_put_inode(&w->ops, number, &inode);
        if (is_new)
            eg_ops_link(&w->ops, directory, number, EG_KIND_FILE, name);
        eg_ops_splice(&w->ops, number, 0, UINT64_MAX, refs, count);
        set_name(w, path, number);
        tree_entry entry = entry_at(path);
        entry.kind = EG_KIND_FILE;
        entry.mode = inode.mode;
        entry.uid = inode.uid;
        entry.mtime = inode.mtime.seconds;
        entry.size = size;
        entry.hash = hash_of(bytes, size);
        note(w, EDIT_SET, &entry, "");
    }
    free(refs);
    free(bytes);
}

static uint64_t attribute_hash(uint64_t before, eg_view name, eg_view value)
{
    const uint64_t parts[] = {before, hash_of(name.data, name.size),
                              hash_of(value.data, value.size)};
    return hash_of(parts, sizeof parts);
}

static tree_entry *find_put(writer *w, const char *path)
{
    for (size_t i = w->edits.count; i > 0; i--)
        if (w->edits.edits[i - 1].kind == EDIT_SET &&
            strcmp(w->edits.edits[i - 1].entry.path, path) == 0)
            return &w->edits.edits[i - 1].entry;
    return NULL;
}

void writer_put_attribute(writer *w, const char *path, const char *name, uint64_t seed, size_t size)
{
    uint64_t number = lookup(w, path);
    tree_entry *entry = find_put(w, path);
    if (failed(w, number != 0 && entry != NULL ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    uint8_t *bytes = crash_alloc(size);
    eg_view name_view = {(const uint8_t *)name, strlen(name)}, value = {bytes, size};
    fill_bytes(bytes, size, seed);
    eg_ops_put_xattr(&w->ops, number, name_view, value);
    entry->attributes = attribute_hash(entry->attributes, name_view, value);
    free(bytes);
}

void writer_mkdir(writer *w, const char *path)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name);
    if (failed(w, directory != 0 ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    eg_inode inode = {
        .kind = EG_KIND_DIRECTORY, .mode = 0750, .uid = 1001, .mtime = {1600000000, 0}};
    uint64_t number = eg_engram_new_inode(w->engram);
    eg_ops_put_inode(&w->ops, number, &inode);
    eg_ops_link(&w->ops, directory, number, EG_KIND_DIRECTORY, name);
    set_name(w, path, number);
    tree_entry entry = entry_at(path);
    entry.kind = EG_KIND_DIRECTORY;
    entry.mode = inode.mode;
    entry.uid = inode.uid;
    entry.mtime = inode.mtime.seconds;
    note(w, EDIT_SET, &entry, "");
}

void writer_remove(writer *w, const char *path)
{
    eg_view name;
    uint64_t directory = parent_of(w, path, &name);
    if (failed(w, directory != 0 ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    tree_entry entry = entry_at(path);
    eg_ops_unlink(&w->ops, directory, name);
    set_name(w, path, 0);
    note(w, EDIT_REMOVE, &entry, "");
}

void writer_rename(writer *w, const char *from, const char *to)
{
    eg_view from_name, to_name;
    uint64_t directory = parent_of(w, from, &from_name), target = parent_of(w, to, &to_name);
    uint64_t number = lookup(w, from);
    bool ok = directory != 0 && target != 0 && number != 0;
    if (failed(w, ok ? ENGRAM_OK : ENGRAM_NOT_FOUND))
        return;
    if (lookup(w, to) != 0)
        eg_ops_unlink(&w->ops, target, to_name);
    eg_ops_link(&w->ops, target, number, EG_KIND_FILE, to_name);
    eg_ops_unlink(&w->ops, directory, from_name);
    set_name(w, from, 0);
    set_name(w, to, number);
    tree_entry entry = entry_at(from);
    note(w, EDIT_RENAME, &entry, to);
}

void writer_label(writer *w, const char *label)
{
    tree_entry entry = entry_at(label);
    eg_ops_label(&w->ops, (eg_view){(const uint8_t *)label, strlen(label)});
    note(w, EDIT_LABEL, &entry, "");
}

void writer_spoil(writer *w)
{
    eg_ops_unlink(&w->ops, EG_INODE_ROOT, (eg_view){(const uint8_t *)"no such name", 12});
}

engram_status writer_commit(writer *w, uint64_t *number)
{
    if (!failed(w, ENGRAM_OK))
        w->status = eg_engram_commit(w->engram, &w->ops, number, &w->error);
    return w->status;
}

void writer_fini(writer *w)
{
    eg_buffer_fini(&w->ops);
    free(w->edits.edits);
    w->edits = (edit_list){0};
}

/* ---- reading back ---- */

typedef struct dump {
    eg_engram *engram;
    const eg_version *version;
    tree *out;
    char path[64]; /* of the directory at hand */
} dump;

static engram_status hash_content(eg_engram *engram, const eg_version *version, uint64_t number,
                                  tree_entry *entry, engram_error *error)
{
    size_t got = 0;
    if (entry->size > (64 << 20))
        return eg_fail(error, ENGRAM_DAMAGED, "%s is too large", entry->path);
    uint8_t *bytes = crash_alloc((size_t)entry->size + 1);
    engram_status status =
        eg_engram_read(engram, version, number, 0, bytes, (size_t)entry->size + 1, &got, error);
    if (status == ENGRAM_OK && got != entry->size)
        status = eg_fail(error, ENGRAM_DAMAGED, "%s has %zu bytes, not %zu", entry->path, got,
                         (size_t)entry->size);
    if (status == ENGRAM_OK)
        entry->hash = hash_of(bytes, got);
    free(bytes);
    return status;
}

static engram_status add_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    tree_entry *entry = context;
    (void)error;
    entry->attributes = attribute_hash(entry->attributes, name, value);
    return ENGRAM_OK;
}

static engram_status dump_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    dump *d = context;
    tree_entry entry = {.kind = (uint8_t)kind};
    eg_inode inode;
    eg_buffer scratch = {0};
    int length = snprintf(entry.path, sizeof entry.path, "%s%.*s", d->path, (int)name.size,
                          (const char *)name.data);
    if (length < 0 || (size_t)length >= sizeof entry.path - 1)
        return eg_fail(error, ENGRAM_DAMAGED, "a path that was never stored: %s", entry.path);
    engram_status status = eg_fs_get(d->version->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    entry.mode = inode.mode;
    entry.uid = inode.uid;
    entry.mtime = inode.mtime.seconds;
    entry.size = inode.size;
    EG_TRY(eg_fs_attributes(d->version->root, number, add_attribute, &entry, error));
    if (kind == EG_KIND_FILE)
        EG_TRY(hash_content(d->engram, d->version, number, &entry, error));
    tree_add(d->out, &entry);
    if (kind != EG_KIND_DIRECTORY)
        return ENGRAM_OK;
    dump below = *d;
    memcpy(below.path, entry.path, sizeof below.path);
    strcat(below.path, "/");
    return eg_fs_list(d->version->root, number, dump_entry, &below, error);
}

static engram_status dump_version(eg_engram *engram, const eg_version *version, tree *out,
                                  engram_error *error)
{
    dump d = {.engram = engram, .version = version, .out = out};
    engram_status status = eg_fs_list(version->root, EG_INODE_ROOT, dump_entry, &d, error);
    tree_sort(out);
    return status;
}

typedef struct label_list {
    struct {
        uint64_t number;
        char text[41];
    } labels[16];
    size_t count;
} label_list;

static engram_status note_label(void *context, uint64_t number, uint64_t time_ns, eg_view label,
                                engram_error *error)
{
    label_list *list = context;
    (void)time_ns;
    if (list->count == sizeof list->labels / sizeof *list->labels)
        return eg_fail(error, ENGRAM_DAMAGED, "more labels than were ever given");
    list->labels[list->count].number = number;
    snprintf(list->labels[list->count].text, sizeof list->labels[0].text, "%.*s", (int)label.size,
             (const char *)label.data);
    list->count++;
    return ENGRAM_OK;
}

static engram_status dump_label(eg_engram *engram, uint64_t number, const char *text, tree *out,
                                engram_error *error)
{
    eg_version version = {0};
    tree own = {0};
    tree_entry entry = {0};
    EG_TRY(eg_engram_pin_number(engram, number, &version, error));
    engram_status status = dump_version(engram, &version, &own, error);
    eg_version_release(&version);
    entry.hash = tree_hash(&own);
    snprintf(entry.path, sizeof entry.path, "@%llu %s", (unsigned long long)number, text);
    tree_fini(&own);
    if (status == ENGRAM_OK)
        tree_set(out, &entry);
    return status;
}

engram_status engram_dump(eg_engram *engram, int64_t *version, tree *out, engram_error *error)
{
    eg_version newest = {0};
    label_list list = {.count = 0};
    *out = (tree){0};
    EG_TRY(eg_engram_pin(engram, &newest, error));
    *version = (int64_t)newest.number;
    engram_status status = dump_version(engram, &newest, out, error);
    eg_version_release(&newest);
    if (status == ENGRAM_OK)
        status = eg_engram_labels(engram, note_label, &list, error);
    for (size_t i = 0; i < list.count && status == ENGRAM_OK; i++)
        status = dump_label(engram, list.labels[i].number, list.labels[i].text, out, error);
    return status;
}
