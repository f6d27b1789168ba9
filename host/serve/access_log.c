/* The access log. A line is made by hand: whatever bytes a client sent, it is one line of valid JSON. */
#include "serve/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "report/report.h"

enum { TARGET_SHOWN_MAX = 1024 };

struct eg_access_log {
    const char *path; /* lent */
    pthread_mutex_t lock;
    int fd;           /* -1: none */
};

static engram_status open_file(const char *path, int *fd, engram_error *error)
{
    if (strcmp(path, "none") == 0 || strcmp(path, "-") == 0) {
        *fd = *path == '-' ? STDERR_FILENO : -1;
        return ENGRAM_OK;
    }
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    return *fd >= 0 ? ENGRAM_OK
                    : eg_fail_os(error, errno, "the access log %s cannot be opened", path);
}

engram_status eg_access_log_open(const char *path, eg_access_log **log, engram_error *error)
{
    eg_access_log *l = *log = eg_alloc_zero(1, sizeof *l);
    if (l == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "out of memory for the access log");
    pthread_mutex_init(&l->lock, NULL);
    l->path = path;
    engram_status status = open_file(path, &l->fd, error);
    if (status != ENGRAM_OK)
        eg_access_log_close(log);
    return status;
}

static void close_file(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

void eg_access_log_close(eg_access_log **log)
{
    if (*log == NULL)
        return;
    close_file((*log)->fd);
    pthread_mutex_destroy(&(*log)->lock);
    eg_free(*log);
    *log = NULL;
}

engram_status eg_access_log_reopen(eg_access_log *log, engram_error *error)
{
    int fd;
    EG_TRY(open_file(log->path, &fd, error));
    pthread_mutex_lock(&log->lock);
    int old = log->fd;
    log->fd = fd;
    pthread_mutex_unlock(&log->lock);
    close_file(old);
    return ENGRAM_OK;
}

static void write_text(eg_buffer *line, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t shown = 0;
    eg_write_u8(line, '"');
    for (const uint8_t *c = (const uint8_t *)text; *c != 0 && shown < TARGET_SHOWN_MAX; c++, shown++) {
        if (*c >= ' ' && *c < 0x7F && *c != '"' && *c != '\\') {
            eg_write_u8(line, *c);
            continue;
        }
        eg_write_bytes(line, "\\u00", 4);
        eg_write_u8(line, (uint8_t)digits[*c >> 4]);
        eg_write_u8(line, (uint8_t)digits[*c & 15]);
    }
    eg_write_u8(line, '"');
}

static void write_member(eg_buffer *line, const char *name, const char *text)
{
    eg_write_bytes(line, name, strlen(name));
    write_text(line, text);
}

void eg_access_log_format(const eg_access *a, uint64_t time_ns, eg_buffer *line)
{
    char time[EG_TEXT_SIZE], numbers[160];
    eg_text_time_ns(time, time_ns);
    write_member(line, "{\"time\":", time);
    write_member(line, ",\"remote\":", a->remote);
    write_member(line, ",\"method\":", a->method);
    write_member(line, ",\"target\":", a->target);
    int size = snprintf(numbers, sizeof numbers,
                        ",\"status\":%u,\"received\":%llu,\"sent\":%llu,\"seconds\":%.6f,\"whole\":%s",
                        a->status, (unsigned long long)a->received, (unsigned long long)a->sent,
                        a->seconds, a->is_whole ? "true" : "false");
    eg_write_bytes(line, numbers, (size_t)size);
    if (a->agent != NULL)
        write_member(line, ",\"agent\":", a->agent);
    eg_write_bytes(line, "}\n", 2);
}

void eg_access_log_write(eg_access_log *log, const eg_access *access)
{
    eg_buffer line = {0};
    if (strcmp(log->path, "none") == 0)
        return;
    eg_access_log_format(access, eg_clock_wall_ns(), &line);
    pthread_mutex_lock(&log->lock);
    if (!line.failed && write(log->fd, line.data, line.size) < 0)
        errno = 0; /* nobody can be told */
    pthread_mutex_unlock(&log->lock);
    eg_buffer_fini(&line);
}
