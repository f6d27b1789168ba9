/* Errors: the first failure writes its sentence, everyone above it only forwards. A sentence too
 * long for its room is cut, but never in the operating system's reason at its end. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} causes[ENGRAM_STATUS_COUNT] = {
    [ENGRAM_OK] = {"ok", 0},
    [ENGRAM_NOT_FOUND] = {"not found", 5},
    [ENGRAM_EXISTS] = {"exists already", 4},
    [ENGRAM_CONFLICT] = {"conflict", 4},
    [ENGRAM_DAMAGED] = {"damaged", 13},
    [ENGRAM_IO] = {"input/output error", 1},
    [ENGRAM_NO_SPACE] = {"no space left", 1},
    [ENGRAM_NO_MEMORY] = {"out of memory", 1},
    [ENGRAM_INVALID] = {"invalid", 2},
    [ENGRAM_BUSY] = {"busy", 1},
    [ENGRAM_LOCKED] = {"locked", 11},
    [ENGRAM_UNSUPPORTED] = {"unsupported", 1},
    [ENGRAM_DEVICE] = {"device failure", 1},
    [ENGRAM_CANCELLED] = {"cancelled", 130},
    [ENGRAM_NOT_ENGRAM] = {"not an engram", 10},
    [ENGRAM_NEWER] = {"written by a newer version", 14},
    [ENGRAM_NO_DEVICE] = {"no such device", 15},
    [ENGRAM_PARTIAL] = {"partial", 3},
    [ENGRAM_DENIED] = {"not authorised", 12},
};

static bool is_known(engram_status status)
{
    return (unsigned)status < ENGRAM_STATUS_COUNT;
}

const char *engram_status_name(engram_status status)
{
    return is_known(status) ? causes[status].name : "unknown status";
}

int engram_status_exit_code(engram_status status)
{
    return is_known(status) ? causes[status].exit_code : 1;
}

engram_status eg_fail(engram_error *error, engram_status status, const char *format, ...)
{
    if (error == NULL || error->status != ENGRAM_OK)
        return status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    error->status = status;
    error->os_error = 0;
    return status;
}

static engram_status status_of(int os_error)
{
    switch (os_error) {
    case ENOSPC:
    case EDQUOT:
        return ENGRAM_NO_SPACE;
    case ENOMEM:
        return ENGRAM_NO_MEMORY;
    case ENOENT:
        return ENGRAM_NOT_FOUND;
    default:
        return ENGRAM_IO;
    }
}

/* ": reason" in text; strerror is not used because it is not thread-safe. */
static size_t describe(int os_error, char *text, size_t size)
{
    const char *reason = strerrordesc_np(os_error);
    if (reason)
        return (size_t)snprintf(text, size, ": %s", reason);
    return (size_t)snprintf(text, size, ": error %d", os_error);
}

engram_status eg_fail_os(engram_error *error, int os_error, const char *format, ...)
{
    engram_status status = status_of(os_error);
    if (error == NULL || error->status != ENGRAM_OK)
        return status;
    char reason[128];
    size_t reason_size = describe(os_error, reason, sizeof reason);
    size_t room = sizeof error->message - reason_size;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, room, format, args);
    va_end(args);
    strcat(error->message, reason);
    error->status = status;
    error->os_error = os_error;
    return status;
}

engram_status eg_fail_like(engram_error *error, const engram_error *inner)
{
    if (error != NULL && error->status == ENGRAM_OK)
        *error = *inner;
    return inner->status;
}
