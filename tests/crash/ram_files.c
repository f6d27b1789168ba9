/* Open files of the disk in memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crash/ram_parts.h"
#include "crash/util.h"

static op data_op(const slot *s, op_kind kind, uint64_t offset, uint64_t size)
{
    op o = {.kind = kind, .node = s->node, .offset = offset, .size = size};
    memcpy(o.name, s->name, sizeof o.name);
    o.is_lock = strcmp(s->name, "LOCK") == 0;
    return o;
}

static engram_status open_slot(ram_disk *d, uint32_t node, const char *path, const char *name,
                               eg_file **file)
{
    size_t at = 0;
    while (at < d->slot_count && d->slots[at].used)
        at++;
    d->slots = crash_grow(d->slots, &d->slot_capacity, at + 1, sizeof *d->slots);
    if (at == d->slot_count)
        d->slot_count++;
    d->slots[at] = (slot){.used = true, .node = node};
    crash_text(d->slots[at].name, sizeof d->slots[at].name, name);
    size_t size = strlen(path) + 1;
    eg_file *f = crash_alloc(sizeof *f + size);
    f->slot = (int)at;
    memcpy(f->name, path, size);
    *file = f;
    return ENGRAM_OK;
}

static engram_status open_locked(ram_disk *d, const char *path, int flags, eg_file **file,
                                 engram_error *error)
{
    uint32_t dir, node;
    const char *name;
    if (!image_resolve(&d->image, path, &dir, &name) || strlen(name) > IMAGE_NAME_MAX)
        return eg_fail_os(error, ENOENT, "cannot open %s", path);
    image_entry *entry = image_find(&d->image, dir, name);
    if (entry != NULL && (flags & EG_OPEN_CREATE))
        return eg_fail(error, ENGRAM_EXISTS, "cannot open %s: it exists already", path);
    if (entry == NULL && !(flags & (EG_OPEN_CREATE | EG_OPEN_MAY_CREATE)))
        return eg_fail_os(error, ENOENT, "cannot open %s", path);
    if (entry == NULL)
        EG_TRY(ram_make(d, dir, path, name, false, &node, error));
    else
        node = entry->node;
    if (d->image.nodes[node].is_dir)
        return eg_fail(error, ENGRAM_DAMAGED, "%s is not a regular file", path);
    return open_slot(d, node, path, name, file);
}

static engram_status ram_open(eg_io *io, const char *path, int flags, eg_file **file,
                              engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    *file = NULL;
    pthread_mutex_lock(&d->mutex);
    engram_status status = open_locked(d, path, flags, file, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_adopt(eg_io *io, int fd, const char *name, eg_file **file,
                               engram_error *error)
{
    (void)io;
    (void)fd;
    *file = NULL;
    return eg_fail(error, ENGRAM_UNSUPPORTED, "%s: a disk in memory adopts no descriptor", name);
}

static void ram_close(eg_io *io, eg_file **file)
{
    ram_disk *d = ram_disk_of(io);
    if (*file == NULL)
        return;
    pthread_mutex_lock(&d->mutex);
    d->slots[(*file)->slot] = (slot){0};
    pthread_mutex_unlock(&d->mutex);
    free(*file);
    *file = NULL;
}

static engram_status ram_read_some(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                   size_t size, size_t *got, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    (void)error;
    pthread_mutex_lock(&d->mutex);
    const sparse *s = &d->image.nodes[d->slots[file->slot].node].bytes;
    uint64_t left = offset < s->size ? s->size - offset : 0;
    *got = left < size ? (size_t)left : size;
    sparse_read(s, offset, bytes, *got);
    pthread_mutex_unlock(&d->mutex);
    return ENGRAM_OK;
}

static engram_status ram_size(eg_io *io, eg_file *file, uint64_t *size, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    (void)error;
    pthread_mutex_lock(&d->mutex);
    *size = d->image.nodes[d->slots[file->slot].node].bytes.size;
    pthread_mutex_unlock(&d->mutex);
    return ENGRAM_OK;
}

static engram_status fail_past_end(eg_io *io, eg_file *file, uint64_t offset, size_t size,
                                   engram_error *error)
{
    uint64_t end = 0, needed = size > UINT64_MAX - offset ? UINT64_MAX : offset + size;
    ram_size(io, file, &end, NULL);
    return eg_fail(error, ENGRAM_DAMAGED, "%s ends at %" PRIu64 ", needed %" PRIu64, file->name,
                   end, needed);
}

static engram_status ram_read(eg_io *io, eg_file *file, uint64_t offset, void *bytes, size_t size,
                              engram_error *error)
{
    size_t got;
    EG_TRY(ram_read_some(io, file, offset, bytes, size, &got, error));
    return got == size ? ENGRAM_OK : fail_past_end(io, file, offset, size, error);
}

static engram_status ram_read_stream(eg_io *io, eg_file *file, void *bytes, size_t size,
                                     size_t *got, engram_error *error)
{
    (void)io;
    (void)bytes;
    (void)size;
    *got = 0;
    return eg_fail(error, ENGRAM_UNSUPPORTED, "%s is no stream", file->name);
}

static bool is_reachable(uint64_t offset, uint64_t size)
{
    uint64_t max = UINT64_C(1) << SIZE_MAX_LOG2;
    return offset <= max && size <= max - offset;
}

/* One change of a file's data or size, under the lock. */
static engram_status change_file(ram_disk *d, eg_file *file, op_kind kind, uint64_t offset,
                                 const void *bytes, uint64_t size, engram_error *error)
{
    const slot *s = &d->slots[file->slot];
    sparse *to = &d->image.nodes[s->node].bytes;
    if (!is_reachable(offset, size))
        return eg_fail_os(error, EFBIG, "cannot write %s at %" PRIu64, file->name, offset);
    if (!ram_has_power(d))
        return ram_no_power(error, "write", file->name);
    if (ram_ask_liar(d, kind, s->name) != LIE_NOT)
        return ENGRAM_OK;
    op o = data_op(s, kind, offset, size);
    if (kind == OP_WRITE) {
        sparse_write(to, offset, bytes, (size_t)size);
        if (d->trace != NULL)
            o.data = memcpy(crash_alloc((size_t)size), bytes, (size_t)size);
    } else if (kind == OP_TRUNCATE) {
        sparse_resize(to, size);
    } else if (to->size < offset + size) {
        sparse_resize(to, offset + size);
    }
    ram_record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                               size_t size, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    if (size == 0)
        return ENGRAM_OK;
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_WRITE, offset, bytes, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_TRUNCATE, 0, NULL, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                  engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    if (size == 0)
        return ENGRAM_OK;
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_ALLOCATE, offset, NULL, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_sync(eg_io *io, eg_file *file, engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    pthread_mutex_lock(&d->mutex);
    op o = data_op(&d->slots[file->slot], OP_SYNC, 0, 0);
    engram_status status = ram_sync_slowly(d, o, file->name, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

/* ---- mappings and locks ---- */

static engram_status ram_map(eg_io *io, eg_file *file, uint64_t offset, size_t size,
                             const uint8_t **bytes, engram_error *error)
{
    uint64_t end;
    EG_TRY(ram_size(io, file, &end, error));
    if (offset > end || size > end - offset)
        return fail_past_end(io, file, offset, size, error);
    uint8_t *copy = NULL;
    if (posix_memalign((void **)&copy, 4096, size > 0 ? size : 1) != 0)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to map %s", file->name);
    engram_status status = ram_read(io, file, offset, copy, size, error);
    if (status != ENGRAM_OK)
        free(copy);
    else
        *bytes = copy;
    return status;
}

static void ram_unmap(eg_io *io, const uint8_t *bytes, size_t size)
{
    (void)io;
    (void)size;
    free((void *)(uintptr_t)bytes);
}

static bool is_taken(const ram_disk *d, int own, uint64_t offset, eg_lock_kind kind)
{
    for (size_t i = 0; i < d->slot_count; i++) {
        const slot *s = &d->slots[i];
        if ((int)i == own || !s->used || s->node != d->slots[own].node || s->locks[offset] == 0)
            continue;
        if (kind == EG_LOCK_EXCLUSIVE || s->locks[offset] == 1 + EG_LOCK_EXCLUSIVE)
            return true;
    }
    return false;
}

static engram_status ram_lock(eg_io *io, eg_file *file, uint64_t offset, eg_lock_kind kind,
                              engram_error *error)
{
    ram_disk *d = ram_disk_of(io);
    if (offset >= LOCK_BYTES)
        return eg_fail(error, ENGRAM_UNSUPPORTED, "no lock at %" PRIu64 " of %s", offset,
                       file->name);
    pthread_mutex_lock(&d->mutex);
    bool taken = is_taken(d, file->slot, offset, kind);
    if (!taken)
        d->slots[file->slot].locks[offset] = (uint8_t)(1 + kind);
    pthread_mutex_unlock(&d->mutex);
    return taken ? eg_fail(error, ENGRAM_LOCKED, "%s is locked by another process", file->name)
                 : ENGRAM_OK;
}

void ram_files_init(eg_io *table)
{
    table->open = ram_open;
    table->adopt = ram_adopt;
    table->close = ram_close;
    table->read = ram_read;
    table->read_some = ram_read_some;
    table->read_stream = ram_read_stream;
    table->write = ram_write;
    table->sync = ram_sync;
    table->size = ram_size;
    table->truncate = ram_truncate;
    table->allocate = ram_allocate;
    table->map = ram_map;
    table->unmap = ram_unmap;
    table->lock = ram_lock;
}
