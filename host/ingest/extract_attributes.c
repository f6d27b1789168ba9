/* Owner, mode, extended attributes, times: in this order, because a change of owner takes away
 * setuid bits and capabilities, and every change moves the times. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/status.h"
#include "ingest/extract_parts.h"

/* fd -1: name below dir. */
typedef struct target {
    eg_extract_run *run;
    int fd, dir;
    const char *name, *path;
    uint64_t number;
    const eg_inode *inode;
} target;

static void report(const target *t, int os_error, const char *what)
{
    engram_error why = {0};
    eg_fail_os(&why, os_error, "%s", what);
    eg_extract_issue(t->run, t->path, why.message);
}

static void set_owner(const target *t)
{
    const eg_inode *inode = t->inode;
    if (!t->run->is_superuser)
        return;
    int result = t->fd >= 0
                     ? fchown(t->fd, inode->uid, inode->gid)
                     : fchownat(t->dir, t->name, inode->uid, inode->gid, AT_SYMLINK_NOFOLLOW);
    if (result != 0)
        report(t, errno, "its owner cannot be set");
}

static void set_mode(const target *t)
{
    mode_t mode = t->inode->mode & 07777;
    if (t->inode->kind == EG_KIND_SYMLINK) /* has none */
        return;
    int result =
        t->fd >= 0 ? fchmod(t->fd, mode) : fchmodat(t->dir, t->name, mode, AT_SYMLINK_NOFOLLOW);
    if (result != 0)
        report(t, errno, "its mode cannot be set");
}

/* There is no call relative to a directory that does not follow links. */
static int set_by_name(const target *t, const char *name, eg_view value)
{
    char path[64 + EG_NAME_MAX];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", t->dir, t->name);
    return lsetxattr(path, name, value.data, value.size, 0);
}

static engram_status set_attribute(void *context, eg_view name, eg_view value, engram_error *error)
{
    const target *t = context;
    char text[EG_NAME_MAX + 1], what[EG_NAME_MAX + 64];
    (void)error;
    size_t size = name.size < EG_NAME_MAX ? name.size : EG_NAME_MAX;
    memcpy(text, name.data, size);
    text[size] = 0;
    int result = t->fd >= 0 ? fsetxattr(t->fd, text, value.data, value.size, 0)
                            : set_by_name(t, text, value);
    if (result != 0) {
        int os_error = errno;
        snprintf(what, sizeof what, "its attribute %s cannot be set", text);
        report(t, os_error, what);
    }
    return ENGRAM_OK;
}

static void set_attributes(target *t)
{
    engram_error error = {0};
    if (eg_fs_attributes(t->run->root, t->number, set_attribute, t, &error) != ENGRAM_OK)
        eg_extract_issue(t->run, t->path, error.message);
}

static void set_times(const target *t)
{
    eg_time mtime = t->inode->mtime;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {(time_t)mtime.seconds, (long)mtime.nanoseconds}};
    int result = t->fd >= 0 ? futimens(t->fd, times)
                            : utimensat(t->dir, t->name, times, AT_SYMLINK_NOFOLLOW);
    if (result != 0)
        report(t, errno, "its time cannot be set");
}

static void set_all(target *t)
{
    set_owner(t);
    set_mode(t);
    set_attributes(t);
    set_times(t);
}

void eg_extract_attributes(eg_extract_run *run, int fd, const char *path, uint64_t number,
                           const eg_inode *inode)
{
    set_all(&(target){run, fd, -1, NULL, path, number, inode});
}

void eg_extract_attributes_at(eg_extract_run *run, int dir, const char *name, const char *path,
                              uint64_t number, const eg_inode *inode)
{
    set_all(&(target){run, -1, dir, name, path, number, inode});
}
