/* Internal side of engram/status.h: making and forwarding errors. */
#ifndef EG_BASE_STATUS_H
#define EG_BASE_STATUS_H

#include "engram/status.h"

/* Records the sentence (unless error is NULL or already filled) and returns status. */
engram_status eg_fail(engram_error *error, engram_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: status follows from os_error (ENOSPC and EDQUOT give
 * NO_SPACE, ENOMEM NO_MEMORY, ENOENT NOT_FOUND, else IO); ": strerror" is added to the sentence. */
engram_status eg_fail_os(engram_error *error, int os_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Hands on, whole, what a call told an error of its own; error may be NULL or filled. */
engram_status eg_fail_like(engram_error *error, const engram_error *inner);

/* Forwards a failure. */
#define EG_TRY(call)                              \
    do {                                          \
        engram_status eg_try_status = (call);     \
        if (eg_try_status != ENGRAM_OK)           \
            return eg_try_status;                 \
    } while (0)

/* Forwards a failure to the label done:, leaving it in the local `status`. */
#define EG_TRY_DONE(call)        \
    do {                         \
        status = (call);         \
        if (status != ENGRAM_OK) \
            goto done;           \
    } while (0)

#endif
