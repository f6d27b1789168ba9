/* Trees. */
#include "crash/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "crash/util.h"

uint64_t hash_of(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

uint64_t hash_attribute(uint64_t before, eg_view name, eg_view value)
{
    const uint64_t parts[] = {before, hash_of(name.data, name.size),
                              hash_of(value.data, value.size)};
    return hash_of(parts, sizeof parts);
}

tree tree_copy(const tree *from)
{
    tree t = *from;
    t.capacity = t.count;
    t.entries = crash_alloc((t.count + 1) * sizeof *t.entries);
    if (t.count > 0)
        memcpy(t.entries, from->entries, t.count * sizeof *t.entries);
    return t;
}

void tree_fini(tree *t)
{
    free(t->entries);
    *t = (tree){0};
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const tree_entry *)a)->path, ((const tree_entry *)b)->path);
}

void tree_sort(tree *t)
{
    if (t->count > 0)
        qsort(t->entries, t->count, sizeof *t->entries, compare_entries);
}

void tree_add(tree *t, const tree_entry *entry)
{
    t->entries = crash_grow(t->entries, &t->capacity, t->count + 1, sizeof *t->entries);
    t->entries[t->count++] = *entry;
}

tree_entry *tree_find(const tree *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].path, path) == 0)
            return &t->entries[i];
    return NULL;
}

void tree_set(tree *t, const tree_entry *entry)
{
    tree_entry *old = tree_find(t, entry->path);
    if (old != NULL) {
        *old = *entry;
        return;
    }
    tree_add(t, entry);
    tree_sort(t);
}

void tree_remove(tree *t, const char *path)
{
    tree_entry *entry = tree_find(t, path);
    if (entry == NULL)
        return;
    *entry = t->entries[--t->count];
    tree_sort(t);
}

/* What of path is behind `of/`, or NULL. */
static const char *below(const char *path, const char *of)
{
    size_t size = strlen(of);
    return strncmp(path, of, size) == 0 && path[size] == '/' ? path + size : NULL;
}

void tree_remove_all(tree *t, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].path, path) != 0 && below(t->entries[i].path, path) == NULL)
            t->entries[kept++] = t->entries[i];
    t->count = kept;
}

void tree_rename(tree *t, const char *from, const char *to)
{
    tree_remove(t, to);
    for (size_t i = 0; i < t->count; i++) {
        char *path = t->entries[i].path, moved[2 * sizeof t->entries->path];
        const char *rest = strcmp(path, from) == 0 ? "" : below(path, from);
        if (rest == NULL)
            continue;
        snprintf(moved, sizeof moved, "%s%s", to, rest);
        crash_text(path, sizeof t->entries[i].path, moved);
    }
    tree_sort(t);
}

bool tree_entry_equal(const tree_entry *a, const tree_entry *b)
{
    return strcmp(a->path, b->path) == 0 && a->kind == b->kind && a->mode == b->mode &&
           a->mtime == b->mtime && a->uid == b->uid && a->size == b->size && a->hash == b->hash &&
           a->attributes == b->attributes;
}

uint64_t tree_hash(const tree *t)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < t->count; i++) {
        const tree_entry *e = &t->entries[i];
        if (e->kind == 0)
            continue;
        const uint64_t fields[] = {hash,
                                   hash_of(e->path, strlen(e->path)),
                                   e->kind,
                                   e->mode,
                                   (uint64_t)e->mtime,
                                   e->uid,
                                   e->size,
                                   e->hash,
                                   e->attributes};
        hash = hash_of(fields, sizeof fields);
    }
    return hash;
}

bool tree_equal(const tree *a, const tree *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!tree_entry_equal(&a->entries[i], &b->entries[i]))
            return false;
    return true;
}

static void describe(const tree_entry *e, char *out, size_t size)
{
    snprintf(out, size,
             "kind %u mode %o uid %u mtime %" PRId64 " size %" PRIu64 " hash %016" PRIx64
             " attributes %016" PRIx64,
             e->kind, e->mode, e->uid, e->mtime, e->size, e->hash, e->attributes);
}

void tree_difference(const tree *expected, const tree *found, char *out, size_t size)
{
    char a[256], b[256];
    snprintf(out, size, "no difference");
    for (size_t i = 0; i < expected->count; i++) {
        const tree_entry *e = &expected->entries[i], *f = tree_find(found, e->path);
        if (f == NULL) {
            snprintf(out, size, "%s is missing", e->path);
            return;
        }
        if (!tree_entry_equal(e, f)) {
            describe(e, a, sizeof a);
            describe(f, b, sizeof b);
            snprintf(out, size, "%s: expected %s, found %s", e->path, a, b);
            return;
        }
    }
    for (size_t i = 0; i < found->count; i++)
        if (tree_find(expected, found->entries[i].path) == NULL) {
            snprintf(out, size, "%s should not be there", found->entries[i].path);
            return;
        }
}
