#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crash/ram_parts.h"
#include "crash/util.h"

/* ---- recording ---- */

bool ram_has_power(ram_disk *d)
{
    if (d->cut_at != 0 && ++d->seen >= d->cut_at)
        d->off = true;
    return !d->off;
}

lie ram_ask_liar(ram_disk *d, op_kind kind, const char *name)
{
    return d->liar != NULL ? d->liar(d->liar_context, kind, name) : LIE_NOT;
}

void ram_record(ram_disk *d, op o)
{
    if (d->trace != NULL) {
        trace_add(d->trace, o);
        return;
    }
    free(o.data);
    free(o.text);
}

void ram_record_sync(ram_disk *d, op o)
{
    lie l = ram_ask_liar(d, o.kind, o.name);
    if (l == LIE_LATE && d->late_count < LATE_MAX)
        d->late[d->late_count++] = o;
    if (l != LIE_NOT)
        return;
    ram_record(d, o);
    for (size_t i = 0; i < d->late_count; i++)
        ram_record(d, d->late[i]);
    d->late_count = 0;
}

engram_status ram_no_power(engram_error *error, const char *what, const char *name)
{
    return eg_fail_os(error, EIO, "cannot %s %s (power cut)", what, name);
}

engram_status ram_sync_slowly(ram_disk *d, op o, const char *path, engram_error *error)
{
    if (!ram_has_power(d))
        return ram_no_power(error, "sync", path);
    o.until = d->trace != NULL ? d->trace->count : 0;
    if (d->sync_us > 0) {
        pthread_mutex_unlock(&d->mutex);
        nanosleep(&(struct timespec){.tv_nsec = (long)d->sync_us * 1000}, NULL);
        pthread_mutex_lock(&d->mutex);
    }
    if (d->off)
        return ram_no_power(error, "sync", path);
    ram_record_sync(d, o);
    return ENGRAM_OK;
}

engram_status ram_make(ram_disk *d, uint32_t dir, const char *path, const char *name, bool is_dir,
                       uint32_t *node, engram_error *error)
{
    if (!ram_has_power(d))
        return ram_no_power(error, "make", path);
    *node = (uint32_t)d->image.node_count;
    image_add_node(&d->image, *node, is_dir);
    image_link(&d->image, dir, name, *node);
    op o = {.kind = OP_MAKE, .is_dir = is_dir, .node = *node, .dir = dir};
    crash_text(o.name, sizeof o.name, name);
    ram_record(d, o);
    return ENGRAM_OK;
}

/* ---- the disk itself ---- */

ram_disk *ram_disk_create(image *contents)
{
    ram_disk *d = crash_alloc(sizeof *d);
    *d = (ram_disk){.mutex = PTHREAD_MUTEX_INITIALIZER, .image = *contents};
    *contents = (image){0};
    ram_files_init(&d->table);
    ram_names_init(&d->table);
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

void ram_disk_go_on(ram_disk *disk)
{
    pthread_mutex_lock(&disk->mutex);
    disk->off = false;
    disk->cut_at = 0;
    pthread_mutex_unlock(&disk->mutex);
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

void ram_disk_slow_down(ram_disk *disk, unsigned sync_us)
{
    pthread_mutex_lock(&disk->mutex);
    disk->sync_us = sync_us;
    pthread_mutex_unlock(&disk->mutex);
}

void ram_disk_lie(ram_disk *disk, ram_disk_liar *liar, void *context)
{
    pthread_mutex_lock(&disk->mutex);
    disk->liar = liar;
    disk->liar_context = context;
    pthread_mutex_unlock(&disk->mutex);
}
