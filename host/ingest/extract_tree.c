/* The walk over the stored directories: each is made when its parent is listed, listed in its turn,
 * and remembered, so that its attributes can be set when nothing more is made in it.
 *
 * An engram may be damaged or made up: a directory that is met a second time, or too deep down, is
 * not entered, so the walk ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/extract_parts.h"

enum { DEPTH_MAX = 4096, DIRS_AT_ONCE = 64 };

static engram_status no_memory(engram_error *error)
{
    return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to extract");
}

/* ---- places ---- */

static const char *place_name(const eg_extract_run *run, size_t index)
{
    return (const char *)run->place_names.data + run->places[index].name;
}

/* The place's path in fresh memory, or NULL. */
static char *place_path(const eg_extract_run *run, size_t index)
{
    size_t size = 0;
    for (size_t i = index; i != 0; i = run->places[i].parent)
        size += strlen(place_name(run, i)) + 1;
    char *path = eg_alloc(size + 1), *at = path + size;
    if (path == NULL)
        return NULL;
    *at = 0;
    for (size_t i = index; i != 0; i = run->places[i].parent) {
        size_t n = strlen(place_name(run, i));
        if (i != index)
            *--at = '/';
        at -= n;
        memcpy(at, place_name(run, i), n);
    }
    memmove(path, at, strlen(at) + 1);
    return path;
}

static engram_status add_place(eg_extract_run *run, const eg_place *place, eg_view name,
                               size_t *index, engram_error *error)
{
    if (!eg_grow((void **)&run->places, &run->place_capacity, run->place_count + 1,
                 sizeof *run->places))
        return no_memory(error);
    run->places[run->place_count] = *place;
    run->places[run->place_count].name = run->place_names.size;
    eg_write_bytes(&run->place_names, name.data, name.size);
    eg_write_u8(&run->place_names, 0);
    uint64_t *known = eg_number_map_at(&run->directories, place->number);
    if (run->place_names.failed || known == NULL)
        return no_memory(error);
    *index = run->place_count++;
    *known = *index + 1;
    return ENGRAM_OK;
}

static engram_status add_pending(eg_extract_run *run, size_t index, engram_error *error)
{
    if (!eg_grow((void **)&run->pending, &run->pending_capacity, run->pending_count + 1,
                 sizeof *run->pending))
        return no_memory(error);
    run->pending[run->pending_count++] = index;
    run->places[index].whole = true;
    return ENGRAM_OK;
}

/* Of a directory met for the first time 0. */
static engram_status known_place(eg_extract_run *run, uint64_t number, size_t *index_plus_1,
                                 engram_error *error)
{
    const uint64_t *known = eg_number_map_at(&run->directories, number);
    if (known == NULL)
        return no_memory(error);
    *index_plus_1 = (size_t)*known;
    return ENGRAM_OK;
}

/* ---- making directories ---- */

/* Something is there under the name: a directory serves, anything else may have to go. */
static engram_status settle_existing(eg_extract_run *run, int dir, const char *name, mode_t mode,
                                     engram_error *error)
{
    struct stat about;
    if (fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return eg_extract_refuse(error, errno, "the directory cannot be made");
    if (S_ISDIR(about.st_mode))
        return ENGRAM_OK;
    if (S_ISLNK(about.st_mode))
        return eg_fail(error, ENGRAM_EXISTS,
                       "a symbolic link is there where a directory is needed; not followed");
    if (!eg_extract_make_way(run, dir, name, error))
        return error->status;
    return mkdirat(dir, name, mode) == 0
               ? ENGRAM_OK
               : eg_extract_refuse(error, errno, "the directory cannot be made");
}

static engram_status make_on_disk(eg_extract_run *run, int dir, const char *name, bool plain,
                                  engram_error *error)
{
    mode_t mode =
        plain ? 0777 : 0700; /* its own mode comes last: it may forbid to make anything in it */
    if (mkdirat(dir, name, mode) == 0)
        return ENGRAM_OK;
    if (errno != EEXIST)
        return eg_extract_refuse(error, errno, "the directory cannot be made");
    return settle_existing(run, dir, name, mode, error);
}

static engram_status check_directory(eg_extract_run *run, uint64_t number, uint32_t depth,
                                     bool *plain, engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(run->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    if (status == ENGRAM_NO_MEMORY)
        return status;
    if (status != ENGRAM_OK || inode.kind != EG_KIND_DIRECTORY)
        return eg_fail(error, ENGRAM_DAMAGED, "its record is not there; run engram verify");
    if (depth > DEPTH_MAX)
        return eg_fail(error, ENGRAM_DAMAGED, "directories are nested more than %d deep",
                       DEPTH_MAX);
    *plain = (inode.flags & EG_INODE_IMPLIED) != 0;
    return ENGRAM_OK;
}

/* Makes a directory in dir, which is the place `parent`. *index 0: it could not be made. */
static engram_status make_directory(eg_extract_run *run, const eg_out_dir *dir, size_t parent,
                                    eg_view name, uint64_t number, size_t *index,
                                    engram_error *error)
{
    eg_place place = {.parent = parent, .number = number, .depth = run->places[parent].depth + 1};
    char text[EG_NAME_MAX + 1];
    size_t known = 0;
    *index = 0;
    EG_TRY(known_place(run, number, &known, error));
    if (known != 0)
        return eg_fail(error, ENGRAM_DAMAGED, "the directory has a second name; run engram verify");
    EG_TRY(check_directory(run, number, place.depth, &place.plain, error));
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    EG_TRY(make_on_disk(run, dir->fd, text, place.plain, error));
    EG_TRY(add_place(run, &place, name, index, error));
    pthread_mutex_lock(&run->lock);
    run->stats.entries++;
    pthread_mutex_unlock(&run->lock);
    return ENGRAM_OK;
}

/* ---- listing ---- */

/* Opens the output's directory of a place; *dir stays NULL when that is an issue. */
static engram_status open_place(eg_extract_run *run, size_t index, eg_out_dir **dir,
                                engram_error *error)
{
    eg_out_dir *d = eg_alloc_zero(1, sizeof *d);
    char *path = place_path(run, index);
    *dir = NULL;
    if (d == NULL || path == NULL ||
        !eg_grow((void **)&run->dirs, &run->dir_capacity, run->dir_count + 1, sizeof *run->dirs)) {
        eg_free(d);
        eg_free(path);
        return no_memory(error);
    }
    *d = (eg_out_dir){eg_open_beneath(run->top, path), path};
    if (d->fd < 0) {
        engram_error why = {0};
        engram_status status = eg_extract_refuse(&why, errno, "the directory cannot be opened");
        eg_extract_settle(run, path, status, &why);
        eg_free(path);
        eg_free(d);
        return ENGRAM_OK;
    }
    *dir = d;
    return ENGRAM_OK;
}

/* Jobs may still use it: it is closed after them. */
static void leave_place(eg_extract_run *run, eg_out_dir *dir)
{
    run->dirs[run->dir_count++] = dir; /* open_place has made room */
    if (run->dir_count >= DIRS_AT_ONCE)
        eg_extract_flush(run);
}

static void settle_child(eg_extract_run *run, const eg_out_dir *dir, eg_view name,
                         engram_status status, const engram_error *error)
{
    if (status == ENGRAM_OK)
        return;
    eg_buffer path = {0};
    eg_write_bytes(&path, dir->path, strlen(dir->path));
    if (path.size != 0)
        eg_write_u8(&path, '/');
    eg_write_bytes(&path, name.data, name.size);
    eg_write_u8(&path, 0);
    eg_extract_settle(run, path.failed ? "" : (const char *)path.data, status, error);
    eg_buffer_fini(&path);
}

typedef struct listing {
    eg_extract_run *run;
    eg_out_dir *dir;
    size_t place;
    engram_status status; /* of what ends the run: not the list's own */
} listing;

static engram_status take_entry(eg_extract_run *run, const eg_out_dir *dir, size_t place,
                                eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    engram_error why = {0};
    engram_status status;
    size_t index = 0;
    if (!eg_name_valid(name))
        status = eg_fail(&why, ENGRAM_DAMAGED, "not a name that can be extracted");
    else if (kind == EG_KIND_DIRECTORY)
        status = make_directory(run, dir, place, name, number, &index, &why);
    else
        return eg_extract_add_job(run, dir, name, number, error);
    settle_child(run, dir, name, status, &why);
    return index != 0 ? add_pending(run, index, error) : ENGRAM_OK;
}

static engram_status list_entry(void *context, eg_view name, uint64_t number, eg_inode_kind kind,
                                engram_error *error)
{
    listing *l = context;
    l->status = take_entry(l->run, l->dir, l->place, name, number, kind, error);
    if (l->status == ENGRAM_OK && eg_extract_stopped(l->run))
        l->status = eg_fail(error, ENGRAM_CANCELLED, "stopped");
    return l->status;
}

/* So that they are listed in the order of their names. */
static void reverse_pending(eg_extract_run *run, size_t from)
{
    for (size_t i = from, j = run->pending_count; i + 1 < j; i++, j--) {
        size_t index = run->pending[i];
        run->pending[i] = run->pending[j - 1];
        run->pending[j - 1] = index;
    }
}

static engram_status list_place(eg_extract_run *run, size_t index, engram_error *error)
{
    listing l = {.run = run, .place = index};
    size_t from = run->pending_count;
    engram_error why = {0};
    EG_TRY(open_place(run, index, &l.dir, error));
    if (l.dir == NULL)
        return ENGRAM_OK;
    engram_status status = eg_fs_list(run->root, run->places[index].number, list_entry, &l, &why);
    reverse_pending(run, from);
    if (l.status == ENGRAM_OK && status != ENGRAM_OK && status != ENGRAM_NO_MEMORY) {
        eg_extract_issue(run, l.dir->path, why.message);
        status = ENGRAM_OK;
    }
    leave_place(run, l.dir);
    if (eg_extract_stopped(run))
        return ENGRAM_OK; /* what ended the run is known */
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", why.message);
}

/* ---- what was asked for ---- */

/* The next component of a path, "." and empty ones passed over. False at its end. */
static bool next_component(const char **at, eg_view *name)
{
    for (;;) {
        *at += strspn(*at, "/");
        size_t size = strcspn(*at, "/");
        if (size == 0)
            return false;
        *name = (eg_view){(const uint8_t *)*at, size};
        *at += size;
        if (size != 1 || name->data[0] != '.')
            return true;
    }
}

/* One component of a prefix, below a place; *place moves on to it, 0 when it could not be made. */
static engram_status step(eg_extract_run *run, eg_view name, bool is_last, size_t *place,
                          engram_error *error)
{
    uint64_t number;
    size_t known = 0;
    eg_inode inode;
    eg_buffer scratch = {0};
    eg_out_dir *dir;
    EG_TRY(eg_fs_child(run->root, run->places[*place].number, name, &number, error));
    engram_status status = eg_fs_get(run->root, number, &inode, &scratch, error);
    eg_buffer_fini(&scratch);
    EG_TRY(status);
    bool is_directory = inode.kind == EG_KIND_DIRECTORY;
    EG_TRY(known_place(run, number, &known, error));
    if (is_directory && known != 0) {
        *place = known - 1;
        return ENGRAM_OK;
    }
    EG_TRY(open_place(run, *place, &dir, error));
    size_t parent = *place;
    *place = 0;
    if (dir == NULL)
        return ENGRAM_OK;
    if (is_directory) {
        engram_error why = {0};
        status = make_directory(run, dir, parent, name, number, place, &why);
        settle_child(run, dir, name, status, &why);
        status = ENGRAM_OK;
    } else if (is_last) {
        status = eg_extract_add_job(run, dir, name, number, error);
    }
    leave_place(run, dir);
    return status;
}

static engram_status take_prefix(eg_extract_run *run, const char *prefix, engram_error *error)
{
    size_t place = 0;
    eg_view name, next;
    const char *at = prefix;
    bool more = next_component(&at, &name) && !run->places[0].whole;
    while (more) {
        more = next_component(&at, &next);
        EG_TRY(step(run, name, !more, &place, error));
        if (place == 0 ||
            run->places[place].whole) /* a file, an issue, or part of another prefix */
            return ENGRAM_OK;
        name = next;
    }
    return run->places[place].whole ? ENGRAM_OK : add_pending(run, place, error);
}

static int compare_prefixes(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t x_size = strlen(x), y_size = strlen(y);
    return x_size != y_size ? (x_size > y_size ? 1 : -1) : strcmp(x, y);
}

static engram_status check_prefixes(eg_extract_run *run, engram_error *error)
{
    for (size_t i = 0; i < run->options->prefix_count; i++) {
        uint64_t number;
        const char *prefix = run->options->prefixes[i];
        EG_TRY(eg_fs_lookup(run->root, (eg_view){(const uint8_t *)prefix, strlen(prefix)}, &number,
                            error));
    }
    return ENGRAM_OK;
}

/* In the spelling of eg_stored_path, shortest first, so that one that holds others comes before
 * them. */
static engram_status take_sorted(eg_extract_run *run, char **prefixes, size_t count,
                                 engram_error *error)
{
    for (size_t i = 0; i < count; i++) {
        eg_buffer path = {0};
        const char *at = run->options->prefixes[i];
        for (eg_view name; next_component(&at, &name);) {
            eg_write_bytes(&path, name.data, name.size);
            eg_write_u8(&path, '/');
        }
        eg_write_u8(&path, 0);
        prefixes[i] = path.failed ? NULL : eg_strdup((const char *)path.data);
        eg_buffer_fini(&path);
        if (prefixes[i] == NULL)
            return no_memory(error);
    }
    qsort(prefixes, count, sizeof *prefixes, compare_prefixes);
    for (size_t i = 0; i < count && !eg_extract_stopped(run); i++)
        if (i == 0 || strcmp(prefixes[i], prefixes[i - 1]) != 0)
            EG_TRY(take_prefix(run, prefixes[i], error));
    return ENGRAM_OK;
}

static engram_status take_prefixes(eg_extract_run *run, engram_error *error)
{
    size_t count = run->options->prefix_count;
    if (count == 0)
        return add_pending(run, 0, error);
    char **prefixes = eg_alloc_zero(count, sizeof *prefixes);
    if (prefixes == NULL)
        return no_memory(error);
    engram_status status = take_sorted(run, prefixes, count, error);
    for (size_t i = 0; i < count; i++)
        eg_free(prefixes[i]);
    eg_free(prefixes);
    return status;
}

engram_status eg_extract_tree(eg_extract_run *run, engram_error *error)
{
    size_t top;
    eg_place place = {.number = EG_INODE_ROOT, .plain = true};
    EG_TRY(check_prefixes(run, error));
    EG_TRY(add_place(run, &place, (eg_view){(const uint8_t *)"", 0}, &top, error));
    EG_TRY(take_prefixes(run, error));
    while (run->pending_count != 0 && !eg_extract_stopped(run))
        EG_TRY(list_place(run, run->pending[--run->pending_count], error));
    return ENGRAM_OK;
}

/* ---- directories' attributes ---- */

static engram_status finish_directory(eg_extract_run *run, size_t index, const char *path,
                                      engram_error *error)
{
    eg_inode inode;
    eg_buffer scratch = {0};
    engram_status status = eg_fs_get(run->root, run->places[index].number, &inode, &scratch, error);
    if (status == ENGRAM_IO || status == ENGRAM_NOT_FOUND)
        status = ENGRAM_DAMAGED; /* of this directory alone */
    int fd = status == ENGRAM_OK ? eg_open_beneath(run->top, path) : -1;
    if (status == ENGRAM_OK && fd < 0)
        status = eg_extract_refuse(error, errno, "its attributes cannot be set");
    if (fd >= 0) {
        eg_extract_attributes(run, fd, path, run->places[index].number, &inode);
        close(fd);
    }
    eg_buffer_fini(&scratch);
    return status;
}

void eg_extract_finish_directories(eg_extract_run *run)
{
    for (size_t i = run->place_count; i-- > 1 && !eg_extract_stopped(run);) {
        engram_error error = {0};
        if (run->places[i].plain)
            continue;
        char *path = place_path(run, i);
        engram_status status =
            path == NULL ? no_memory(&error) : finish_directory(run, i, path, &error);
        eg_extract_settle(run, path == NULL ? "" : path, status, &error);
        eg_free(path);
    }
}
