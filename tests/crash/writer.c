#include "crash/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash/util.h"

void writer_begin(writer *w, eg_engram *engram, engram_durability durability)
{
    engram_transaction_options options = {.durability = durability};
    memset(w, 0, sizeof *w);
    w->engram = engram;
    w->status = engram_begin(engram, &options, &w->transaction, &w->error);
}

bool writer_failed(writer *w, engram_status status)
{
    if (w->status == ENGRAM_OK)
        w->status = status;
    return w->status != ENGRAM_OK;
}

tree_entry writer_entry(const char *path)
{
    tree_entry entry = {0};
    crash_text(entry.path, sizeof entry.path, path);
    return entry;
}

edit *writer_note(writer *w, edit_kind kind, const char *path)
{
    edit_list_add(&w->edits, (edit){.kind = kind, .entry = writer_entry(path)});
    return &w->edits.edits[w->edits.count - 1];
}

/* ---- content ---- */

static content drawn(uint64_t seed, size_t size)
{
    return contents_get(contents_add_drawn(seed, size));
}

static void note_content(writer *w, edit_kind kind, const char *path, uint64_t offset,
                         const content *c)
{
    edit *e = writer_note(w, kind, path);
    e->offset = offset;
    e->entry.size = c->size;
    e->entry.hash = c->hash;
}

/* What a write has done; with attributes that differ with the seed, so that an older state of a
 * file shows. */
static void note_write(writer *w, const char *path, uint64_t seed, const content *c)
{
    int64_t mtime = 1600000000 + (int64_t)(seed % 1000);
    if (writer_failed(w, ENGRAM_OK))
        return;
    note_content(w, EDIT_WRITE, path, 0, c);
    tree_entry *entry = &w->edits.edits[w->edits.count - 1].entry;
    entry->kind = ENGRAM_KIND_FILE;
    entry->uid = geteuid();
    if (seed % 2 == 0 || writer_failed(w, engram_set_mode(w->transaction, path, 0600, &w->error)) ||
        writer_failed(w, engram_set_mtime(w->transaction, path, mtime, 5, &w->error)))
        return;
    entry->mode = 0600;
    entry->mtime = mtime;
}

void writer_put(writer *w, const char *path, uint64_t seed, size_t size)
{
    content c = drawn(seed, size);
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_write(w->transaction, path, c.bytes, size, NULL, &w->error);
    note_write(w, path, seed, &c);
}

static engram_status pour(void *context, void *bytes, size_t size, size_t *got, engram_error *error)
{
    content *left = context;
    (void)error;
    *got = size < left->size ? size : left->size;
    memcpy(bytes, left->bytes, *got);
    left->bytes += *got;
    left->size -= *got;
    return ENGRAM_OK;
}

void writer_pour(writer *w, const char *path, uint64_t seed, size_t size)
{
    content c = drawn(seed, size), left = c;
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_write_stream(w->transaction, path, pour, &left, NULL, &w->error);
    note_write(w, path, seed, &c);
}

void writer_write_at(writer *w, const char *path, uint64_t offset, uint64_t seed, size_t size)
{
    content c = drawn(seed, size);
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_write_at(w->transaction, path, offset, c.bytes, size, NULL, &w->error);
    note_content(w, EDIT_WRITE_AT, path, offset, &c);
}

void writer_append(writer *w, const char *path, uint64_t seed, size_t size)
{
    content c = drawn(seed, size);
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_append(w->transaction, path, c.bytes, size, NULL, &w->error);
    note_content(w, EDIT_APPEND, path, 0, &c);
}

void writer_truncate(writer *w, const char *path, uint64_t size)
{
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_truncate(w->transaction, path, size, NULL, &w->error);
    writer_note(w, EDIT_TRUNCATE, path)->offset = size;
}

void writer_update_chunk(writer *w, const char *path, uint64_t offset, uint64_t seed, size_t size)
{
    content c = drawn(seed, size);
    if (!writer_failed(w, ENGRAM_OK))
        w->status =
            engram_update_chunk(w->transaction, path, offset, c.bytes, size, NULL, &w->error);
    note_content(w, EDIT_REPLACE_CHUNK, path, offset, &c);
}

/* ---- names ---- */

void writer_mkdir(writer *w, const char *path)
{
    if (writer_failed(w, ENGRAM_OK) ||
        writer_failed(w, engram_mkdir(w->transaction, path, 0750, &w->error)))
        return;
    tree_entry *entry = &writer_note(w, EDIT_SET, path)->entry;
    entry->kind = ENGRAM_KIND_DIRECTORY;
    entry->mode = 0750;
    entry->uid = geteuid();
}

void writer_remove(writer *w, const char *path)
{
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_remove(w->transaction, path, NULL, &w->error);
    writer_note(w, EDIT_REMOVE, path);
}

void writer_rmdir(writer *w, const char *path)
{
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_rmdir(w->transaction, path, &w->error);
    writer_note(w, EDIT_REMOVE, path);
}

void writer_remove_all(writer *w, const char *path)
{
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_remove_all(w->transaction, path, NULL, &w->error);
    writer_note(w, EDIT_REMOVE_ALL, path);
}

void writer_rename(writer *w, const char *from, const char *to)
{
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_rename(w->transaction, from, to, NULL, &w->error);
    edit *e = writer_note(w, EDIT_RENAME, from);
    crash_text(e->to, sizeof e->to, to);
}

void writer_rollback(writer *w, int64_t version)
{
    char text[24];
    engram_view *view = NULL;
    snprintf(text, sizeof text, "%lld", (long long)version);
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_pin_at(w->engram, text, &view, &w->error);
    if (!writer_failed(w, ENGRAM_OK))
        w->status = engram_rollback(w->transaction, view, "", NULL, &w->error);
    engram_unpin(&view);
    writer_note(w, EDIT_ROLLBACK, "")->number = version;
}

/* ---- the end ---- */

engram_status writer_commit(writer *w, uint64_t *number)
{
    if (writer_failed(w, ENGRAM_OK))
        return w->status;
    w->status = w->transaction != NULL ? engram_commit(&w->transaction, number, &w->error)
                                       : eg_engram_commit(w->engram, &w->ops, number, &w->error);
    return w->status;
}

void writer_fini(writer *w)
{
    engram_abort(&w->transaction);
    eg_buffer_fini(&w->ops);
    free(w->edits.edits);
    w->edits = (edit_list){0};
}
