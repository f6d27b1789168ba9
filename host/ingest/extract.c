/* A run of extract from its options to its end, and what becomes of failures. */
#include "ingest/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/status.h"
#include "ingest/extract_parts.h"

enum { PIECE_SIZE = 1 << 20 };

/* ---- failures ---- */

static bool ends_run(engram_status status)
{
    return status == ENGRAM_IO || status == ENGRAM_NO_SPACE || status == ENGRAM_NO_MEMORY ||
           status == ENGRAM_CANCELLED;
}

static void fail_run(eg_extract_run *run, const char *path, engram_status status,
                     const engram_error *error)
{
    if (run->failed != ENGRAM_OK)
        return;
    run->failed = status;
    bool names_path = *path == 0 || strstr(error->message, path) != NULL;
    eg_fail(&run->error, status, "%s%s%s", names_path ? "" : path, names_path ? "" : ": ",
            error->message);
    run->error.os_error = error->os_error;
}

void eg_extract_settle(eg_extract_run *run, const char *path, engram_status status,
                       const engram_error *error)
{
    if (status == ENGRAM_OK)
        return;
    if (!ends_run(status)) {
        eg_extract_issue(run, path, error->message);
        return;
    }
    pthread_mutex_lock(&run->lock);
    fail_run(run, path, status, error);
    pthread_mutex_unlock(&run->lock);
}

void eg_extract_issue(eg_extract_run *run, const char *path, const char *reason)
{
    pthread_mutex_lock(&run->lock);
    run->stats.issues++;
    if (run->options->issue != NULL)
        run->options->issue(run->options->context, path, reason);
    pthread_mutex_unlock(&run->lock);
}

bool eg_extract_stopped(eg_extract_run *run)
{
    static const engram_error cancelled = {ENGRAM_CANCELLED, 0,
                                           "stopped on request; what was extracted stays"};
    bool asked = run->options->cancel != NULL && atomic_load(run->options->cancel);
    pthread_mutex_lock(&run->lock);
    if (asked)
        fail_run(run, "", ENGRAM_CANCELLED, &cancelled);
    bool stopped = run->failed != ENGRAM_OK;
    pthread_mutex_unlock(&run->lock);
    return stopped;
}

engram_status eg_extract_refuse(engram_error *error, int os_error, const char *what)
{
    engram_status status = eg_fail_os(error, os_error, "%s", what);
    if (status == ENGRAM_NO_SPACE || status == ENGRAM_NO_MEMORY || os_error == EIO ||
        os_error == EROFS)
        return status;
    return error->status = ENGRAM_INVALID;
}

void eg_extract_progress(eg_extract_run *run)
{
    if (run->options->progress == NULL)
        return;
    pthread_mutex_lock(&run->lock);
    eg_extract_stats stats = run->stats;
    pthread_mutex_unlock(&run->lock);
    run->options->progress(run->options->context, &stats, run->bytes_total);
}

/* ---- a run ---- */

static engram_status make_workers(eg_extract_run *run, engram_error *error)
{
    eg_chunker chunker;
    EG_TRY(eg_chunker_init(&chunker, &eg_engram_get_config(run->engram)->chunk, error));
    run->piece_size = chunker.size_max > PIECE_SIZE ? chunker.size_max : PIECE_SIZE;
    size_t width = eg_pool_width(run->pool);
    run->workers = eg_alloc_zero(width, sizeof *run->workers);
    for (; run->workers != NULL && run->worker_count < width; run->worker_count++) {
        run->workers[run->worker_count].bytes = eg_alloc_aligned(4096, run->piece_size);
        if (run->workers[run->worker_count].bytes == NULL)
            break;
    }
    if (run->worker_count < width)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to extract");
    return ENGRAM_OK;
}

static engram_status open_output(eg_extract_run *run, engram_error *error)
{
    const char *output = run->options->output;
    if (mkdir(output, 0777) != 0 && errno != EEXIST)
        return eg_fail_os(error, errno, "cannot create directory %s", output);
    run->top = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->top < 0)
        return eg_fail_os(error, errno, "cannot open directory %s", output);
    return ENGRAM_OK;
}

static void release(eg_extract_run *run)
{
    if (run->top >= 0)
        close(run->top);
    for (size_t i = 0; i < run->worker_count; i++) {
        eg_free(run->workers[i].bytes);
        eg_buffer_fini(&run->workers[i].inode);
        eg_buffer_fini(&run->workers[i].path);
    }
    void *arrays[] = {run->workers, run->places, run->pending, run->jobs, run->dirs};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        eg_free(arrays[i]);
    eg_buffer_fini(&run->place_names);
    eg_buffer_fini(&run->job_names);
    eg_buffer_fini(&run->link_paths);
    eg_number_map_fini(&run->directories);
    eg_number_map_fini(&run->links);
    pthread_mutex_destroy(&run->lock);
}

static engram_status extract_all(eg_extract_run *run, engram_error *error)
{
    eg_tree_totals totals;
    if (run->options->prefix_count == 0 && eg_fs_totals(run->root, &totals, NULL) == ENGRAM_OK)
        run->bytes_total = totals.bytes_logical; /* of a part it is not known beforehand: 0 */
    EG_TRY(make_workers(run, error));
    EG_TRY(open_output(run, error));
    engram_error why = {0};
    engram_status status = eg_extract_tree(run, &why);
    if (status != ENGRAM_OK)
        fail_run(run, "", status, &why);
    eg_extract_flush(run);
    if (!eg_extract_stopped(run))
        eg_extract_finish_directories(run);
    eg_extract_progress(run);
    if (run->failed != ENGRAM_OK && error != NULL && error->status == ENGRAM_OK)
        *error = run->error;
    return run->failed;
}

engram_status eg_extract(eg_engram *engram, const eg_version *version, eg_pool *pool,
                         const eg_extract_options *options, eg_extract_stats *stats,
                         engram_error *error)
{
    eg_extract_run run = {.engram = engram,
                          .root = version->root,
                          .io = eg_engram_io(engram),
                          .pool = pool,
                          .options = options,
                          .top = -1,
                          .is_superuser = geteuid() == 0};
    pthread_mutex_init(&run.lock, NULL);
    engram_status status = extract_all(&run, error);
    *stats = run.stats;
    release(&run);
    return status;
}
