/* LOCK: who may write, and who is reading.
 *
 * Byte 0 is held exclusively by the one writing process, whose pid is the file's text. Byte 1 is
 * held shared by every read-only opener; the writer takes it exclusively for the moment in which it
 * removes files, and lets them lie while a reader is there. Open-file-description locks: they end
 * with the process. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "engram/internal.h"

enum { WRITER_BYTE = 0, READER_BYTE = 1, PID_OFFSET = 2 };

static engram_status open_lock(eg_io *io, const char *dir, int flags, eg_file **lock,
                               engram_error *error)
{
    char *path = eg_path_join(dir, "LOCK");
    if (path == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory");
    engram_status status = io->open(io, path, flags, lock, error);
    eg_free(path);
    return status;
}

static engram_status locked_by(eg_io *io, const char *dir, eg_file *lock, engram_error *error)
{
    char pid[24] = {0};
    size_t got = 0;
    if (io->read_some(io, lock, PID_OFFSET, pid, sizeof pid - 1, &got, NULL) != ENGRAM_OK ||
        got == 0)
        snprintf(pid, sizeof pid, "?");
    pid[strcspn(pid, "\n")] = 0;
    return eg_fail(error, ENGRAM_LOCKED,
                   "%s is being written by process %s: wait for it, or open it read-only", dir,
                   pid);
}

engram_status eg_lock_writer(eg_io *io, const char *dir, eg_file **lock, engram_error *error)
{
    EG_TRY(open_lock(io, dir, EG_OPEN_WRITE | EG_OPEN_MAY_CREATE, lock, error));
    engram_status status = io->lock(io, *lock, WRITER_BYTE, EG_LOCK_EXCLUSIVE, NULL);
    if (status == ENGRAM_OK) {
        char text[32];
        int size = snprintf(text, sizeof text, "\n\n%ld\n", (long)getpid());
        status = io->truncate(io, *lock, 0, error);
        if (status == ENGRAM_OK)
            status = io->write(io, *lock, 0, text, (size_t)size, error);
    } else if (status == ENGRAM_LOCKED) {
        status = locked_by(io, dir, *lock, error);
    } else {
        eg_fail(error, status, "cannot lock %s/LOCK", dir);
    }
    if (status != ENGRAM_OK)
        io->close(io, lock);
    return status;
}

engram_status eg_lock_reader(eg_io *io, const char *dir, eg_file **lock, engram_error *error)
{
    enum { TRIES = 500 }; /* the writer holds the byte for moments only */
    engram_error inner = {0};
    engram_status status = open_lock(io, dir, EG_OPEN_READ, lock, &inner);
    if (status == ENGRAM_NOT_FOUND) /* a copy on read-only media: nobody writes there */
        return ENGRAM_OK;
    if (status != ENGRAM_OK)
        return eg_fail(error, status, "%s", inner.message);
    for (int i = 0; i < TRIES; i++) {
        status = io->lock(io, *lock, READER_BYTE, EG_LOCK_SHARED, NULL);
        if (status != ENGRAM_LOCKED)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (status != ENGRAM_OK) {
        io->close(io, lock);
        return eg_fail(error, status, "cannot take a reader's lock on %s/LOCK", dir);
    }
    return ENGRAM_OK;
}

engram_status eg_lock_against_readers(eg_io *io, const char *dir, eg_file **lock,
                                      engram_error *error)
{
    EG_TRY(open_lock(io, dir, EG_OPEN_WRITE, lock, error));
    engram_status status = io->lock(io, *lock, READER_BYTE, EG_LOCK_EXCLUSIVE, NULL);
    if (status != ENGRAM_OK)
        io->close(io, lock);
    return status;
}
