/* Reaching names below the output directory, and nothing outside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"
#include "ingest/extract_parts.h"

enum { FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, RETRIES = 16 };

static int open_resolved(int top, const char *path)
{
    struct open_how how = {
        .flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = -1;
    for (int i = 0; i < RETRIES; i++) { /* EAGAIN: something else was renamed meanwhile */
        fd = (int)syscall(SYS_openat2, top, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return fd;
}

/* Component by component: for kernels without openat2, and for paths longer than one call takes. */
static int open_by_steps(int top, const char *path)
{
    int fd = top;
    while (*path != 0) {
        char name[NAME_MAX + 1];
        size_t size = strcspn(path, "/");
        if (size == 0 || size > NAME_MAX) {
            errno = EINVAL;
            size = 0;
        } else {
            memcpy(name, path, size);
        }
        name[size] = 0;
        int next = size != 0 ? openat(fd, name, FLAGS) : -1, os_error = errno;
        if (fd != top)
            close(fd);
        if (next < 0) {
            errno = os_error;
            return -1;
        }
        fd = next;
        path += size + (path[size] == '/');
    }
    return fd;
}

int eg_open_beneath(int top, const char *path)
{
    if (*path == 0)
        return fcntl(top, F_DUPFD_CLOEXEC, 0);
    int fd = strlen(path) < PATH_MAX ? open_resolved(top, path) : -1;
    if (fd < 0 && (strlen(path) >= PATH_MAX || errno == ENOSYS || errno == EPERM))
        fd = open_by_steps(top, path);
    return fd;
}

bool eg_extract_may_replace(eg_extract_run *run, int dir, const char *name, engram_error *error)
{
    struct stat about;
    if (fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(about.st_mode))
        eg_fail(error, ENGRAM_EXISTS, "a directory is there already");
    else if (!run->options->overwrite)
        eg_fail(error, ENGRAM_EXISTS, "exists already; not replaced");
    else
        return true;
    return false;
}

bool eg_extract_make_way(eg_extract_run *run, int dir, const char *name, engram_error *error)
{
    if (!eg_extract_may_replace(run, dir, name, error))
        return false;
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return true;
    eg_extract_refuse(error, errno, "what is there already cannot be removed");
    return false;
}
