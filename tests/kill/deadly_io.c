#include "kill/deadly_io.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    eg_io table;
    eg_io *real;
    kill_point point;
    atomic_uint_fast64_t seen;
} deadly;

static const char *const calls[] = {"write", "sync",   "allocate", "truncate",
                                    "open",  "rename", "unlink",   "sync_dir"};
static const char *const places[] = {"journal",    "segments",      "tree",
                                     "checkpoint", "MANIFEST.json", "anything"};
static const char *const whens[] = {"before", "in the middle of", "after"};

const char *kill_point_text(const kill_point *p, char text[64])
{
    snprintf(text, 64, "%s %s %" PRIu64 " of %s", whens[p->when], calls[p->call], p->n,
             places[p->place]);
    return text;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool concerns(const char *path)
{
    return deadly.point.place == KILL_ANYWHERE || strstr(path, places[deadly.point.place]) != NULL;
}

/* Whether this is the call. */
static bool is_due(kill_call call, const char *path)
{
    const kill_point *p = &deadly.point;
    return p->n != 0 && p->call == call && concerns(path) &&
           atomic_fetch_add(&deadly.seen, 1) + 1 == p->n;
}

static bool begin(kill_call call, const char *path)
{
    bool due = is_due(call, path);
    if (due && deadly.point.when == KILL_BEFORE)
        die();
    return due;
}

static engram_status end(bool due, engram_status status)
{
    if (due)
        die();
    return status;
}

static engram_status deadly_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                                  size_t size, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_WRITE, eg_file_name(file));
    if (due && deadly.point.when == KILL_MIDWAY)
        size /= 2;
    return end(due, deadly.real->write(deadly.real, file, offset, bytes, size, error));
}

static engram_status deadly_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_SYNC, eg_file_name(file));
    return end(due, deadly.real->sync(deadly.real, file, error));
}

static engram_status deadly_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                     engram_error *error)
{
    (void)io;
    bool due = begin(KILL_ALLOCATE, eg_file_name(file));
    return end(due, deadly.real->allocate(deadly.real, file, offset, size, error));
}

static engram_status deadly_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_TRUNCATE, eg_file_name(file));
    return end(due, deadly.real->truncate(deadly.real, file, size, error));
}

static engram_status deadly_open(eg_io *io, const char *path, int flags, eg_file **file,
                                 engram_error *error)
{
    (void)io;
    bool due = begin(KILL_OPEN, path);
    return end(due, deadly.real->open(deadly.real, path, flags, file, error));
}

static engram_status deadly_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_RENAME, to);
    return end(due, deadly.real->rename(deadly.real, from, to, error));
}

static engram_status deadly_unlink(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_UNLINK, path);
    return end(due, deadly.real->unlink(deadly.real, path, error));
}

static engram_status deadly_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    bool due = begin(KILL_SYNC_DIR, path);
    return end(due, deadly.real->sync_dir(deadly.real, path, error));
}

eg_io *deadly_io(const kill_point *point)
{
    deadly.real = eg_io_posix();
    deadly.table = *deadly.real;
    deadly.table.write = deadly_write;
    deadly.table.sync = deadly_sync;
    deadly.table.allocate = deadly_allocate;
    deadly.table.truncate = deadly_truncate;
    deadly.table.open = deadly_open;
    deadly.table.rename = deadly_rename;
    deadly.table.unlink = deadly_unlink;
    deadly.table.sync_dir = deadly_sync_dir;
    deadly.point = *point;
    atomic_store(&deadly.seen, 0);
    return &deadly.table;
}
