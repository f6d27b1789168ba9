/* Mapped files whose pages may fail.
 *
 * Touching a mapped page that the file no longer has (somebody cut it short), or that the disk cannot read, raises
 * SIGBUS, which would end the process. The guard puts a page of zeros in the place of such a page, of a mapping it
 * knows, and remembers that this mapping is lost; whoever used the bytes asks afterwards. A SIGBUS from anywhere else
 * has the effect it had before. Thread-safe; adding a mapping
 * installs the handler, again when somebody replaced it. */
#ifndef EG_BASE_MAP_GUARD_H
#define EG_BASE_MAP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* ENGRAM_BUSY when more mappings are guarded than the table has room for (65,536). */
engram_status eg_map_guard_add(const uint8_t *bytes, size_t size, engram_error *error);
/* Before the mapping goes. */
void eg_map_guard_remove(const uint8_t *bytes);
/* Whether any page of the mapping that begins at bytes had to be replaced: what was read from it does not count. */
bool eg_map_guard_lost(const uint8_t *bytes);

#endif
