/* How one version differs from another, by path.
 *
 * The trees are compared key by key, and what they share is not read (eg_root_diff). Changed keys name
 * directory entries and inodes. An inode that lost one name and gained another was renamed; one whose
 * names stayed was changed in place; what remains was added or removed, and if that is so of one path,
 * replaced. What has been replaced or changed is told if it differs in content or attributes, not for
 * a new inode or version alone. */
#include <stdlib.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/look.h"

typedef struct entry_change { /* of a directory entry */
    uint64_t directory, before, after; /* inodes; 0: none */
    eg_view name; /* in names, as an offset until all are collected */
} entry_change;

typedef struct inode_change {
    uint64_t number;
} inode_change;

typedef struct found_change {
    engram_change change;
    char *path, *old_path;
} found_change;

typedef struct diffing {
    eg_look from, to;
    const char *prefix;
    size_t prefix_size;
    entry_change *entries;
    size_t entry_count, entry_capacity;
    eg_buffer names;
    inode_change *inodes;
    size_t inode_count, inode_capacity;
    found_change *found;
    size_t found_count, found_capacity;
} diffing;

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory comparing versions");
}

/* ---- collecting ---- */

static engram_status note_entry(diffing *d, eg_view key, const eg_view *from, const eg_view *to,
                                engram_error *error)
{
    if (key.size < 10 || (from != NULL && from->size != 9) || (to != NULL && to->size != 9))
        return eg_fail(error, ENGRAM_DAMAGED, "a directory entry cannot be read; run engram verify");
    if (!eg_grow((void **)&d->entries, &d->entry_capacity, d->entry_count + 1, sizeof *d->entries))
        return no_memory(error);
    d->entries[d->entry_count++] =
        (entry_change){.directory = eg_get_be64(key.data + 1),
                       .before = from != NULL ? eg_get_u64(from->data) : 0,
                       .after = to != NULL ? eg_get_u64(to->data) : 0,
                       .name = {(const uint8_t *)(uintptr_t)d->names.size, key.size - 9}};
    eg_write_bytes(&d->names, key.data + 9, key.size - 9);
    return d->names.failed ? no_memory(error) : ENGRAM_OK;
}

static engram_status note_inode(diffing *d, uint64_t number, engram_error *error)
{
    if (!eg_grow((void **)&d->inodes, &d->inode_capacity, d->inode_count + 1, sizeof *d->inodes))
        return no_memory(error);
    d->inodes[d->inode_count++] = (inode_change){number};
    return ENGRAM_OK;
}

static engram_status note_key(void *context, eg_view key, const eg_view *from, const eg_view *to,
                              engram_error *error)
{
    diffing *d = context;
    if (key.size < 9)
        return ENGRAM_OK;
    switch (key.data[0]) {
    case 'D':
        return note_entry(d, key, from, to, error);
    case 'E':
    case 'I':
    case 'X':
        return note_inode(d, eg_get_be64(key.data + 1), error);
    default:
        return ENGRAM_OK;
    }
}

static int compare_inodes(const void *a, const void *b)
{
    const inode_change *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* One item for each inode. */
static void merge_inodes(diffing *d)
{
    size_t kept = 0;
    if (d->inode_count != 0)
        qsort(d->inodes, d->inode_count, sizeof *d->inodes, compare_inodes);
    for (size_t i = 0; i < d->inode_count; i++) {
        if (kept == 0 || d->inodes[kept - 1].number != d->inodes[i].number)
            d->inodes[kept++] = d->inodes[i];
    }
    d->inode_count = kept;
    for (size_t i = 0; i < d->entry_count; i++)
        d->entries[i].name.data = d->names.data + (uintptr_t)d->entries[i].name.data;
}

/* ---- telling ---- */

static bool is_below(const diffing *d, const char *path)
{
    return path != NULL &&
           (d->prefix_size == 0 || (strncmp(path, d->prefix, d->prefix_size) == 0 &&
                                    (path[d->prefix_size] == 0 || path[d->prefix_size] == '/')));
}

/* Takes both paths over. */
static engram_status add(diffing *d, engram_change_kind what, char *path, char *old_path,
                         uint64_t before, uint64_t after, engram_error *error)
{
    found_change f = {.path = path, .old_path = old_path, .change = {.what = what}};
    engram_status status = ENGRAM_OK;
    bool wanted = is_below(d, path) || is_below(d, old_path);
    if (wanted && before != 0)
        status = eg_look_stat(&d->from, before, &f.change.before, error);
    if (wanted && status == ENGRAM_OK && after != 0)
        status = eg_look_stat(&d->to, after, &f.change.after, error);
    if (wanted && status == ENGRAM_OK &&
        !eg_grow((void **)&d->found, &d->found_capacity, d->found_count + 1, sizeof *d->found))
        status = no_memory(error);
    if (!wanted || status != ENGRAM_OK) {
        eg_free(path);
        eg_free(old_path);
        return status;
    }
    d->found[d->found_count++] = f;
    return ENGRAM_OK;
}

/* ---- what differs ---- */

static engram_status add_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    uint8_t out[EG_REF_SIZE];
    (void)offset;
    eg_ref_put(out, ref);
    eg_write_bytes(context, out, sizeof out);
    return ((eg_buffer *)context)->failed ? no_memory(error) : ENGRAM_OK;
}

static engram_status add_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    eg_write_u32(context, (uint32_t)name.size);
    eg_write_bytes(context, name.data, name.size);
    eg_write_u32(context, (uint32_t)value.size);
    eg_write_bytes(context, value.data, value.size);
    return ((eg_buffer *)context)->failed ? no_memory(error) : ENGRAM_OK;
}

/* An inode as far as users see it: what it says, and extended attributes; content apart. */
typedef struct described {
    eg_buffer attributes, content;
    eg_inode_kind kind;
} described;

static engram_status describe(const eg_look *look, uint64_t number, described *out,
                              engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(look->root, number, &inode, &scratch, error);
    if (status == ENGRAM_OK) {
        out->kind = inode.kind;
        eg_write_u32(&out->attributes, inode.mode);
        eg_write_u32(&out->attributes, inode.uid);
        eg_write_u32(&out->attributes, inode.gid);
        eg_write_u64(&out->attributes, inode.device);
        eg_write_u64(&out->attributes, (uint64_t)inode.mtime.seconds);
        eg_write_u32(&out->attributes, inode.mtime.nanoseconds);
        eg_write_bytes(&out->attributes, inode.target.data, inode.target.size);
        status = eg_fs_attributes(look->root, number, add_attribute, &out->attributes, error);
    }
    eg_buffer_fini(&scratch);
    if (status == ENGRAM_OK)
        status = eg_fs_refs(look->root, number, 0, add_ref, &out->content, error);
    return status;
}

static bool same_bytes(const eg_buffer *a, const eg_buffer *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* 0: nothing that users see. */
static engram_status compare(diffing *d, uint64_t before, uint64_t after, engram_change_kind *what,
                             engram_error *error)
{
    described from = {0}, to = {0};
    engram_status status = describe(&d->from, before, &from, error);
    if (status == ENGRAM_OK)
        status = describe(&d->to, after, &to, error);
    bool content = from.kind != to.kind || !same_bytes(&from.content, &to.content);
    bool same = same_bytes(&from.attributes, &to.attributes);
    *what = content ? ENGRAM_CONTENT : same ? 0 : ENGRAM_ATTRIBUTES;
    eg_buffer_fini(&from.attributes);
    eg_buffer_fini(&from.content);
    eg_buffer_fini(&to.attributes);
    eg_buffer_fini(&to.content);
    return status;
}

static engram_status path_of(eg_root *root, uint64_t directory, eg_view name, char **path,
                             engram_error *error)
{
    eg_buffer out = {0};
    engram_status status = eg_fs_path(root, directory, &out, error);
    if (out.size != 0)
        eg_write_u8(&out, '/');
    eg_write_bytes(&out, name.data, name.size);
    eg_write_u8(&out, 0);
    if (status == ENGRAM_OK && out.failed)
        status = no_memory(error);
    if (status != ENGRAM_OK)
        eg_buffer_fini(&out);
    *path = (char *)out.data;
    return status;
}

static engram_status tell_replaced(diffing *d, char *path, uint64_t before, uint64_t after,
                                   engram_error *error)
{
    engram_change_kind what = 0;
    engram_status status = compare(d, before, after, &what, error);
    if (status == ENGRAM_OK && what != 0)
        return add(d, what, path, NULL, before, after, error);
    eg_free(path);
    return status;
}

static engram_status tell_entry(diffing *d, entry_change *c, engram_error *error)
{
    char *path = NULL;
    eg_root *root = c->after != 0 ? d->to.root : d->from.root;
    EG_TRY(path_of(root, c->directory, c->name, &path, error));
    if (c->before != 0 && c->after != 0) /* another inode under the name */
        return tell_replaced(d, path, c->before, c->after, error);
    return add(d, c->before == 0 ? ENGRAM_ADDED : ENGRAM_REMOVED, path, NULL, c->before, c->after,
               error);
}

/* ---- renames ---- */

static int compare_gained(const void *a, const void *b)
{
    uint64_t x = (*(entry_change *const *)a)->after, y = (*(entry_change *const *)b)->after;
    return x < y ? -1 : x > y;
}

/* The entries that are new, by inode. */
static engram_status list_gained(diffing *d, entry_change ***list, size_t *count,
                                 engram_error *error)
{
    *count = 0;
    *list = eg_alloc((d->entry_count + 1) * sizeof **list);
    if (*list == NULL)
        return no_memory(error);
    for (size_t i = 0; i < d->entry_count; i++)
        if (d->entries[i].before == 0)
            (*list)[(*count)++] = &d->entries[i];
    if (*count != 0)
        qsort(*list, *count, sizeof **list, compare_gained);
    return ENGRAM_OK;
}

/* The entry where an inode that lost a name has a new one, or NULL. */
static entry_change *find_gained(entry_change *const *list, size_t count, uint64_t number)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle]->after < number)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count; low++) {
        if (list[low]->after == number)
            return list[low];
        if (list[low]->after > number)
            break;
    }
    return NULL;
}

static engram_status tell_rename(diffing *d, entry_change *lost, entry_change *gained,
                                 engram_error *error)
{
    char *path = NULL, *old_path = NULL;
    EG_TRY(path_of(d->to.root, gained->directory, gained->name, &path, error));
    engram_status status = path_of(d->from.root, lost->directory, lost->name, &old_path, error);
    if (status != ENGRAM_OK) {
        eg_free(path);
        return status;
    }
    return add(d, ENGRAM_RENAMED, path, old_path, lost->before, gained->after, error);
}

/* Names that were told as a rename are not told again. */
static engram_status tell_renames(diffing *d, engram_error *error)
{
    entry_change **gained;
    size_t count;
    EG_TRY(list_gained(d, &gained, &count, error));
    bool *used = eg_alloc_zero(d->entry_count + 1, sizeof *used);
    engram_status status = used == NULL ? no_memory(error) : ENGRAM_OK;
    for (size_t i = 0; i < d->entry_count && status == ENGRAM_OK; i++) {
        entry_change *lost = &d->entries[i];
        entry_change *now = lost->before != 0 && lost->after == 0
                                ? find_gained(gained, count, lost->before)
                                : NULL;
        if (now == NULL || used[now - d->entries])
            continue;
        status = tell_rename(d, lost, now, error);
        used[now - d->entries] = used[i] = true;
    }
    for (size_t i = 0; used != NULL && i < d->entry_count; i++)
        if (used[i])
            d->entries[i].before = d->entries[i].after = 0;
    eg_free(used);
    eg_free(gained);
    return status;
}

static engram_status tell_inode(diffing *d, const inode_change *c, engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0}, path = {0};
    if (c->number == EG_INODE_ROOT)
        return ENGRAM_OK;
    engram_status from = eg_fs_get(d->from.root, c->number, &inode, &scratch, error);
    engram_status to =
        from == ENGRAM_OK ? eg_fs_get(d->to.root, c->number, &inode, &scratch, error) : from;
    eg_buffer_fini(&scratch);
    if (from == ENGRAM_NOT_FOUND || to == ENGRAM_NOT_FOUND) /* its entries tell */
        return ENGRAM_OK;
    EG_TRY(to);
    engram_status status = eg_fs_path(d->to.root, c->number, &path, error);
    eg_write_u8(&path, 0);
    if (status == ENGRAM_OK && path.failed)
        status = no_memory(error);
    if (status != ENGRAM_OK) {
        eg_buffer_fini(&path);
        return status;
    }
    return tell_replaced(d, (char *)path.data, c->number, c->number, error);
}

/* By path, and of one path what was removed first. */
static int compare_found(const void *a, const void *b)
{
    const found_change *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order != 0 ? order
                      : (x->change.what != ENGRAM_REMOVED) - (y->change.what != ENGRAM_REMOVED);
}

/* Removed here and added there, under one path: replaced, since a directory on the way is a new one. */
static engram_status join(diffing *d, size_t i, bool *joined, engram_error *error)
{
    found_change *gone = &d->found[i], *come = &d->found[i + 1];
    *joined = i + 1 < d->found_count && gone->change.what == ENGRAM_REMOVED &&
              come->change.what == ENGRAM_ADDED && strcmp(gone->path, come->path) == 0;
    if (!*joined)
        return ENGRAM_OK;
    come->change.before = gone->change.before;
    return compare(d, gone->change.before.inode, come->change.after.inode, &come->change.what,
                   error);
}

static engram_status visit_found(diffing *d, engram_change_visit *visit, void *context,
                                 engram_error *error)
{
    if (d->found_count != 0)
        qsort(d->found, d->found_count, sizeof *d->found, compare_found);
    for (size_t i = 0; i < d->found_count; i++) {
        bool joined;
        EG_TRY(join(d, i, &joined, error));
        found_change *f = &d->found[i + joined];
        i += joined;
        if (f->change.what == 0)
            continue;
        f->change.path = f->path;
        f->change.old_path = f->old_path;
        EG_TRY(visit(context, &f->change, error));
    }
    return ENGRAM_OK;
}

static engram_status run(diffing *d, engram_error *error)
{
    EG_TRY(eg_root_diff(d->from.root, d->to.root, note_key, d, error));
    merge_inodes(d);
    EG_TRY(tell_renames(d, error));
    for (size_t i = 0; i < d->entry_count; i++)
        if (d->entries[i].before != 0 || d->entries[i].after != 0)
            EG_TRY(tell_entry(d, &d->entries[i], error));
    for (size_t i = 0; i < d->inode_count; i++)
        EG_TRY(tell_inode(d, &d->inodes[i], error));
    return ENGRAM_OK;
}

engram_status engram_diff(engram_view *from, engram_view *to, const char *prefix,
                          engram_change_visit *visit, void *context, engram_error *error)
{
    diffing d = {.from = {.engram = from->engram, .root = from->root},
                 .to = {.engram = to->engram, .root = to->root}};
    while (*prefix == '/')
        prefix++;
    d.prefix = prefix;
    d.prefix_size = strlen(prefix);
    while (d.prefix_size != 0 && prefix[d.prefix_size - 1] == '/')
        d.prefix_size--;
    engram_status status = run(&d, error);
    if (status == ENGRAM_OK)
        status = visit_found(&d, visit, context, error);
    for (size_t i = 0; i < d.found_count; i++) {
        eg_free(d.found[i].path);
        eg_free(d.found[i].old_path);
    }
    eg_free(d.found);
    eg_free(d.entries);
    eg_free(d.inodes);
    eg_buffer_fini(&d.names);
    return status;
}
