/* Names of the disk in memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crash/ram_parts.h"
#include "crash/util.h"

/* The directory that path is: its number and last name. */
static bool find_dir(const ram_disk *d, const char *path, uint32_t *dir, const char **name)
{
    if (!image_resolve(&d->image, path, dir, name))
        return false;
    if (**name == 0)
        return true;
    image_entry *entry = image_find(&d->image, *dir, *name);
    if (entry == NULL || !d->image.nodes[entry->node].is_dir)
        return false;
    *dir = entry->node;
    return true;
}

static engram_status sync_dir_locked(ram_disk *d, const char *path, engram_error *error)
{
    const char *name;
    op o = {.kind = OP_SYNC_DIR};
    if (!find_dir(d, path, &o.dir, &name))
        return eg_fail_os(error, ENOENT, "cannot sync directory %s", path);
    crash_text(o.name, sizeof o.name, name);
    return ram_sync_slowly(d, o, path, error);
}

static engram_status ram_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = sync_dir_locked(d, path, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status rename_locked(ram_disk *d, const char *from, const char *to,
                                   engram_error *error)
{
    op o = {.kind = OP_RENAME};
    const char *from_name, *to_name;
    image_entry *entry = NULL;
    if (image_resolve(&d->image, from, &o.dir, &from_name) &&
        image_resolve(&d->image, to, &o.to_dir, &to_name) && strlen(to_name) <= IMAGE_NAME_MAX)
        entry = image_find(&d->image, o.dir, from_name);
    if (entry == NULL)
        return eg_fail_os(error, ENOENT, "cannot rename %s to %s", from, to);
    if (!ram_has_power(d))
        return ram_no_power(error, "rename", from);
    if (o.dir == o.to_dir && strcmp(from_name, to_name) == 0)
        return ENGRAM_OK;
    if (ram_ask_liar(d, OP_RENAME, to_name) != LIE_NOT)
        return ENGRAM_OK;
    o.node = entry->node;
    crash_text(o.name, sizeof o.name, from_name);
    crash_text(o.to, sizeof o.to, to_name);
    image_link(&d->image, o.to_dir, o.to, o.node);
    image_unlink(&d->image, o.dir, o.name);
    ram_record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = rename_locked(d, from, to, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status unlink_locked(ram_disk *d, const char *path, engram_error *error)
{
    op o = {.kind = OP_UNLINK};
    const char *name;
    image_entry *entry =
        image_resolve(&d->image, path, &o.dir, &name) ? image_find(&d->image, o.dir, name) : NULL;
    if (entry == NULL || d->image.nodes[entry->node].is_dir)
        return eg_fail_os(error, entry == NULL ? ENOENT : EISDIR, "cannot remove %s", path);
    if (!ram_has_power(d))
        return ram_no_power(error, "remove", path);
    if (ram_ask_liar(d, OP_UNLINK, name) != LIE_NOT)
        return ENGRAM_OK;
    o.node = entry->node;
    crash_text(o.name, sizeof o.name, name);
    image_unlink(&d->image, o.dir, o.name);
    ram_record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_unlink(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = unlink_locked(d, path, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status mkdir_locked(ram_disk *d, const char *path, engram_error *error)
{
    uint32_t dir, node;
    const char *name;
    if (!image_resolve(&d->image, path, &dir, &name) || strlen(name) > IMAGE_NAME_MAX)
        return eg_fail_os(error, ENOENT, "cannot create directory %s", path);
    if (*name == 0 || image_find(&d->image, dir, name) != NULL)
        return eg_fail(error, ENGRAM_EXISTS, "cannot create directory %s: it exists already", path);
    return ram_make(d, dir, path, name, true, &node, error);
}

static engram_status ram_mkdir(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = mkdir_locked(d, path, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

typedef struct name_list {
    char (*names)[IMAGE_NAME_MAX + 1];
    size_t count, capacity;
} name_list;

/* The callback may use the disk, so it gets names noted before. */
static engram_status ram_list(eg_io *io, const char *path,
                              engram_status (*entry)(void *context, const char *name),
                              void *context, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    name_list list = {0};
    uint32_t dir;
    const char *name;
    pthread_mutex_lock(&d->mutex);
    bool found = find_dir(d, path, &dir, &name);
    for (size_t i = 0; found && i < d->image.entry_count; i++) {
        if (d->image.entries[i].dir != dir)
            continue;
        list.names = crash_grow(list.names, &list.capacity, list.count + 1, sizeof *list.names);
        memcpy(list.names[list.count++], d->image.entries[i].name, sizeof *list.names);
    }
    pthread_mutex_unlock(&d->mutex);
    engram_status status =
        found ? ENGRAM_OK : eg_fail_os(error, ENOENT, "cannot list directory %s", path);
    for (size_t i = 0; i < list.count && status == ENGRAM_OK; i++)
        status = entry(context, list.names[i]);
    free(list.names);
    return status;
}

static engram_status ram_stat(eg_io *io, const char *path, uint64_t *size, uint64_t *disk_size,
                              engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    uint32_t dir;
    const char *name;
    pthread_mutex_lock(&d->mutex);
    image_entry *entry =
        image_resolve(&d->image, path, &dir, &name) ? image_find(&d->image, dir, name) : NULL;
    if (entry != NULL) {
        *size = d->image.nodes[entry->node].bytes.size;
        *disk_size = sparse_bytes_held(&d->image.nodes[entry->node].bytes);
    }
    pthread_mutex_unlock(&d->mutex);
    return entry != NULL ? ENGRAM_OK : eg_fail_os(error, ENOENT, "cannot look at %s", path);
}

void ram_names_init(eg_io *table)
{
    table->sync_dir = ram_sync_dir;
    table->rename = ram_rename;
    table->unlink = ram_unlink;
    table->mkdir = ram_mkdir;
    table->list = ram_list;
    table->stat = ram_stat;
}
