/* One message, one line, one write: lines of different threads do not mix, and a file name with
 * control characters cannot break the line or steer a terminal. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static eg_log_level level_max = EG_LOG_WARNING;

static const char *const level_names[] = {
    [EG_LOG_ERROR] = "error",
    [EG_LOG_WARNING] = "warning",
    [EG_LOG_INFO] = "info",
    [EG_LOG_DEBUG] = "debug",
};

void eg_log_set_level(eg_log_level level)
{
    level_max = level;
}

static void replace_controls(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

void eg_log(eg_log_level level, const char *format, ...)
{
    if (level > level_max)
        return;
    char line[2048];
    size_t room = sizeof line - 1; /* the newline's place */
    size_t used = (size_t)snprintf(line, room, "engram: %s: ", level_names[level]);
    va_list args;
    va_start(args, format);
    vsnprintf(line + used, room - used, format, args);
    va_end(args);
    replace_controls(line);
    strcat(line, "\n");
    fputs(line, stderr);
}
