#include "crash/ram_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/util.h"

/* As the real disk has it (base/io_posix.c), since eg_file_name reads the name. */
struct eg_file {
    int slot;
    char name[];
};

enum { LOCK_BYTES = 4, SIZE_MAX_LOG2 = 36, LATE_MAX = 16 };

typedef struct slot {
    bool used;
    uint32_t node;
    char name[IMAGE_NAME_MAX + 1];
    uint8_t locks[LOCK_BYTES]; /* 0, or 1 + eg_lock_kind */
} slot;

struct ram_disk {
    eg_io table; /* first, so that a table is its disk */
    pthread_mutex_t mutex;
    image image;
    slot *slots;
    size_t slot_count, slot_capacity;
    trace *trace;
    uint64_t seen, cut_at; /* operations since cut_at was set */
    bool off;
    ram_disk_liar *liar;
    void *liar_context;
    op late[LATE_MAX];
    size_t late_count;
};

static ram_disk *disk_of(eg_io *io)
{
    return (ram_disk *)io;
}

/* ---- recording ---- */

/* Whether the power is still on for one more operation. */
static bool has_power(ram_disk *d)
{
    if (d->cut_at != 0 && ++d->seen >= d->cut_at)
        d->off = true;
    return !d->off;
}

static lie ask_liar(ram_disk *d, op_kind kind, const char *name)
{
    return d->liar != NULL ? d->liar(d->liar_context, kind, name) : LIE_NOT;
}

static void record(ram_disk *d, op o)
{
    if (d->trace != NULL) {
        trace_add(d->trace, o);
        return;
    }
    free(o.data);
    free(o.text);
}

static void record_sync(ram_disk *d, op o)
{
    lie l = ask_liar(d, o.kind, o.name);
    if (l == LIE_LATE && d->late_count < LATE_MAX)
        d->late[d->late_count++] = o;
    if (l != LIE_NOT)
        return;
    record(d, o);
    for (size_t i = 0; i < d->late_count; i++)
        record(d, d->late[i]);
    d->late_count = 0;
}

static op data_op(const slot *s, op_kind kind, uint64_t offset, uint64_t size)
{
    op o = {.kind = kind, .node = s->node, .offset = offset, .size = size};
    memcpy(o.name, s->name, sizeof o.name);
    o.is_lock = strcmp(s->name, "LOCK") == 0;
    return o;
}

static engram_status no_power(engram_error *error, const char *what, const char *name)
{
    return eg_fail_os(error, EIO, "cannot %s %s (power cut)", what, name);
}

/* ---- files ---- */

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

static engram_status make(ram_disk *d, uint32_t dir, const char *path, const char *name,
                          bool is_dir, uint32_t *node, engram_error *error)
{
    if (!has_power(d))
        return no_power(error, "make", path);
    *node = (uint32_t)d->image.node_count;
    image_add_node(&d->image, *node, is_dir);
    image_link(&d->image, dir, name, *node);
    op o = {.kind = OP_MAKE, .is_dir = is_dir, .node = *node, .dir = dir};
    crash_text(o.name, sizeof o.name, name);
    record(d, o);
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
        EG_TRY(make(d, dir, path, name, false, &node, error));
    else
        node = entry->node;
    if (d->image.nodes[node].is_dir)
        return eg_fail(error, ENGRAM_DAMAGED, "%s is not a regular file", path);
    return open_slot(d, node, path, name, file);
}

static engram_status ram_open(eg_io *io, const char *path, int flags, eg_file **file,
                              engram_error *error)
{
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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
    if (!has_power(d))
        return no_power(error, "write", file->name);
    if (ask_liar(d, kind, s->name) != LIE_NOT)
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
    record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                               size_t size, engram_error *error)
{
    ram_disk *d = disk_of(io);
    if (size == 0)
        return ENGRAM_OK;
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_WRITE, offset, bytes, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    ram_disk *d = disk_of(io);
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_TRUNCATE, 0, NULL, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                  engram_error *error)
{
    ram_disk *d = disk_of(io);
    if (size == 0)
        return ENGRAM_OK;
    pthread_mutex_lock(&d->mutex);
    engram_status status = change_file(d, file, OP_ALLOCATE, offset, NULL, size, error);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

static engram_status ram_sync(eg_io *io, eg_file *file, engram_error *error)
{
    ram_disk *d = disk_of(io);
    engram_status status = ENGRAM_OK;
    pthread_mutex_lock(&d->mutex);
    if (has_power(d))
        record_sync(d, data_op(&d->slots[file->slot], OP_SYNC, 0, 0));
    else
        status = no_power(error, "sync", file->name);
    pthread_mutex_unlock(&d->mutex);
    return status;
}

/* ---- names ---- */

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
    if (!has_power(d))
        return no_power(error, "sync directory", path);
    crash_text(o.name, sizeof o.name, name);
    record_sync(d, o);
    return ENGRAM_OK;
}

static engram_status ram_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = disk_of(io);
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
    if (!has_power(d))
        return no_power(error, "rename", from);
    if (o.dir == o.to_dir && strcmp(from_name, to_name) == 0)
        return ENGRAM_OK;
    if (ask_liar(d, OP_RENAME, to_name) != LIE_NOT)
        return ENGRAM_OK;
    o.node = entry->node;
    crash_text(o.name, sizeof o.name, from_name);
    crash_text(o.to, sizeof o.to, to_name);
    image_link(&d->image, o.to_dir, o.to, o.node);
    image_unlink(&d->image, o.dir, o.name);
    record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    ram_disk *d = disk_of(io);
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
    if (!has_power(d))
        return no_power(error, "remove", path);
    if (ask_liar(d, OP_UNLINK, name) != LIE_NOT)
        return ENGRAM_OK;
    o.node = entry->node;
    crash_text(o.name, sizeof o.name, name);
    image_unlink(&d->image, o.dir, o.name);
    record(d, o);
    return ENGRAM_OK;
}

static engram_status ram_unlink(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = disk_of(io);
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
    return make(d, dir, path, name, true, &node, error);
}

static engram_status ram_mkdir(eg_io *io, const char *path, engram_error *error)
{
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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
    ram_disk *d = disk_of(io);
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

/* ---- the disk itself ---- */

static const eg_io ram_table = {
    .open = ram_open,
    .adopt = ram_adopt,
    .close = ram_close,
    .read = ram_read,
    .read_some = ram_read_some,
    .read_stream = ram_read_stream,
    .write = ram_write,
    .sync = ram_sync,
    .size = ram_size,
    .truncate = ram_truncate,
    .allocate = ram_allocate,
    .sync_dir = ram_sync_dir,
    .rename = ram_rename,
    .unlink = ram_unlink,
    .mkdir = ram_mkdir,
    .list = ram_list,
    .stat = ram_stat,
    .map = ram_map,
    .unmap = ram_unmap,
    .lock = ram_lock,
};

ram_disk *ram_disk_create(image *contents)
{
    ram_disk *d = crash_alloc(sizeof *d);
    *d = (ram_disk){.table = ram_table, .mutex = PTHREAD_MUTEX_INITIALIZER, .image = *contents};
    *contents = (image){0};
    return d;
}

void ram_disk_free(ram_disk *disk)
{
    if (disk == NULL)
        return;
    image_fini(&disk->image);
    free(disk->slots);
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

eg_io *ram_disk_io(ram_disk *disk)
{
    return &disk->table;
}

image ram_disk_copy(ram_disk *disk)
{
    pthread_mutex_lock(&disk->mutex);
    image i = image_copy(&disk->image);
    pthread_mutex_unlock(&disk->mutex);
    return i;
}

void ram_disk_record(ram_disk *disk, trace *t)
{
    pthread_mutex_lock(&disk->mutex);
    disk->trace = t;
    pthread_mutex_unlock(&disk->mutex);
}

size_t ram_disk_mark(ram_disk *disk, const char *text)
{
    size_t index = 0;
    pthread_mutex_lock(&disk->mutex);
    if (disk->trace != NULL) {
        index = disk->trace->count;
        trace_add(disk->trace, (op){.kind = OP_MARK, .text = strdup(text)});
    }
    pthread_mutex_unlock(&disk->mutex);
    return index;
}

void ram_disk_cut_at(ram_disk *disk, uint64_t n)
{
    pthread_mutex_lock(&disk->mutex);
    disk->seen = 0;
    disk->cut_at = n;
    pthread_mutex_unlock(&disk->mutex);
}

bool ram_disk_is_off(ram_disk *disk)
{
    pthread_mutex_lock(&disk->mutex);
    bool off = disk->off;
    pthread_mutex_unlock(&disk->mutex);
    return off;
}

/* The platter as it is after the whole trace. */
static void platter_at_end(platter *p, const trace *t)
{
    platter_init(p, t);
    while (p->step < t->count)
        platter_advance(p);
}

bool ram_disk_restart(ram_disk *disk, const char *choices_text)
{
    platter p;
    pthread_mutex_lock(&disk->mutex);
    platter_at_end(&p, disk->trace);
    choice *choices = crash_alloc((p.pending_count + 1) * sizeof *choices);
    bool fits = choices_parse(choices_text, choices, p.pending_count);
    if (fits) {
        image_fini(&disk->image);
        disk->image = platter_cut(&p, choices);
        trace_add(disk->trace, (op){.kind = OP_CUT, .text = strdup(choices_text)});
        disk->off = false;
        disk->cut_at = 0;
    }
    pthread_mutex_unlock(&disk->mutex);
    free(choices);
    platter_fini(&p);
    return fits;
}

size_t ram_disk_pending(ram_disk *disk)
{
    platter p;
    pthread_mutex_lock(&disk->mutex);
    platter_at_end(&p, disk->trace);
    size_t count = p.pending_count;
    pthread_mutex_unlock(&disk->mutex);
    platter_fini(&p);
    return count;
}

void ram_disk_lie(ram_disk *disk, ram_disk_liar *liar, void *context)
{
    pthread_mutex_lock(&disk->mutex);
    disk->liar = liar;
    disk->liar_context = context;
    pthread_mutex_unlock(&disk->mutex);
}
