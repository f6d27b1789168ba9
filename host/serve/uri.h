/* The target of a request, taken apart. Pure functions; any bytes may come in. */
#ifndef EG_SERVE_URI_H
#define EG_SERVE_URI_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"

enum { EG_URI_MAX = 16 << 10, EG_PARAMETERS_MAX = 32 };

typedef struct eg_parameter {
    const char *name, *value; /* decoded; in eg_uri.text */
} eg_parameter;

typedef struct eg_uri {
    char *text;       /* owns all below */
    const char *path; /* as it came, without the query */
    char *operand;    /* room to decode a part of the path: as long as the path */
    eg_parameter parameters[EG_PARAMETERS_MAX];
    size_t count;
} eg_uri;

/* "/path?name=value&...", also behind "http://host". ENGRAM_INVALID: not absolute, too long, too many parameters, a bad %, a zero byte. *uri can be
 * given to eg_uri_fini also on failure. */
engram_status eg_uri_parse(const char *text, eg_uri *uri, engram_error *error);
void eg_uri_fini(eg_uri *uri);
/* Decodes the part of uri->path from `from` on into uri->operand. */
engram_status eg_uri_decode_operand(eg_uri *uri, size_t from, engram_error *error);
/* What a path of a file must be like: names of 1 to 255 bytes, no empty one, no "." and no "..", 4,095 bytes in all. One
 * slash may be at its end when may_end is set, and is taken off. "" is the root. */
engram_status eg_uri_check_path(char *path, bool may_end, engram_error *error);
/* A path that came in a target, as it may stand in a link: what may not is encoded. */
void eg_uri_write_path(eg_buffer *out, const char *path);
/* "&name=value", or "?name=value" when first is true, encoded. */
void eg_uri_write_parameter(eg_buffer *out, bool first, const char *name, const char *value);

#endif
