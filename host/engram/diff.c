/* How one version differs from another, by path.
 *
 * The trees are compared key by key, and what they share is not read (eg_root_diff). Changed keys
 * name directory entries and inodes. An inode that lost one name and gained another was renamed;
 * one whose names stayed was changed in place; what remains was added or removed. Where another
 * inode has come to a path, the two are compared: what was removed and made again as it was is no
 * change. */
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"
#include "engram/look.h"

typedef struct entry_change {          /* of a directory entry */
    uint64_t directory, before, after; /* inodes; 0: none */
    eg_view name;                      /* in names, as an offset until all are collected */
} entry_change;

typedef struct inode_change {
    uint64_t number;
    uint64_t from,
        to; /* hashes of the references in runs that differ, however they are cut into runs */
    bool attributes; /* extended ones */
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
        return eg_fail(error, ENGRAM_DAMAGED,
                       "a directory entry cannot be read; run engram verify");
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

static uint64_t hash_more(uint64_t hash, eg_view bytes)
{
    uint64_t parts[2] = {hash, XXH3_64bits(bytes.data, bytes.size)};
    return XXH3_64bits(parts, sizeof parts);
}

static void hash_run(uint64_t *hash, const eg_view *run)
{
    for (size_t i = 0; run != NULL && i + EG_REF_SIZE <= run->size; i += EG_REF_SIZE)
        *hash = hash_more(*hash, (eg_view){run->data + i, EG_REF_SIZE});
}

/* Keys come in order: those of one tag and inode side by side. */
static engram_status note_inode(diffing *d, eg_view key, const eg_view *from, const eg_view *to,
                                engram_error *error)
{
    uint64_t number = eg_get_be64(key.data + 1);
    if (d->inode_count == 0 || d->inodes[d->inode_count - 1].number != number) {
        if (!eg_grow((void **)&d->inodes, &d->inode_capacity, d->inode_count + 1,
                     sizeof *d->inodes))
            return no_memory(error);
        d->inodes[d->inode_count++] = (inode_change){.number = number};
    }
    inode_change *change = &d->inodes[d->inode_count - 1];
    change->attributes |= key.data[0] == 'X';
    if (key.data[0] == 'E') {
        hash_run(&change->from, from);
        hash_run(&change->to, to);
    }
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
        return note_inode(d, key, from, to, error);
    default:
        return ENGRAM_OK;
    }
}

static int compare_inodes(const void *a, const void *b)
{
    const inode_change *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* One item for each inode: at most one of those of a number has content. */
static void merge_inodes(diffing *d)
{
    size_t kept = 0;
    if (d->inode_count != 0)
        qsort(d->inodes, d->inode_count, sizeof *d->inodes, compare_inodes);
    for (size_t i = 0; i < d->inode_count; i++) {
        const inode_change *change = &d->inodes[i];
        if (kept != 0 && d->inodes[kept - 1].number == change->number) {
            inode_change *same = &d->inodes[kept - 1];
            same->from ^= change->from;
            same->to ^= change->to;
            same->attributes |= change->attributes;
        } else {
            d->inodes[kept++] = *change;
        }
    }
    d->inode_count = kept;
    for (size_t i = 0; i < d->entry_count; i++)
        d->entries[i].name.data = d->names.data + (uintptr_t)d->entries[i].name.data;
}

/* ---- comparing two inodes ---- */

static engram_status hash_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    uint8_t bytes[EG_REF_SIZE];
    (void)offset, (void)error;
    eg_ref_put(bytes, ref);
    *(uint64_t *)context = hash_more(*(uint64_t *)context, (eg_view){bytes, sizeof bytes});
    return ENGRAM_OK;
}

static engram_status hash_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    (void)error;
    *(uint64_t *)context = hash_more(hash_more(*(uint64_t *)context, name), value);
    return ENGRAM_OK;
}

static bool same_attributes(const eg_inode *a, const eg_inode *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->device == b->device &&
           a->mtime.seconds == b->mtime.seconds && a->mtime.nanoseconds == b->mtime.nanoseconds;
}

static bool same_target(const eg_inode *a, const eg_inode *b)
{
    return a->target.size == b->target.size &&
           (a->target.size == 0 || memcmp(a->target.data, b->target.data, a->target.size) == 0);
}

/* What has changed between an inode of one version and one of the other; *what 0: nothing. c: what
 * the keys said, when the two have the same number, or NULL. Versions and counts of names are no
 * change. */
static engram_status compare_pair(const diffing *d, uint64_t before, uint64_t after,
                                  const inode_change *c, engram_change_kind *what,
                                  engram_error *error)
{
    eg_inode a, b;
    eg_buffer a_scratch = {0}, b_scratch = {0};
    uint64_t hashes[4] = {0};
    engram_status status = eg_fs_get(d->from.root, before, &a, &a_scratch, error);
    if (status == ENGRAM_OK)
        status = eg_fs_get(d->to.root, after, &b, &b_scratch, error);
    if (status == ENGRAM_OK && c == NULL)
        status = eg_fs_attributes(d->from.root, before, hash_attribute, &hashes[2], error);
    if (status == ENGRAM_OK && c == NULL)
        status = eg_fs_attributes(d->to.root, after, hash_attribute, &hashes[3], error);
    bool read = status == ENGRAM_OK && c == NULL && a.kind == EG_KIND_FILE && a.kind == b.kind;
    if (read)
        status = eg_fs_refs(d->from.root, before, 0, hash_ref, &hashes[0], error);
    if (read && status == ENGRAM_OK)
        status = eg_fs_refs(d->to.root, after, 0, hash_ref, &hashes[1], error);
    if (status == ENGRAM_OK) {
        bool content = c != NULL ? c->from != c->to : hashes[0] != hashes[1];
        bool extended = c != NULL ? c->attributes : hashes[2] != hashes[3];
        *what = content || a.kind != b.kind || !same_target(&a, &b) ? ENGRAM_CONTENT
                : extended || !same_attributes(&a, &b)              ? ENGRAM_ATTRIBUTES
                                                                    : (engram_change_kind)0;
    }
    eg_buffer_fini(&a_scratch);
    eg_buffer_fini(&b_scratch);
    return status;
}

engram_status eg_look_compare(eg_root *from, uint64_t before, eg_root *to, uint64_t after, engram_change_kind *what,
                              engram_error *error)
{
    diffing d = {.from.root = from, .to.root = to};
    return compare_pair(&d, before, after, NULL, what, error);
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

/* An entry that is new; an inode that lost another one has come there. */
typedef struct gain {
    uint64_t number;
    entry_change *entry;
    bool used;
} gain;

typedef struct gains {
    gain *list;
    size_t count;
} gains;

static int compare_gains(const void *a, const void *b)
{
    const gain *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static engram_status list_gains(diffing *d, gains *g, engram_error *error)
{
    g->list = eg_alloc((d->entry_count + 1) * sizeof *g->list);
    if (g->list == NULL)
        return no_memory(error);
    for (size_t i = 0; i < d->entry_count; i++)
        if (d->entries[i].before == 0)
            g->list[g->count++] = (gain){d->entries[i].after, &d->entries[i], false};
    if (g->count != 0)
        qsort(g->list, g->count, sizeof *g->list, compare_gains);
    return ENGRAM_OK;
}

/* The first that is not used up, which it is now; or NULL. */
static entry_change *use_gain(gains *g, uint64_t number)
{
    size_t low = 0, high = g->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (g->list[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->count && g->list[low].number == number; low++) {
        if (!g->list[low].used) {
            g->list[low].used = true;
            return g->list[low].entry;
        }
    }
    return NULL;
}

static engram_status tell_entry(diffing *d, entry_change *c, engram_error *error)
{
    char *path = NULL, *old_path = NULL;
    engram_change_kind what;
    if (c->before != 0 && c->after != 0) { /* another inode under the name */
        EG_TRY(compare_pair(d, c->before, c->after, NULL, &what, error));
        if (what == 0)
            return ENGRAM_OK;
        EG_TRY(path_of(d->to.root, c->directory, c->name, &path, error));
        return add(d, what, path, NULL, c->before, c->after, error);
    }
    if (c->before == 0) {
        EG_TRY(path_of(d->to.root, c->directory, c->name, &path, error));
        return add(d, ENGRAM_ADDED, path, NULL, 0, c->after, error);
    }
    EG_TRY(path_of(d->from.root, c->directory, c->name, &old_path, error));
    return add(d, ENGRAM_REMOVED, old_path, NULL, c->before, 0, error);
}

static engram_status tell_rename(diffing *d, entry_change *lost, entry_change *gained,
                                 engram_error *error)
{
    char *path = NULL, *old_path = NULL;
    EG_TRY(path_of(d->to.root, gained->directory, gained->name, &path, error));
    engram_status status = path_of(d->from.root, lost->directory, lost->name, &old_path, error);
    if (status != ENGRAM_OK || strcmp(path, old_path) == 0) { /* its directory was made anew */
        eg_free(path);
        eg_free(old_path);
        return status;
    }
    return add(d, ENGRAM_RENAMED, path, old_path, lost->before, gained->after, error);
}

static engram_status tell_renames(diffing *d, engram_error *error)
{
    gains g = {0};
    engram_status status = list_gains(d, &g, error);
    for (size_t i = 0; i < d->entry_count && status == ENGRAM_OK; i++) {
        entry_change *lost = &d->entries[i];
        entry_change *gained =
            lost->before != 0 && lost->after == 0 ? use_gain(&g, lost->before) : NULL;
        if (gained == NULL)
            continue;
        status = tell_rename(d, lost, gained, error);
        lost->before = gained->after = 0;
    }
    eg_free(g.list);
    return status;
}

static int compare_entries(const void *a, const void *b)
{
    const entry_change *x = a, *y = b;
    if (x->directory != y->directory)
        return x->directory < y->directory ? -1 : 1;
    size_t size = x->name.size < y->name.size ? x->name.size : y->name.size;
    int order = memcmp(x->name.data, y->name.data, size);
    return order != 0 ? order : x->name.size < y->name.size ? -1 : x->name.size > y->name.size;
}

typedef struct inode_telling {
    diffing *d;
    uint64_t number;
    engram_change_kind what;
} inode_telling;

/* One of its names, unless that is told as added or as another inode's. */
static engram_status tell_name(void *context, uint64_t directory, eg_view name, engram_error *error)
{
    inode_telling *t = context;
    diffing *d = t->d;
    char *path = NULL;
    entry_change key = {.directory = directory, .name = name};
    const entry_change *told = d->entry_count == 0 ? NULL
                                                   : bsearch(&key, d->entries, d->entry_count,
                                                             sizeof *d->entries, compare_entries);
    if (told != NULL && told->after == t->number)
        return ENGRAM_OK;
    EG_TRY(path_of(d->to.root, directory, name, &path, error));
    return add(d, t->what, path, NULL, t->number, t->number, error);
}

static engram_status tell_inode(diffing *d, const inode_change *c, engram_error *error)
{
    inode_telling t = {.d = d, .number = c->number};
    engram_error inner = {0};
    engram_status status = compare_pair(d, c->number, c->number, c, &t.what, &inner);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && t.what == 0)) /* its entries tell */
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    if (c->number != EG_INODE_ROOT)
        return eg_fs_names(d->to.root, c->number, tell_name, &t, error);
    char *path = eg_strdup("");
    return path == NULL ? no_memory(error)
                        : add(d, t.what, path, NULL, c->number, c->number, error);
}

static int compare_found(const void *a, const void *b)
{
    const found_change *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order != 0 ? order : (int)x->change.what - (int)y->change.what;
}

static void drop_found(found_change *f)
{
    eg_free(f->path);
    eg_free(f->old_path);
    *f = (found_change){0};
}

/* A path that was added and removed is another inode there, in a directory that is another one too.
 */
static engram_status merge_found(diffing *d, engram_error *error)
{
    for (size_t i = 0; i + 1 < d->found_count; i++) {
        found_change *added = &d->found[i], *removed = &d->found[i + 1];
        engram_change_kind what;
        if (added->change.what != ENGRAM_ADDED || removed->change.what != ENGRAM_REMOVED ||
            strcmp(added->path, removed->path) != 0)
            continue;
        EG_TRY(compare_pair(d, removed->change.before.inode, added->change.after.inode, NULL, &what,
                            error));
        added->change.before = removed->change.before;
        added->change.what = what;
        drop_found(removed);
        if (what == 0)
            drop_found(added);
        i++;
    }
    return ENGRAM_OK;
}

static engram_status visit_found(diffing *d, engram_change_visit *visit, void *context,
                                 engram_error *error)
{
    if (d->found_count != 0)
        qsort(d->found, d->found_count, sizeof *d->found, compare_found);
    EG_TRY(merge_found(d, error));
    for (size_t i = 0; i < d->found_count; i++) {
        found_change *f = &d->found[i];
        f->change.path = f->path;
        f->change.old_path = f->old_path;
        if (f->change.what != 0)
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
    if (from->engram != to->engram)
        return eg_fail(error, ENGRAM_INVALID, "only versions of one engram can be compared");
    while (*prefix == '/')
        prefix++;
    d.prefix = prefix;
    d.prefix_size = strlen(prefix);
    while (d.prefix_size != 0 && prefix[d.prefix_size - 1] == '/')
        d.prefix_size--;
    engram_status status = run(&d, error);
    if (status == ENGRAM_OK)
        status = visit_found(&d, visit, context, error);
    for (size_t i = 0; i < d.found_count; i++)
        drop_found(&d.found[i]);
    eg_free(d.found);
    eg_free(d.entries);
    eg_free(d.inodes);
    eg_buffer_fini(&d.names);
    return status;
}
