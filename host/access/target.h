/* Targets of requests, encoded: "/v1/files/a%20b?at=17". Append with these, and take the text at the end. */
#ifndef EG_ACCESS_TARGET_H
#define EG_ACCESS_TARGET_H

#include <inttypes.h>

#include "base/bytes.h"

/* Bytes as they are. */
void eg_target_add(eg_buffer *target, const char *text);
/* A stored path, with its slashes. */
void eg_target_add_path(eg_buffer *target, const char *path);
/* The first one after '?', others after '&'. */
void eg_target_add_parameter(eg_buffer *target, const char *name, const char *value);
void eg_target_add_number(eg_buffer *target, const char *name, uint64_t value);
/* Ends the text; NULL when memory ran out. Lent until the buffer is changed. */
const char *eg_target_text(eg_buffer *target);

#endif
