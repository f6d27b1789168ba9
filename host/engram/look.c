/* Reading by path. */
#include "engram/look.h"

#include <inttypes.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory reading");
}

/* ---- stat ---- */

static engram_status count_ref(void *context, uint64_t offset, eg_chunk_ref ref,
                               engram_error *error)
{
    (void)offset, (void)ref, (void)error;
    ++*(uint64_t *)context;
    return ENGRAM_OK;
}

static void fill_stat(struct engram_stat *stat, uint64_t number, const eg_inode *inode)
{
    *stat = (struct engram_stat){.kind = (engram_kind)inode->kind,
                                 .inode = number,
                                 .version = inode->modified_version,
                                 .created_version = inode->created_version,
                                 .created_ns = inode->created_ns,
                                 .modified_ns = inode->modified_ns,
                                 .size = inode->size,
                                 .mode = inode->mode,
                                 .uid = inode->uid,
                                 .gid = inode->gid,
                                 .links = inode->link_count,
                                 .mtime_s = inode->mtime.seconds,
                                 .mtime_ns = inode->mtime.nanoseconds,
                                 .device = inode->device};
}

engram_status eg_look_stat(const eg_look *look, uint64_t number, struct engram_stat *stat,
                           engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(look->root, number, &inode, &scratch, error);
    if (status == ENGRAM_OK)
        fill_stat(stat, number, &inode);
    eg_buffer_fini(&scratch);
    if (status == ENGRAM_OK && stat->kind == ENGRAM_KIND_FILE && stat->size != 0)
        status = eg_fs_refs(look->root, number, 0, count_ref, &stat->chunks, error);
    return status;
}

/* ---- content ---- */

typedef struct read_context {
    const eg_look *look;
    uint8_t *chunk;
    size_t chunk_capacity;
    uint64_t offset;
    uint8_t *bytes;
    size_t size, got;
} read_context;

static engram_status read_stored(const read_context *c, eg_chunk_ref ref, uint8_t *bytes,
                                 size_t *size, engram_error *error)
{
    return c->look->stage != NULL
               ? eg_stage_read(c->look->stage, ref.id, bytes, ref.size, size, error)
               : eg_store_read(c->look->engram->store, ref.id, bytes, ref.size, size, error);
}

static engram_status read_chunk(const read_context *c, eg_chunk_ref ref, uint8_t *bytes,
                                engram_error *error)
{
    size_t size;
    engram_status status = read_stored(c, ref, bytes, &size, NULL);
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "chunk %" PRIu64 ", %u bytes of the content, is lost; engram log shows "
                       "earlier states of the file",
                       ref.id, ref.size);
    if (status != ENGRAM_OK)
        EG_TRY(read_stored(c, ref, bytes, &size, error)); /* for the sentence */
    if (size != ref.size)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "chunk %" PRIu64 " has %zu bytes where the file says %u", ref.id, size,
                       ref.size);
    return ENGRAM_OK;
}

static engram_status read_ref(void *context, uint64_t offset, eg_chunk_ref ref, engram_error *error)
{
    read_context *c = context;
    size_t room = c->size - c->got;
    if (room == 0)
        return ENGRAM_CANCELLED; /* enough */
    uint64_t skip = c->offset + c->got - offset;
    if (skip == 0 && room >= ref.size) { /* whole: no copy */
        EG_TRY(read_chunk(c, ref, c->bytes + c->got, error));
        c->got += ref.size;
        return ENGRAM_OK;
    }
    if (!eg_grow((void **)&c->chunk, &c->chunk_capacity, ref.size, 1))
        return no_memory(error);
    EG_TRY(read_chunk(c, ref, c->chunk, error));
    size_t take = ref.size - skip < room ? (size_t)(ref.size - skip) : room;
    memcpy(c->bytes + c->got, c->chunk + skip, take);
    c->got += take;
    return ENGRAM_OK;
}

/* Nothing was read: at the end of a file, or from what is none. */
static engram_status check_file(const eg_look *look, uint64_t number, engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(look->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(error, status, "this version has no inode %" PRIu64, number);
    if (status == ENGRAM_OK && inode.kind != EG_KIND_FILE)
        status = eg_fail(error, ENGRAM_INVALID, "inode %" PRIu64 " is a %s: only files have content",
                         number, engram_kind_name((engram_kind)inode.kind));
    return status;
}

engram_status eg_look_read(const eg_look *look, uint64_t number, uint64_t offset, void *bytes,
                           size_t size, size_t *got, engram_error *error)
{
    read_context c = {.look = look, .offset = offset, .bytes = bytes, .size = size};
    engram_status status =
        size == 0 ? ENGRAM_OK : eg_fs_refs(look->root, number, offset, read_ref, &c, error);
    eg_free(c.chunk);
    *got = c.got;
    if (status == ENGRAM_OK && c.got == 0)
        return check_file(look, number, error);
    return status == ENGRAM_CANCELLED ? ENGRAM_OK : status;
}

engram_status eg_engram_read(eg_engram *e, const eg_version *version, uint64_t inode,
                             uint64_t offset, void *bytes, size_t size, size_t *got,
                             engram_error *error)
{
    eg_look look = {.engram = e, .root = version->root};
    return eg_look_read(&look, inode, offset, bytes, size, got, error);
}

typedef struct chunk_context {
    uint64_t begin;
    eg_chunk_ref ref;
} chunk_context;

static engram_status take_first(void *context, uint64_t offset, eg_chunk_ref ref,
                                engram_error *error)
{
    (void)error;
    *(chunk_context *)context = (chunk_context){offset, ref};
    return ENGRAM_CANCELLED;
}

engram_status eg_look_chunk(const eg_look *look, uint64_t number, uint64_t offset, uint64_t *begin,
                            eg_chunk_ref *ref, engram_error *error)
{
    chunk_context c = {0};
    engram_status status = eg_fs_refs(look->root, number, offset, take_first, &c, error);
    if (status == ENGRAM_OK)
        return ENGRAM_NOT_FOUND;
    *begin = c.begin;
    *ref = c.ref;
    return status == ENGRAM_CANCELLED ? ENGRAM_OK : status;
}

/* ---- walking ---- */

/* Where a pattern goes on when what follows a wildcard does not match: one byte, or one directory,
 * later. The last wildcard of each sort is enough: an earlier one that took more would leave less. */
typedef struct glob_retry {
    const char *glob, *path; /* glob NULL: none */
    bool whole;              /* the wildcard stands for whole names */
} glob_retry;

static bool retry_star(glob_retry *star, const char **glob, const char **path)
{
    if (star->glob == NULL || *star->path == 0 || *star->path == '/')
        return false;
    *glob = star->glob;
    *path = ++star->path;
    return true;
}

static bool retry_deep(glob_retry *deep, const char **glob, const char **path)
{
    if (deep->glob == NULL)
        return false;
    if (deep->whole)
        deep->path += strcspn(deep->path, "/");
    if (*deep->path == 0)
        return false;
    *glob = deep->glob;
    *path = ++deep->path;
    return true;
}

bool eg_glob_match(const char *glob, const char *path)
{
    const char *begin = glob;
    glob_retry star = {0}, deep = {0};
    for (;;) {
        if (glob[0] == '*' && glob[1] == '*') { /* "**" before "/" also stands for nothing */
            bool whole = glob[2] == '/' && (glob == begin || glob[-1] == '/');
            glob += whole ? 3 : 2;
            deep = (glob_retry){glob, path, whole};
            star.glob = NULL;
            continue;
        }
        if (*glob == '*') {
            star = (glob_retry){++glob, path, false};
            continue;
        }
        if (*path == 0 && *glob == 0)
            return true;
        const char *literal = *glob == '\\' && glob[1] != 0 ? glob + 1 : glob;
        bool any = literal == glob && *glob == '?' && *path != '/';
        if (*path != 0 && (any || *literal == *path)) {
            glob = literal + 1;
            path++;
        } else if (!retry_star(&star, &glob, &path)) {
            star.glob = NULL;
            if (!retry_deep(&deep, &glob, &path))
                return false;
        }
    }
}

typedef struct walking {
    const eg_look *look;
    const eg_walk *walk;
    eg_buffer path; /* without its final zero */
    size_t prefix_size;
    uint32_t depth;
    const char *after; /* of filter->after, what is below the directory at hand; NULL: all is shown */
} walking;

static bool is_wanted(const walking *w, const struct engram_stat *stat)
{
    const engram_filter *f = w->walk->filter;
    if (f == NULL)
        return true;
    if (f->kinds != 0 && (f->kinds & 1u << stat->kind) == 0)
        return false;
    if (stat->size < f->size_min || (f->size_max != 0 && stat->size > f->size_max))
        return false;
    if ((f->mtime_after_s != 0 && stat->mtime_s < f->mtime_after_s) ||
        (f->mtime_before_s != 0 && stat->mtime_s >= f->mtime_before_s))
        return false;
    return stat->version > f->version_after || f->version_after == 0;
}

static engram_status show(walking *w, uint64_t number, engram_error *error)
{
    const engram_filter *f = w->walk->filter;
    struct engram_stat stat;
    eg_write_u8(&w->path, 0);
    if (w->path.failed)
        return no_memory(error);
    const char *path = (const char *)w->path.data;
    const char *below = path + w->prefix_size + (path[w->prefix_size] == '/');
    bool matches = f == NULL || f->glob == NULL || eg_glob_match(f->glob, below);
    engram_status status = ENGRAM_OK;
    if (matches && w->walk->touch != NULL)
        status = w->walk->touch(w->walk->touch_context, number, false, error);
    if (status == ENGRAM_OK && matches)
        status = eg_look_stat(w->look, number, &stat, error);
    if (status == ENGRAM_OK && matches && is_wanted(w, &stat))
        status = w->walk->visit(w->walk->context, path, &stat, error);
    w->path.size--;
    return status;
}

static engram_status walk_directory(walking *w, uint64_t number, engram_error *error);

static eg_view first_name(const char *path)
{
    return (eg_view){(const uint8_t *)path, path != NULL ? strcspn(path, "/") : 0};
}

/* Whether an entry lies on the way to filter->after, and so was shown before. */
static bool pass(walking *w, eg_view name)
{
    eg_view first = first_name(w->after);
    bool passed = w->after != NULL && name.size == first.size &&
                  memcmp(name.data, first.data, first.size) == 0;
    bool has_more = passed && w->after[first.size] == '/';
    w->after = has_more ? w->after + first.size + 1 : NULL;
    return passed;
}

static engram_status on_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                              engram_error *error)
{
    walking *w = context;
    size_t size = w->path.size;
    uint32_t depth_max = w->walk->filter != NULL ? w->walk->filter->depth_max : 0;
    bool passed = pass(w, name);
    if (size != 0)
        eg_write_u8(&w->path, '/');
    eg_write_bytes(&w->path, name.data, name.size);
    if (!passed)
        EG_TRY(show(w, number, error));
    if (kind == EG_KIND_DIRECTORY && (depth_max == 0 || w->depth < depth_max))
        EG_TRY(walk_directory(w, number, error));
    w->after = NULL;
    w->path.size = size;
    return ENGRAM_OK;
}

static engram_status walk_directory(walking *w, uint64_t number, engram_error *error)
{
    if (w->depth == EG_PATH_MAX / 2)
        return eg_fail(error, ENGRAM_DAMAGED,
                       "directories are nested without end; run engram verify");
    if (w->walk->touch != NULL)
        EG_TRY(w->walk->touch(w->walk->touch_context, number, true, error));
    w->depth++;
    EG_TRY(eg_fs_list_from(w->look->root, number, first_name(w->after), on_entry, w, error));
    w->depth--;
    return ENGRAM_OK;
}

/* A path as walks show it, below what is walked, or that itself. */
static engram_status begin_after(walking *w, const char *after, engram_error *error)
{
    size_t size = w->path.size;
    bool below = size == 0 || (strncmp(after, (const char *)w->path.data, size) == 0 &&
                               (after[size] == '/' || after[size] == 0));
    if (!below)
        return eg_fail(error, ENGRAM_INVALID, "'%s' is not below '%.*s', so nothing comes behind it",
                       after, (int)size, (const char *)w->path.data);
    w->after = after + size + (size != 0 && after[size] == '/');
    return ENGRAM_OK;
}

engram_status eg_look_list(const eg_look *look, const char *path, uint64_t number,
                           const eg_walk *walk, engram_error *error)
{
    walking w = {.look = look, .walk = walk};
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(look->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    for (const char *c = path; *c != 0;) { /* without doubled and closing slashes and "." */
        size_t size = strcspn(c, "/");
        bool is_name = size > 1 || (size == 1 && *c != '.');
        if (is_name && w.path.size != 0)
            eg_write_u8(&w.path, '/');
        if (is_name)
            eg_write_bytes(&w.path, c, size);
        c += size + (c[size] == '/');
    }
    w.prefix_size = w.path.size;
    if (w.path.failed)
        status = no_memory(error);
    else if (walk->filter != NULL && walk->filter->after != NULL)
        status = begin_after(&w, walk->filter->after, error);
    if (status != ENGRAM_OK)
        goto done;
    if (inode.kind == EG_KIND_DIRECTORY)
        status = walk_directory(&w, number, error);
    else
        status = w.after == NULL ? show(&w, number, error) : ENGRAM_OK;
done:
    eg_buffer_fini(&w.path);
    return status;
}
