/* One line of JSON for each request, to a file or to standard error. Any thread. */
#ifndef EG_SERVE_ACCESS_LOG_H
#define EG_SERVE_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

typedef struct eg_access {
    const char *remote, *method, *target;
    const char *agent;       /* may be NULL */
    unsigned status;         /* 0: no reply was sent */
    uint64_t received, sent; /* bytes of bodies */
    double seconds;
    bool is_whole;           /* the client has all of the reply */
} eg_access;

typedef struct eg_access_log eg_access_log;

/* path: a file that is appended to, "-": standard error, "none": nothing. */
engram_status eg_access_log_open(const char *path, eg_access_log **log, engram_error *error);
void eg_access_log_close(eg_access_log **log);
/* Opens the file anew: after it was renamed. On failure the one that is open stays. */
engram_status eg_access_log_reopen(eg_access_log *log, engram_error *error);
/* What cannot be written is lost. */
void eg_access_log_write(eg_access_log *log, const eg_access *access);
/* The line; for tests. */
void eg_access_log_format(const eg_access *access, uint64_t time_ns, eg_buffer *line);

#endif
