/* The server's configuration file: "name = value" lines, '#' and ';' comments, "[serve]" the one section there may be.
 *
 * It knows the grammar, not the names. Pure but for the visit; any bytes may come in. */
#ifndef EG_SERVE_CONFIG_H
#define EG_SERVE_CONFIG_H

#include <stddef.h>

#include "base/status.h"

/* name and value end with a zero byte and are lent for the call; value may be "". */
typedef engram_status eg_config_visit(void *context, const char *name, const char *value, size_t line, engram_error *error);
/* Each setting in its order. ENGRAM_INVALID names the line: no '=', no name, a control character, a line over 4,096 bytes,
 * another section. Stops at the first failure of visit and returns it. */
engram_status eg_config_parse(const char *text, size_t size, eg_config_visit *visit, void *context, engram_error *error);

#endif
