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

/* ---- trees ---- */

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

void tree_rename(tree *t, const char *from, const char *to)
{
    tree_entry *entry = tree_find(t, from);
    if (entry == NULL)
        return;
    tree_entry moved = *entry;
    tree_remove(t, from);
    crash_text(moved.path, sizeof moved.path, to);
    tree_set(t, &moved);
}

static bool entry_equal(const tree_entry *a, const tree_entry *b)
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
        if (!entry_equal(&a->entries[i], &b->entries[i]))
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
        if (!entry_equal(e, f)) {
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

/* ---- edits ---- */

void edit_list_add(edit_list *list, edit e)
{
    list->edits = crash_grow(list->edits, &list->capacity, list->count + 1, sizeof *list->edits);
    list->edits[list->count++] = e;
}

static void apply_edit(tree *t, const edit *e)
{
    if (e->kind == EDIT_SET)
        tree_set(t, &e->entry);
    else if (e->kind == EDIT_REMOVE)
        tree_remove(t, e->entry.path);
    else if (e->kind == EDIT_RENAME)
        tree_rename(t, e->entry.path, e->to);
}

void tree_label(tree *t, const char *text, int64_t version)
{
    tree_entry label = {.hash = tree_hash(t)};
    snprintf(label.path, sizeof label.path, "@%" PRId64 " %.40s", version, text);
    tree_set(t, &label);
}

/* ---- histories ---- */

size_t history_add(history *h, int64_t version, int64_t begin)
{
    h->commits = crash_grow(h->commits, &h->capacity, h->count + 1, sizeof *h->commits);
    h->commits[h->count] =
        (commit){.version = version, .begin = begin, .ack = STEP_NEVER, .dead = STEP_NEVER};
    return h->count++;
}

void history_fini(history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        free(h->commits[i].edits.edits);
        tree_fini(&h->commits[i].tree);
        tree_fini(&h->commits[i].after);
    }
    free(h->commits);
    *h = (history){0};
}

static commit *find_parent(history *h, const commit *c)
{
    for (size_t i = 0; i < h->count; i++) {
        commit *p = &h->commits[i];
        if (p->version == c->version - 1 && (p->dead == STEP_NEVER || p->dead > c->begin))
            return p;
    }
    return NULL;
}

static int compare_commits(const void *a, const void *b)
{
    const commit *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

bool history_resolve(history *h)
{
    qsort(h->commits, h->count, sizeof *h->commits, compare_commits);
    for (size_t i = 0; i < h->count; i++) {
        commit *c = &h->commits[i];
        if (c->edits.count == 0)
            continue;
        commit *parent = find_parent(h, c);
        if (parent == NULL)
            return false;
        c->tree = tree_copy(&parent->tree);
        for (size_t e = 0; e < c->edits.count; e++)
            apply_edit(&c->tree, &c->edits.edits[e]);
        for (size_t e = 0; e < c->edits.count; e++)
            if (c->edits.edits[e].kind == EDIT_LABEL)
                tree_label(&c->tree, c->edits.edits[e].entry.path, c->version);
    }
    return true;
}

static bool happened(int64_t mark, int64_t step)
{
    return mark != STEP_NEVER && mark < step;
}

/* Whether some commit of that version was begun and not undone. */
static bool is_begun(const history *h, int64_t version, int64_t step)
{
    for (size_t i = 0; i < h->count; i++) {
        const commit *c = &h->commits[i];
        if (c->version == version && happened(c->begin, step) && !happened(c->dead, step))
            return true;
    }
    return false;
}

bool history_allows(const history *h, size_t i, int64_t step)
{
    const commit *c = &h->commits[i];
    if (!happened(c->begin, step) || happened(c->dead, step))
        return false;
    for (size_t n = 0; n < h->count; n++) {
        const commit *o = &h->commits[n];
        if (o->version > c->version && happened(o->ack, step) && !happened(o->dead, step))
            return false;
    }
    for (int64_t version = c->version - 1; version > VERSION_NONE; version--)
        if (!is_begun(h, version, step))
            return false;
    return true;
}

uint64_t version_digest(int64_t version, const tree *t)
{
    uint64_t hash = tree_hash(t);
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].kind == 0)
            hash += hash_of(t->entries[i].path, strlen(t->entries[i].path)) * t->entries[i].hash;
    const uint64_t parts[] = {(uint64_t)version, hash};
    hash = hash_of(parts, sizeof parts);
    return hash > 1 ? hash : 2;
}

bool history_allows_digest(history *h, int64_t step, uint64_t digest)
{
    for (size_t i = 0; i < h->count; i++) {
        commit *c = &h->commits[i];
        if (c->digest == 0 && !c->is_loose)
            c->digest = version_digest(c->version, &c->tree);
        if (c->digest == digest && history_allows(h, i, step))
            return true;
    }
    return false;
}

static bool has_entry(const tree *t, const tree_entry *entry)
{
    const tree_entry *own = tree_find(t, entry->path);
    return own != NULL && entry_equal(own, entry);
}

/* Every path of before is there, and everything there is as it was before or as it is to become. */
static bool is_between(const tree *before, const tree *after, const tree *found)
{
    for (size_t i = 0; i < before->count; i++)
        if (tree_find(found, before->entries[i].path) == NULL)
            return false;
    for (size_t i = 0; i < found->count; i++)
        if (!has_entry(before, &found->entries[i]) && !has_entry(after, &found->entries[i]))
            return false;
    return true;
}

bool commit_matches(const commit *c, int64_t version, const tree *found)
{
    if (c->version != version)
        return false;
    return c->is_loose ? is_between(&c->tree, &c->after, found) : tree_equal(&c->tree, found);
}

int history_match(const history *h, int64_t step, int64_t version, const tree *found)
{
    for (size_t i = 0; i < h->count; i++)
        if (history_allows(h, i, step) && commit_matches(&h->commits[i], version, found))
            return (int)i;
    return -1;
}

void history_observe(history *h, size_t i, int64_t step)
{
    int64_t version = h->commits[i].version;
    if (h->commits[i].ack == STEP_NEVER)
        h->commits[i].ack = step;
    for (size_t n = 0; n < h->count; n++) {
        commit *c = &h->commits[n];
        if (c->version > version && c->begin <= step && c->dead == STEP_NEVER)
            c->dead = step;
    }
}
