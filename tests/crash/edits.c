/* What a transaction's edits make of a tree. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/contents.h"
#include "crash/model.h"
#include "crash/util.h"

void edit_list_add(edit_list *list, edit e)
{
    list->edits = crash_grow(list->edits, &list->capacity, list->count + 1, sizeof *list->edits);
    list->edits[list->count++] = e;
}

static void set_content(tree_entry *entry, const uint8_t *bytes, size_t size)
{
    entry->hash = contents_add(bytes, size);
    entry->size = size;
    entry->mtime = 0;
}

/* old[0, from), zeros up to from, new, old from there on unless `ends`. */
static void splice(tree_entry *entry, uint64_t from, const content *new, bool ends)
{
    content old = contents_get(entry->hash);
    uint64_t to = from + new->size, size = ends || to > old.size ? to : old.size;
    uint8_t *bytes = crash_alloc(size);
    memset(bytes, 0, size);
    memcpy(bytes, old.bytes, old.size < size ? old.size : size);
    if (new->size > 0)
        memcpy(bytes + from, new->bytes, new->size);
    set_content(entry, bytes, size);
    free(bytes);
}

static void change_content(tree *t, const edit *e)
{
    static const content nothing;
    tree_entry *entry = tree_find(t, e->entry.path);
    if (entry == NULL)
        abort();
    content new = e->kind == EDIT_TRUNCATE ? nothing : contents_get(e->entry.hash);
    uint64_t at = e->kind == EDIT_APPEND ? entry->size : e->offset;
    bool last = e->kind == EDIT_REPLACE_CHUNK && at + CRASH_CHUNK >= entry->size;
    splice(entry, at, &new, e->kind == EDIT_TRUNCATE || last);
}

static void write_file(tree *t, const edit *e)
{
    tree_entry entry = e->entry;
    const tree_entry *old = tree_find(t, entry.path);
    if (entry.mode == 0)
        entry.mode = old != NULL ? old->mode : 0644;
    if (old != NULL) {
        entry.uid = old->uid;
        entry.attributes = old->attributes;
    }
    tree_set(t, &entry);
}

static void forget(tree *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *path = t->entries[i].path, *space = strchr(path, ' ');
        if (path[0] == '#' && space != NULL && strcmp(space + 1, name) == 0) {
            char own[sizeof t->entries[i].path];
            memcpy(own, path, sizeof own);
            tree_remove(t, own);
            return;
        }
    }
}

static void name_version(tree *t, const char *name, int64_t version, const tree *named)
{
    tree_entry entry = {.hash = tree_hash(named)};
    snprintf(entry.path, sizeof entry.path, "#%" PRId64 " %.40s", version, name);
    tree_set(t, &entry);
}

/* The files of then, the names of now. */
static void roll_back(tree *now, const tree *then)
{
    tree rolled = {0};
    for (size_t i = 0; i < then->count; i++)
        if (then->entries[i].kind != 0)
            tree_add(&rolled, &then->entries[i]);
    for (size_t i = 0; i < now->count; i++)
        if (now->entries[i].kind == 0)
            tree_add(&rolled, &now->entries[i]);
    tree_sort(&rolled);
    tree_fini(now);
    *now = rolled;
}

void tree_apply(tree *t, const edit *e, const tree *other)
{
    switch (e->kind) {
    case EDIT_SET:
        tree_set(t, &e->entry);
        break;
    case EDIT_WRITE:
        write_file(t, e);
        break;
    case EDIT_WRITE_AT:
    case EDIT_APPEND:
    case EDIT_REPLACE_CHUNK:
    case EDIT_TRUNCATE:
        change_content(t, e);
        break;
    case EDIT_REMOVE:
        tree_remove(t, e->entry.path);
        break;
    case EDIT_REMOVE_ALL:
        tree_remove_all(t, e->entry.path);
        break;
    case EDIT_RENAME:
        tree_rename(t, e->entry.path, e->to);
        break;
    case EDIT_FORGET:
        forget(t, e->entry.path);
        break;
    case EDIT_ROLLBACK:
        roll_back(t, other);
        break;
    case EDIT_LABEL:
    case EDIT_SNAPSHOT:
        break; /* when all else is done */
    }
}

void tree_label(tree *t, const char *text, int64_t version)
{
    tree_entry label = {.hash = tree_hash(t)};
    snprintf(label.path, sizeof label.path, "@%" PRId64 " %.40s", version, text);
    tree_set(t, &label);
}

void tree_apply_name(tree *t, const edit *e, int64_t version, const tree *other)
{
    if (e->kind == EDIT_LABEL)
        tree_label(t, e->entry.path, version);
    if (e->kind == EDIT_SNAPSHOT)
        name_version(t, e->entry.path, e->number != 0 ? e->number : version,
                     e->number != 0 ? other : t);
}
