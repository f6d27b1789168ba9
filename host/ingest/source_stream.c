/* A descriptor read to its end as one file: standard input, a pipe, a file opened elsewhere. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/status.h"
#include "ingest/source_parts.h"

typedef struct stream_source {
    eg_source source;
    eg_io *io;
    eg_file *file;
    eg_buffer path;
    bool given;
} stream_source;

static engram_status stream_next(eg_source *source, eg_entry *entry, engram_error *error)
{
    stream_source *s = (stream_source *)source;
    (void)error;
    if (s->given)
        return ENGRAM_NOT_FOUND;
    s->given = true;
    uint64_t now = eg_clock_wall_ns();
    *entry = (eg_entry){.path = eg_path_view(&s->path), .link_count = 1};
    entry->inode = (eg_inode){.kind = EG_KIND_FILE, .mode = 0644, .uid = getuid(), .gid = getgid()};
    entry->inode.mtime = (eg_time){(int64_t)(now / 1000000000u), (uint32_t)(now % 1000000000u)};
    return ENGRAM_OK;
}

static engram_status stream_read(eg_source *source, void *bytes, size_t size, size_t *got,
                                 engram_error *error)
{
    stream_source *s = (stream_source *)source;
    *got = 0;
    for (size_t n = 1; n != 0 && *got < size; *got += n)
        EG_TRY(s->io->read_stream(s->io, s->file, (uint8_t *)bytes + *got, size - *got, &n, error));
    return ENGRAM_OK;
}

static engram_status stream_finish(eg_source *source, eg_inode *inode, bool *changed, bool *again,
                                   engram_error *error)
{
    (void)source, (void)inode, (void)error;
    *changed = *again = false;
    return ENGRAM_OK;
}

static void stream_close(eg_source *source)
{
    stream_source *s = (stream_source *)source;
    s->io->close(s->io, &s->file);
    eg_buffer_fini(&s->path);
    eg_free(s);
}

/* A descriptor of its own: the caller's stays the caller's. */
static engram_status adopt_copy(stream_source *s, int fd, const char *path, engram_error *error)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return eg_fail_os(error, errno, "cannot read %s", path);
    engram_status status = s->io->adopt(s->io, copy, path, &s->file, error);
    if (status != ENGRAM_OK)
        close(copy);
    return status;
}

engram_status eg_source_open_stream(eg_io *io, int fd, const char *path,
                                    const eg_source_options *options, eg_source **source,
                                    engram_error *error)
{
    (void)options;
    *source = NULL;
    stream_source *s = eg_alloc_zero(1, sizeof *s);
    if (s == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to read %s", path);
    s->source = (eg_source){stream_next, stream_read, stream_finish, stream_close};
    s->io = io;
    engram_status status = eg_stored_path(path, &s->path, error);
    if (status == ENGRAM_OK)
        status = adopt_copy(s, fd, path, error);
    if (status != ENGRAM_OK) {
        stream_close(&s->source);
        return status;
    }
    *source = &s->source;
    return ENGRAM_OK;
}
