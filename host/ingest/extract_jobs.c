/* Jobs: one name each, anything but a directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/extract_parts.h"

enum { JOBS_AT_ONCE = 1024, LARGE_SIZE = 4 << 20 };

static const char *job_name(const eg_extract_run *run, const eg_job *job)
{
    return (const char *)run->job_names.data + job->name;
}

/* ---- several names of one inode ---- */

/* True: this job is the one that makes it. Else a name for it is there already. */
static engram_status claim(eg_extract_run *run, uint64_t number, const char *path, bool *claimed,
                           engram_error *error)
{
    *claimed = false;
    pthread_mutex_lock(&run->lock);
    uint64_t *first = eg_number_map_at(&run->links, number);
    if (first != NULL && *first == 0) {
        *claimed = true;
        *first = run->link_paths.size + 1;
        eg_write_bytes(&run->link_paths, path, strlen(path) + 1);
    }
    bool failed = first == NULL || run->link_paths.failed;
    pthread_mutex_unlock(&run->lock);
    return failed ? eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a hard link") : ENGRAM_OK;
}

/* It could not be made under that name; the next one may try. */
static void disclaim(eg_extract_run *run, uint64_t number)
{
    pthread_mutex_lock(&run->lock);
    uint64_t *first = eg_number_map_at(&run->links, number);
    if (first != NULL)
        *first = 0;
    pthread_mutex_unlock(&run->lock);
}

static int link_once(const eg_extract_run *run, const char *first, int dir, const char *name)
{
    char above[EG_PATH_MAX + 1];
    const char *slash = strrchr(first, '/');
    size_t size = slash != NULL ? (size_t)(slash - first) : 0;
    if (size > EG_PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(above, first, size);
    above[size] = 0;
    int from = eg_open_beneath(run->top, above);
    if (from < 0)
        return -1;
    int result = linkat(from, slash != NULL ? slash + 1 : first, dir, name, 0), os_error = errno;
    close(from);
    errno = os_error;
    return result;
}

static engram_status make_link(eg_extract_run *run, const char *first, int dir, const char *name,
                               engram_error *error)
{
    int result = link_once(run, first, dir, name);
    if (result != 0 && errno == EEXIST) {
        if (!eg_extract_make_way(run, dir, name, error))
            return error->status;
        result = link_once(run, first, dir, name);
    }
    return result == 0 ? ENGRAM_OK
                       : eg_extract_refuse(error, errno, "the hard link cannot be made");
}

/* ---- one inode ---- */

/* A file that replaces another grows under this name, and takes the other's when it is whole. */
typedef struct eg_new_file {
    int fd;
    bool replaces;
    char temporary[48];
} eg_new_file;

static engram_status create(eg_extract_run *run, const eg_job *job, eg_new_file *out,
                            engram_error *error)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const char *name = job_name(run, job);
    out->replaces = false;
    out->fd = openat(job->dir->fd, name, flags, 0600);
    if (out->fd < 0 && errno == EEXIST) {
        if (!eg_extract_may_replace(run, job->dir->fd, name, error))
            return error->status;
        snprintf(out->temporary, sizeof out->temporary, ".engram-%ld-%llu", (long)getpid(),
                 (unsigned long long)job->number);
        out->replaces = true;
        out->fd = openat(job->dir->fd, out->temporary, flags, 0600);
    }
    return out->fd >= 0 ? ENGRAM_OK : eg_extract_refuse(error, errno, "cannot be created");
}

static engram_status fill(eg_extract_run *run, eg_out_worker *worker, const char *path,
                          uint64_t number, const eg_inode *inode, int fd, engram_error *error)
{
    eg_file *file = NULL;
    engram_status status = run->io->adopt(run->io, fd, path, &file, error);
    if (status != ENGRAM_OK) {
        close(fd);
        return status;
    }
    status = worker != NULL ? eg_extract_content(run, worker, number, inode, file, error)
                            : eg_extract_large_content(run, number, inode, file, error);
    if (status == ENGRAM_OK)
        eg_extract_attributes(run, fd, path, number, inode);
    run->io->close(run->io, &file);
    return status;
}

/* worker NULL: by all of them. */
static engram_status make_file(eg_extract_run *run, eg_out_worker *worker, const eg_job *job,
                               const char *path, const eg_inode *inode, engram_error *error)
{
    eg_new_file new;
    EG_TRY(create(run, job, &new, error));
    int dir = job->dir->fd;
    const char *final = job_name(run, job), *made = new.replaces ? new.temporary : final;
    engram_status status = fill(run, worker, path, job->number, inode, new.fd, error);
    if (status == ENGRAM_OK && new.replaces && renameat(dir, made, dir, final) != 0)
        status = eg_extract_refuse(error, errno, "the file that is there cannot be replaced");
    if (status != ENGRAM_OK)
        unlinkat(dir, made, 0); /* half a file is worse than none */
    return status;
}

static int make_node(const eg_inode *inode, int dir, const char *name)
{
    char target[EG_PATH_MAX + 1];
    switch (inode->kind) {
    case EG_KIND_SYMLINK:
        memcpy(target, inode->target.data, inode->target.size);
        target[inode->target.size] = 0;
        return symlinkat(target, dir, name);
    case EG_KIND_FIFO:
        return mknodat(dir, name, S_IFIFO | 0600, 0);
    default:
        return mknodat(dir, name, (inode->kind == EG_KIND_CHAR_DEVICE ? S_IFCHR : S_IFBLK) | 0600,
                       (dev_t)inode->device);
    }
}

static engram_status make_other(eg_extract_run *run, const eg_job *job, const char *path,
                                const eg_inode *inode, engram_error *error)
{
    const char *name = job_name(run, job);
    int dir = job->dir->fd;
    if (inode->kind == EG_KIND_SYMLINK &&
        (inode->target.size == 0 || inode->target.size > EG_PATH_MAX ||
         memchr(inode->target.data, 0, inode->target.size) != NULL))
        return eg_fail(error, ENGRAM_DAMAGED, "a symbolic link without a proper target");
    int result = make_node(inode, dir, name);
    if (result != 0 && errno == EEXIST) {
        if (!eg_extract_make_way(run, dir, name, error))
            return error->status;
        result = make_node(inode, dir, name);
    }
    if (result != 0)
        return eg_extract_refuse(error, errno, "cannot be created");
    eg_extract_attributes_at(run, dir, name, path, job->number, inode);
    return ENGRAM_OK;
}

static void count(eg_extract_run *run, const eg_inode *inode, bool is_large)
{
    pthread_mutex_lock(&run->lock);
    run->stats.entries++;
    run->stats.files += inode->kind == EG_KIND_FILE;
    if (inode->kind == EG_KIND_FILE && !is_large) /* a large one counted itself on the way */
        run->stats.bytes += inode->size;
    pthread_mutex_unlock(&run->lock);
}

static engram_status get_inode(eg_extract_run *run, eg_out_worker *worker, uint64_t number,
                               eg_inode *inode, engram_error *error)
{
    eg_buffer_clear(&worker->inode);
    engram_status status = eg_fs_get(run->root, number, inode, &worker->inode, error);
    if (status == ENGRAM_NOT_FOUND || (status == ENGRAM_OK && inode->kind == EG_KIND_DIRECTORY))
        return eg_fail(error, ENGRAM_DAMAGED, "its record is not there; run engram verify");
    if (status == ENGRAM_IO)
        return error->status = ENGRAM_DAMAGED;
    return status;
}

static engram_status make_inode(eg_extract_run *run, eg_out_worker *worker, eg_job *job,
                                const char *path, engram_error *error)
{
    eg_inode inode;
    EG_TRY(get_inode(run, worker, job->number, &inode, error));
    bool is_large =
             inode.kind == EG_KIND_FILE && inode.size >= LARGE_SIZE && eg_pool_width(run->pool) > 1,
         shared = inode.link_count > 1;
    job->is_file = inode.kind == EG_KIND_FILE;
    if (shared && job->rest != EG_JOB_LARGE) {
        bool claimed;
        EG_TRY(claim(run, job->number, path, &claimed, error));
        if (!claimed) {
            job->rest = EG_JOB_LINK;
            return ENGRAM_OK;
        }
    }
    if (is_large && job->rest != EG_JOB_LARGE) {
        job->rest = EG_JOB_LARGE;
        return ENGRAM_OK;
    }
    engram_status status = inode.kind == EG_KIND_FILE
                               ? make_file(run, is_large ? NULL : worker, job, path, &inode, error)
                               : make_other(run, job, path, &inode, error);
    if (status == ENGRAM_OK)
        count(run, &inode, is_large);
    else if (shared)
        disclaim(run, job->number);
    return status;
}

/* ---- batches ---- */

/* The job's stored path; "" when memory runs out, which the next step will tell. */
static const char *job_path(const eg_extract_run *run, eg_out_worker *worker, const eg_job *job)
{
    const char *dir = job->dir->path, *name = job_name(run, job);
    eg_buffer_clear(&worker->path);
    if (*dir != 0) {
        eg_write_bytes(&worker->path, dir, strlen(dir));
        eg_write_u8(&worker->path, '/');
    }
    eg_write_bytes(&worker->path, name, strlen(name) + 1);
    return worker->path.failed ? "" : (const char *)worker->path.data;
}

static void run_job(void *context, size_t index, size_t worker)
{
    eg_extract_run *run = context;
    eg_job *job = &run->jobs[index];
    if (eg_extract_stopped(run))
        return;
    engram_error error = {0};
    const char *path = job_path(run, &run->workers[worker], job);
    engram_status status = *path == 0 ? eg_fail(&error, ENGRAM_NO_MEMORY, "no memory for a path")
                                      : make_inode(run, &run->workers[worker], job, path, &error);
    eg_extract_settle(run, path, status, &error);
}

/* One more name, or, if the first could not be made, the first. */
static void run_link(eg_extract_run *run, size_t index)
{
    eg_job *job = &run->jobs[index];
    const uint64_t *first = eg_number_map_at(&run->links, job->number);
    if (first == NULL || *first == 0) {
        job->rest = EG_JOB_NONE;
        run_job(run, index, 0);
        if (job->rest == EG_JOB_LARGE)
            run_job(run, index, 0);
        return;
    }
    engram_error error = {0};
    const char *path = job_path(run, &run->workers[0], job);
    const char *from = (const char *)run->link_paths.data + *first - 1;
    engram_status status = make_link(run, from, job->dir->fd, job_name(run, job), &error);
    eg_extract_settle(run, path, status, &error);
    run->stats.entries += status == ENGRAM_OK;
    run->stats.files += status == ENGRAM_OK && job->is_file;
}

static void release_dirs(eg_extract_run *run)
{
    for (size_t i = 0; i < run->dir_count; i++) {
        close(run->dirs[i]->fd);
        eg_free(run->dirs[i]->path);
        eg_free(run->dirs[i]);
    }
    run->dir_count = 0;
}

void eg_extract_flush(eg_extract_run *run)
{
    eg_pool_run(run->pool, run->job_count, run_job, run);
    for (size_t i = 0; i < run->job_count; i++)
        if (run->jobs[i].rest == EG_JOB_LARGE)
            run_job(run, i, 0);
    for (size_t i = 0; i < run->job_count && !eg_extract_stopped(run); i++)
        if (run->jobs[i].rest == EG_JOB_LINK)
            run_link(run, i);
    if (run->job_count != 0)
        eg_extract_progress(run);
    run->job_count = 0;
    eg_buffer_clear(&run->job_names);
    release_dirs(run);
}

engram_status eg_extract_add_job(eg_extract_run *run, const eg_out_dir *dir, eg_view name,
                                 uint64_t number, engram_error *error)
{
    eg_job job = {.dir = dir, .name = run->job_names.size, .number = number};
    eg_write_bytes(&run->job_names, name.data, name.size);
    eg_write_u8(&run->job_names, 0);
    if (run->job_names.failed ||
        !eg_grow((void **)&run->jobs, &run->job_capacity, run->job_count + 1, sizeof *run->jobs))
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to extract");
    run->jobs[run->job_count++] = job;
    if (run->job_count >= JOBS_AT_ONCE)
        eg_extract_flush(run);
    return ENGRAM_OK;
}
