/* The real disk: POSIX calls plus what Linux adds (fallocate, locks that belong to the open file
 * and not to the process).
 *
 * Offsets and sizes arrive as 64-bit numbers that may have been read from a damaged file. One
 * that no file can reach is past the end for a reader and EFBIG for a writer; none is passed on
 * to wrap around in an off_t. */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/map_guard.h"
#include "base/memory.h"

struct eg_file {
    int fd;
    char name[];
};

const char *eg_file_name(const eg_file *file)
{
    return file->name;
}

static bool is_reachable(uint64_t offset, uint64_t size)
{
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

/* A failure whose status does not follow from the errno alone. */
static engram_status fail_as(engram_error *error, engram_status status, int os_error,
                             const char *before, const char *name, const char *after)
{
    if (error && error->status == ENGRAM_OK) {
        eg_fail(error, status, "%s%s%s", before, name, after);
        error->os_error = os_error;
    }
    return status;
}

static engram_status posix_adopt(eg_io *io, int fd, const char *name, eg_file **file,
                                 engram_error *error)
{
    (void)io;
    *file = NULL;
    size_t name_size = strlen(name) + 1;
    eg_file *f = eg_alloc(sizeof *f + name_size);
    if (f == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to open %s", name);
    f->fd = fd;
    memcpy(f->name, name, name_size);
    *file = f;
    return ENGRAM_OK;
}

static int open_again(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static engram_status posix_open(eg_io *io, const char *path, int flags, eg_file **file,
                                engram_error *error)
{
    *file = NULL;
    /* A link, a pipe or a device in the place of a file is somebody's trick or mistake. */
    int os_flags = (flags & EG_OPEN_WRITE ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK;
    if (flags & EG_OPEN_CREATE)
        os_flags |= O_CREAT | O_EXCL;
    if (flags & EG_OPEN_MAY_CREATE)
        os_flags |= O_CREAT;
    int fd = open_again(path, os_flags);
    if (fd < 0 && errno == EEXIST)
        return fail_as(error, ENGRAM_EXISTS, EEXIST, "cannot open ", path, ": it exists already");
    if (fd < 0)
        return eg_fail_os(error, errno, "cannot open %s", path);
    struct stat about;
    engram_status status = ENGRAM_OK;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        status = eg_fail(error, ENGRAM_DAMAGED, "%s is not a regular file", path);
    if (status == ENGRAM_OK)
        status = posix_adopt(io, fd, path, file, error);
    if (status != ENGRAM_OK)
        close(fd);
    return status;
}

static void posix_close(eg_io *io, eg_file **file)
{
    (void)io;
    if (*file == NULL)
        return;
    /* Not repeated on EINTR: Linux has let go of the descriptor by then. */
    close((*file)->fd);
    eg_free(*file);
    *file = NULL;
}

static _Thread_local struct {
    bool must_not, had_to;
} waiting;

void eg_io_dont_wait(void)
{
    waiting.must_not = true;
    waiting.had_to = false;
}

bool eg_io_may_wait(void)
{
    waiting.must_not = false;
    return waiting.had_to;
}

/* EAGAIN: that would wait for the disk, or the system cannot tell. */
static ssize_t read_from_memory(int fd, void *to, size_t size, off_t offset)
{
    struct iovec part = {to, size};
    ssize_t n = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL))
        errno = EAGAIN;
    waiting.had_to |= n < 0 && errno == EAGAIN;
    return n;
}

static ssize_t read_at(int fd, void *to, size_t size, off_t offset)
{
    return waiting.must_not ? read_from_memory(fd, to, size, offset) : pread(fd, to, size, offset);
}

static engram_status posix_read_some(eg_io *io, eg_file *file, uint64_t offset, void *bytes,
                                     size_t size, size_t *got, engram_error *error)
{
    (void)io;
    uint8_t *to = bytes;
    size_t done = 0;
    *got = 0;
    if (offset > INT64_MAX)
        return ENGRAM_OK;
    if (size > INT64_MAX - offset)
        size = (size_t)(INT64_MAX - offset);
    while (done < size) {
        ssize_t n = read_at(file->fd, to + done, size - done, (off_t)(offset + done));
        if (n == 0)
            break;
        if (n < 0 && errno == EAGAIN && waiting.must_not)
            return eg_fail(error, ENGRAM_BUSY, "%s at %" PRIu64 " is not in memory", file->name,
                           offset);
        if (n < 0 && errno != EINTR)
            return eg_fail_os(error, errno, "cannot read %s at %" PRIu64, file->name, offset);
        if (n > 0)
            done += (size_t)n;
    }
    *got = done;
    return ENGRAM_OK;
}

static engram_status posix_size(eg_io *io, eg_file *file, uint64_t *size, engram_error *error)
{
    (void)io;
    struct stat about;
    if (fstat(file->fd, &about) != 0)
        return eg_fail_os(error, errno, "cannot ask for the size of %s", file->name);
    *size = (uint64_t)about.st_size;
    return ENGRAM_OK;
}

static engram_status fail_past_end(eg_file *file, uint64_t offset, size_t size, engram_error *error)
{
    uint64_t end = 0;
    uint64_t needed = size > UINT64_MAX - offset ? UINT64_MAX : offset + size;
    EG_TRY(posix_size(NULL, file, &end, error));
    return eg_fail(error, ENGRAM_DAMAGED, "%s ends at %" PRIu64 ", needed %" PRIu64, file->name,
                   end, needed);
}

static engram_status posix_read(eg_io *io, eg_file *file, uint64_t offset, void *bytes, size_t size,
                                engram_error *error)
{
    size_t got;
    EG_TRY(posix_read_some(io, file, offset, bytes, size, &got, error));
    return got == size ? ENGRAM_OK : fail_past_end(file, offset, size, error);
}

static engram_status posix_read_stream(eg_io *io, eg_file *file, void *bytes, size_t size,
                                       size_t *got, engram_error *error)
{
    (void)io;
    ssize_t n;
    *got = 0;
    do
        n = read(file->fd, bytes, size);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return eg_fail_os(error, errno, "cannot read %s", file->name);
    *got = (size_t)n;
    return ENGRAM_OK;
}

/* 0 or an errno. */
static int write_all(int fd, uint64_t offset, const uint8_t *from, size_t size)
{
    if (!is_reachable(offset, size))
        return EFBIG;
    size_t done = 0;
    while (done < size) {
        ssize_t n = pwrite(fd, from + done, size - done, (off_t)(offset + done));
        if (n == 0)
            return EIO; /* no file system does this, but it must not become an endless loop */
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static engram_status posix_write(eg_io *io, eg_file *file, uint64_t offset, const void *bytes,
                                 size_t size, engram_error *error)
{
    (void)io;
    int os_error = write_all(file->fd, offset, bytes, size);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot write %s at %" PRIu64, file->name, offset);
    return ENGRAM_OK;
}

static void posix_start_writing(eg_io *io, eg_file *file, uint64_t offset, uint64_t size)
{
    (void)io;
    sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static engram_status posix_sync(eg_io *io, eg_file *file, engram_error *error)
{
    (void)io;
    int result;
    do
        result = fdatasync(file->fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? ENGRAM_OK : eg_fail_os(error, errno, "cannot sync %s", file->name);
}

/* 0 or an errno. */
static int set_size(int fd, uint64_t size)
{
    if (!is_reachable(size, 0))
        return EFBIG;
    while (ftruncate(fd, (off_t)size) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

static engram_status posix_truncate(eg_io *io, eg_file *file, uint64_t size, engram_error *error)
{
    (void)io;
    int os_error = set_size(file->fd, size);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot set the size of %s to %" PRIu64, file->name,
                          size);
    return ENGRAM_OK;
}

/* 0 or an errno. */
static int reserve(int fd, uint64_t offset, uint64_t size)
{
    if (!is_reachable(offset, size))
        return EFBIG;
    while (fallocate(fd, 0, (off_t)offset, (off_t)size) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

/* Where the file system cannot reserve, at least the size is as promised. 0 or an errno. */
static int extend(int fd, uint64_t end)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return errno;
    return (uint64_t)about.st_size < end ? set_size(fd, end) : 0;
}

static engram_status posix_allocate(eg_io *io, eg_file *file, uint64_t offset, uint64_t size,
                                    engram_error *error)
{
    (void)io;
    if (size == 0)
        return ENGRAM_OK;
    int os_error = reserve(file->fd, offset, size);
    if (os_error == EOPNOTSUPP || os_error == ENOSYS)
        os_error = extend(file->fd, offset + size);
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot reserve %" PRIu64 " bytes in %s at %" PRIu64,
                          size, file->name, offset);
    return ENGRAM_OK;
}

static engram_status posix_sync_dir(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    int fd = open_again(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return eg_fail_os(error, errno, "cannot sync directory %s", path);
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    int os_error = result == 0 ? 0 : errno;
    close(fd);
    return os_error == 0 ? ENGRAM_OK
                         : eg_fail_os(error, os_error, "cannot sync directory %s", path);
}

static engram_status posix_rename(eg_io *io, const char *from, const char *to, engram_error *error)
{
    (void)io;
    if (rename(from, to) != 0)
        return eg_fail_os(error, errno, "cannot rename %s to %s", from, to);
    return ENGRAM_OK;
}

static engram_status posix_unlink(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    return unlink(path) == 0 ? ENGRAM_OK : eg_fail_os(error, errno, "cannot remove %s", path);
}

static engram_status posix_mkdir(eg_io *io, const char *path, engram_error *error)
{
    (void)io;
    if (mkdir(path, 0777) == 0)
        return ENGRAM_OK;
    if (errno == EEXIST)
        return fail_as(error, ENGRAM_EXISTS, EEXIST, "cannot create directory ", path,
                       ": it exists already");
    return eg_fail_os(error, errno, "cannot create directory %s", path);
}

static engram_status posix_list(eg_io *io, const char *path,
                                engram_status (*entry)(void *context, const char *name),
                                void *context, engram_error *error)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return eg_fail_os(error, errno, "cannot list directory %s", path);
    engram_status status = ENGRAM_OK;
    while (status == ENGRAM_OK) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (d == NULL) {
            if (errno != 0)
                status = eg_fail_os(error, errno, "cannot list directory %s", path);
            break;
        }
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            status = entry(context, d->d_name);
    }
    closedir(dir);
    return status;
}

static engram_status posix_stat(eg_io *io, const char *path, uint64_t *size, uint64_t *disk_size,
                                engram_error *error)
{
    (void)io;
    struct stat about;
    if (stat(path, &about) != 0)
        return eg_fail_os(error, errno, "cannot look at %s", path);
    *size = (uint64_t)about.st_size;
    *disk_size = (uint64_t)about.st_blocks * 512;
    return ENGRAM_OK;
}

static engram_status posix_map(eg_io *io, eg_file *file, uint64_t offset, size_t size,
                               const uint8_t **bytes, engram_error *error)
{
    uint64_t end;
    EG_TRY(posix_size(io, file, &end, error));
    /* Touching a page past the end would kill the process: refuse it while it can be told. */
    if (!is_reachable(offset, size) || offset + size > end)
        return fail_past_end(file, offset, size, error);
    void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, file->fd, (off_t)offset);
    if (at == MAP_FAILED)
        return eg_fail_os(error, errno, "cannot map %zu bytes of %s at %" PRIu64, size, file->name,
                          offset);
    engram_status status = eg_map_guard_add(at, size, error);
    if (status != ENGRAM_OK) {
        munmap(at, size);
        return status;
    }
    *bytes = at;
    return ENGRAM_OK;
}

static void posix_unmap(eg_io *io, const uint8_t *bytes, size_t size)
{
    (void)io;
    eg_map_guard_remove(bytes);
    if (bytes)
        munmap((void *)(uintptr_t)bytes, size);
}

static engram_status posix_lock(eg_io *io, eg_file *file, uint64_t offset, eg_lock_kind kind,
                                engram_error *error)
{
    (void)io;
    struct flock lock = {.l_type = kind == EG_LOCK_SHARED ? F_RDLCK : F_WRLCK,
                         .l_whence = SEEK_SET,
                         .l_start = (off_t)offset,
                         .l_len = 1};
    int os_error = fcntl(file->fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
    if (os_error == EAGAIN || os_error == EACCES)
        return fail_as(error, ENGRAM_LOCKED, os_error, "", file->name,
                       " is locked by another process");
    if (os_error != 0)
        return eg_fail_os(error, os_error, "cannot lock %s", file->name);
    return ENGRAM_OK;
}

static engram_status posix_space(eg_io *io, const char *path, uint64_t *unused, uint64_t *total, engram_error *error)
{
    struct statvfs about;
    (void)io;
    if (statvfs(path, &about) != 0)
        return eg_fail_os(error, errno, "cannot see how much room there is at %s", path);
    *unused = (uint64_t)about.f_bavail * about.f_frsize;
    *total = (uint64_t)about.f_blocks * about.f_frsize;
    return ENGRAM_OK;
}

eg_io *eg_io_posix(void)
{
    static eg_io posix = {
        .open = posix_open,
        .adopt = posix_adopt,
        .close = posix_close,
        .read = posix_read,
        .read_some = posix_read_some,
        .read_stream = posix_read_stream,
        .write = posix_write,
        .start_writing = posix_start_writing,
    .sync = posix_sync,
        .size = posix_size,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .sync_dir = posix_sync_dir,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .list = posix_list,
        .stat = posix_stat,
        .space = posix_space,
        .map = posix_map,
        .unmap = posix_unmap,
        .lock = posix_lock,
    };
    return &posix;
}
