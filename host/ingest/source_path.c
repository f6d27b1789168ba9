/* A directory tree, or one file, of a file system.
 *
 * The walk keeps one level for each directory between the top and the entry at hand: its open
 * descriptor and its sorted names. Everything is asked relative to a level's descriptor, never by
 * full path, so a tree that is moved or replaced while it is read cannot lead elsewhere. Deep trees
 * are held in a growing array, not on the stack; of the levels only the last LEVELS_OPEN hold a
 * descriptor, the others are opened again on the way back, and are passed over when they are no
 * longer the directories they were. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/source_parts.h"

enum { LEVELS_OPEN = 64, TRIES = 3 };

typedef struct path_source {
    eg_source source;
    eg_io *io;
    eg_source_options options; /* its excludes are not used: they may be gone */
    eg_excludes excludes;
    int base;    /* where `given` begins */
    char *given; /* the path of the input itself */
    bool started;
    uint64_t top_device;

    eg_level *levels;
    size_t level_count, level_capacity, level_made; /* made: also those kept for their memory */
    eg_buffer path, scratch;
    eg_xattr_reader xattrs;
    eg_attribute_list attributes;
    char target[EG_PATH_MAX + 1];

    /* The entry at hand. */
    int parent;
    const char *name;
    struct stat about; /* as of the entry; once it is open, as of the first read */
    eg_file *file;
    int fd; /* the same, owned by file */
    uint64_t offset;
    int tries;
} path_source;

static void issue(path_source *s, const char *reason)
{
    if (s->options.issue != NULL)
        s->options.issue(s->options.context, eg_path_text(&s->path), reason);
}

/* What concerns one name is an issue; what concerns all that follow is a failure. */
static engram_status as_issue(path_source *s, engram_status status, const engram_error *why,
                              engram_error *error)
{
    if (status == ENGRAM_NO_MEMORY)
        return eg_fail(error, status, "%s", why->message);
    if (status != ENGRAM_OK)
        issue(s, why->message);
    return ENGRAM_OK;
}

static void os_issue(path_source *s, int os_error, const char *what)
{
    engram_error why = {0};
    eg_fail_os(&why, os_error, "%s", what);
    issue(s, why.message);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* ---- levels ---- */

static eg_level *top_level(path_source *s)
{
    return &s->levels[s->level_count - 1];
}

static engram_status push_level(path_source *s, int fd, const struct stat *about,
                                engram_error *error)
{
    if (!eg_grow((void **)&s->levels, &s->level_capacity, s->level_count + 1, sizeof *s->levels)) {
        close(fd);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to walk a directory");
    }
    if (s->level_count == s->level_made)
        s->levels[s->level_made++] = (eg_level){.fd = -1};
    eg_level *level = &s->levels[s->level_count++];
    level->fd = fd;
    level->device = about->st_dev;
    level->inode = about->st_ino;
    level->path_size = s->path.size;
    if (s->level_count >
        LEVELS_OPEN + 1) { /* the first stays open: the others can be found from it */
        eg_level *old = &s->levels[s->level_count - 1 - LEVELS_OPEN];
        if (old->fd >= 0)
            close(old->fd);
        old->fd = -1;
    }
    return ENGRAM_OK;
}

static void drop_level(path_source *s)
{
    eg_level *level = top_level(s);
    if (level->fd >= 0)
        close(level->fd);
    level->fd = -1;
    s->level_count--;
}

static bool is_level(const eg_level *level, int fd)
{
    struct stat about;
    return fstat(fd, &about) == 0 && about.st_dev == level->device && about.st_ino == level->inode;
}

static int open_directory(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* From the first level down to the last, by names, looking at each. -1 when one is not what it was.
 */
static int descend(path_source *s)
{
    int fd = -1;
    for (size_t i = 1; i < s->level_count; i++) {
        const eg_level *above = &s->levels[i - 1];
        int next = open_directory(i == 1 ? above->fd : fd,
                                  (const char *)above->names[above->next - 1].data);
        if (fd >= 0)
            close(fd);
        fd = next;
        if (fd >= 0 && !is_level(&s->levels[i], fd)) {
            close(fd);
            fd = -1;
        }
        if (fd < 0)
            return -1;
    }
    return fd;
}

/* Leaves the last level; the one before may have to be opened again, by the way up if that leads
 * there. */
static void pop_level(path_source *s)
{
    int up = -1;
    if (s->level_count > 1 && s->levels[s->level_count - 2].fd < 0 && top_level(s)->fd >= 0)
        up = open_directory(top_level(s)->fd, "..");
    drop_level(s);
    if (s->level_count == 0 || top_level(s)->fd >= 0)
        return;
    if (up >= 0 && !is_level(top_level(s), up)) {
        close(up);
        up = -1;
    }
    if (up < 0)
        up = descend(s);
    top_level(s)->fd = up;
    if (up < 0) {
        eg_path_cut(&s->path, top_level(s)->path_size);
        issue(s,
              "the directory was moved or removed while it was read; the rest of it is not stored");
        top_level(s)->next = top_level(s)->count;
    }
}

/* ---- entries ---- */

static void close_file(path_source *s)
{
    s->io->close(s->io, &s->file);
    s->fd = -1;
    s->offset = 0;
}

/* Opens the directory at hand and reads its names. *entered false: it is stored without them. */
static engram_status enter(path_source *s, eg_entry *entry, bool *entered, engram_error *error)
{
    struct stat now;
    *entered = false;
    if (s->options.one_file_system && s->about.st_dev != s->top_device)
        return ENGRAM_OK;
    int fd = open_directory(s->parent, s->name);
    if (fd < 0 || fstat(fd, &now) != 0) {
        os_issue(s, errno, "cannot be opened");
        if (fd >= 0)
            close(fd);
        return ENGRAM_OK;
    }
    if (!eg_stat_same(&now, &s->about)) {
        close(fd);
        issue(s, "was replaced while it was looked at");
        return ENGRAM_OK;
    }
    engram_error why = {0};
    EG_TRY(push_level(s, fd, &now, error));
    engram_status status = eg_level_read(top_level(s), &s->scratch, &why);
    if (status != ENGRAM_OK) {
        drop_level(s);
        return as_issue(s, status, &why, error);
    }
    entry->names = top_level(s)->names;
    entry->name_count = top_level(s)->count;
    entry->names_known = *entered = true;
    return ENGRAM_OK;
}

static bool read_target(path_source *s, eg_inode *inode)
{
    ssize_t size = readlinkat(s->parent, s->name, s->target, sizeof s->target);
    if (size < 0)
        os_issue(s, errno, "its target cannot be read");
    else if (size > EG_PATH_MAX)
        issue(s, "its target is longer than 4095 bytes");
    if (size < 0 || size > EG_PATH_MAX)
        return false;
    inode->target = (eg_view){(const uint8_t *)s->target, (size_t)size};
    inode->size = (uint64_t)size;
    return true;
}

static bool is_skipped(const path_source *s)
{
    return s->options.skip_inode != 0 && S_ISDIR(s->about.st_mode) &&
           s->about.st_ino == s->options.skip_inode && s->about.st_dev == s->options.skip_device;
}

/* Whether the name at hand is one to be stored, with its attributes in s->about. */
static bool look(path_source *s)
{
    if (fstatat(s->parent, s->name, &s->about, AT_SYMLINK_NOFOLLOW) != 0) {
        os_issue(s, errno, "cannot be looked at");
        return false;
    }
    if (is_skipped(s) ||
        (s->path.size != 0 &&
         eg_excludes_match(&s->excludes, eg_path_text(&s->path), S_ISDIR(s->about.st_mode))))
        return false;
    if (s->path.size > EG_PATH_MAX)
        issue(s, "its path is longer than 4095 bytes");
    else if (S_ISSOCK(s->about.st_mode))
        issue(s, "socket, skipped");
    else if (eg_stat_kind(s->about.st_mode) == 0)
        issue(s, "a kind that is not known, skipped");
    else
        return true;
    return false;
}

static engram_status read_attributes(path_source *s, eg_entry *entry, engram_error *error)
{
    engram_error why = {0};
    engram_status status =
        eg_xattr_read(&s->xattrs, s->parent, s->name, s->about.st_dev, &s->attributes, &why);
    EG_TRY(as_issue(s, status, &why, error));
    if (status != ENGRAM_OK) /* the others are not lost for the one that cannot be read */
        EG_TRY(eg_attributes_finish(&s->attributes, error));
    entry->attributes = s->attributes.items;
    entry->attribute_count = s->attributes.count;
    return ENGRAM_OK;
}

/* The name at hand, whose path is in s->path. *found false: there is nothing to store, or it is an
 * issue. */
static engram_status visit(path_source *s, eg_entry *entry, bool *found, engram_error *error)
{
    bool entered = false;
    *found = false;
    if (s->path.failed)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a path");
    if (!look(s))
        return ENGRAM_OK;
    *entry = (eg_entry){.size_known = true};
    eg_stat_inode(&s->about, &entry->inode);
    entry->link_count = s->about.st_nlink < UINT32_MAX ? (uint32_t)s->about.st_nlink : UINT32_MAX;
    if (entry->inode.kind == EG_KIND_SYMLINK && !read_target(s, &entry->inode))
        return ENGRAM_OK;
    EG_TRY(read_attributes(s, entry, error));
    if (entry->inode.kind == EG_KIND_DIRECTORY)
        EG_TRY(enter(s, entry, &entered, error));
    entry->path = eg_path_view(&s->path);
    *found = true;
    return ENGRAM_OK;
}

static void set_at_hand(path_source *s, int parent, const char *name)
{
    close_file(s);
    s->parent = parent;
    s->name = name;
    s->tries = 0;
}

static engram_status path_next(eg_source *source, eg_entry *entry, engram_error *error)
{
    path_source *s = (path_source *)source;
    bool found = false;
    if (!s->started) {
        s->started = true;
        set_at_hand(s, s->base, s->given);
        EG_TRY(visit(s, entry, &found, error));
    }
    while (!found) {
        close_file(s);
        if (s->level_count == 0)
            return ENGRAM_NOT_FOUND;
        eg_level *level = top_level(s);
        if (level->next == level->count) {
            pop_level(s);
            continue;
        }
        eg_view name = level->names[level->next++];
        set_at_hand(s, level->fd, (const char *)name.data);
        eg_path_cut(&s->path, level->path_size);
        eg_path_append(&s->path, name);
        EG_TRY(visit(s, entry, &found, error));
    }
    return ENGRAM_OK;
}

/* ---- content ---- */

static engram_status open_file(path_source *s, engram_error *error)
{
    struct stat now;
    const char *path = eg_path_text(&s->path);
    int fd = openat(s->parent, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return eg_fail_os(error, errno, "cannot be opened");
    engram_status status = ENGRAM_OK;
    if (fstat(fd, &now) != 0)
        status = eg_fail_os(error, errno, "cannot be looked at");
    else if (!eg_stat_same(&now, &s->about))
        status = eg_fail(error, ENGRAM_CONFLICT, "was replaced while it was looked at");
    else
        status = s->io->adopt(s->io, fd, path, &s->file, error);
    if (status != ENGRAM_OK) {
        close(fd);
        return status;
    }
    s->about = now;
    s->fd = fd;
    return ENGRAM_OK;
}

static engram_status path_read(eg_source *source, void *bytes, size_t size, size_t *got,
                               engram_error *error)
{
    path_source *s = (path_source *)source;
    *got = 0;
    if (s->file == NULL)
        EG_TRY(open_file(s, error));
    /* Up to the size and no further: that saves the call that only finds the end, and if the file
     * has grown, finish sees it. Some file systems have content and tell of no size, though. */
    uint64_t end = (uint64_t)s->about.st_size;
    if (end != 0 && size > end - s->offset)
        size = (size_t)(end - s->offset);
    if (size != 0)
        EG_TRY(s->io->read_some(s->io, s->file, s->offset, bytes, size, got, error));
    s->offset += *got;
    return ENGRAM_OK;
}

static engram_status path_finish(eg_source *source, eg_inode *inode, bool *changed, bool *again,
                                 engram_error *error)
{
    path_source *s = (path_source *)source;
    struct stat now;
    *changed = *again = false;
    if (s->file == NULL)
        return ENGRAM_OK;
    if (fstat(s->fd, &now) != 0)
        return eg_fail_os(error, errno, "cannot be looked at");
    *changed = now.st_size != s->about.st_size || !same_time(now.st_mtim, s->about.st_mtim) ||
               !same_time(now.st_ctim, s->about.st_ctim) || s->offset != (uint64_t)now.st_size;
    *again = *changed && ++s->tries < TRIES;
    s->about = now;
    s->offset = 0;
    eg_stat_inode(&now, inode);
    return ENGRAM_OK;
}

static void path_close(eg_source *source)
{
    path_source *s = (path_source *)source;
    close_file(s);
    for (size_t i = 0; i < s->level_made; i++)
        eg_level_fini(&s->levels[i]);
    eg_free(s->levels);
    eg_excludes_fini(&s->excludes);
    eg_buffer_fini(&s->path);
    eg_buffer_fini(&s->scratch);
    eg_xattr_reader_fini(&s->xattrs);
    eg_attributes_fini(&s->attributes);
    if (s->base >= 0)
        close(s->base);
    eg_free(s->given);
    eg_free(s);
}

/* ---- opening ---- */

/* The working directory itself, or one above it: what is in it is stored, and it is the root of
 * what is stored. */
static bool is_root(const char *given)
{
    const char *at = given;
    for (bool only_dots = true; only_dots;) {
        at += strspn(at, "/");
        size_t size = strcspn(at, "/");
        if (size == 0)
            return given[0] != 0;
        only_dots = size <= 2 && strspn(at, ".") >= size;
        at += size;
    }
    return false;
}

static engram_status set_up(path_source *s, const char *base, const eg_source_options *options,
                            engram_error *error)
{
    EG_TRY(eg_excludes_init(&s->excludes, options->excludes, options->exclude_count, error));
    engram_error why = {0};
    engram_status status = eg_stored_path(s->given, &s->path, &why);
    if (status == ENGRAM_INVALID && is_root(s->given))
        eg_path_cut(&s->path, 0);
    else if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", why.message);
    s->base = open(base != NULL ? base : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->base < 0)
        return eg_fail_os(error, errno, "cannot open directory %s", base != NULL ? base : ".");
    if (fstatat(s->base, s->given, &s->about, AT_SYMLINK_NOFOLLOW) != 0)
        return eg_fail_os(error, errno, "cannot read %s", s->given);
    s->top_device = s->about.st_dev;
    return ENGRAM_OK;
}

engram_status eg_source_open_path(eg_io *io, const char *base, const char *path,
                                  const eg_source_options *options, eg_source **source,
                                  engram_error *error)
{
    path_source *s = eg_alloc_zero(1, sizeof *s);
    char *given = eg_strdup(path);
    *source = NULL;
    if (s == NULL || given == NULL) {
        eg_free(s);
        eg_free(given);
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path);
    }
    s->source = (eg_source){path_next, path_read, path_finish, path_close};
    s->io = io;
    s->options = *options;
    s->given = given;
    s->base = s->fd = -1;
    engram_status status = set_up(s, base, options, error);
    if (status != ENGRAM_OK) {
        path_close(&s->source);
        return status;
    }
    *source = &s->source;
    return ENGRAM_OK;
}
