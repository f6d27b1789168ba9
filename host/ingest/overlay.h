/* Names that this run has decided on and not yet committed.
 *
 * The first stage decides about an entry long before the entry's batch is committed, so a look-up asks here first
 * and in the newest committed version after that. Thread-safe: the committing thread forgets. */
#ifndef EG_INGEST_OVERLAY_H
#define EG_INGEST_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "engram/inode.h"

typedef struct eg_overlay eg_overlay;

typedef struct eg_overlay_value {
    uint64_t number;
    eg_inode_kind kind;
    uint32_t link_count; /* of the source */
    uint64_t source_device, source_inode;
} eg_overlay_value;

engram_status eg_overlay_create(eg_overlay **overlay);
void eg_overlay_free(eg_overlay *overlay);
/* Adds or replaces; kept until batch is forgotten. */
engram_status eg_overlay_put(eg_overlay *overlay, uint64_t directory, eg_view name, const eg_overlay_value *value, uint64_t batch);
bool eg_overlay_get(eg_overlay *overlay, uint64_t directory, eg_view name, eg_overlay_value *value);
/* Drops entries of this batch and earlier ones. */
void eg_overlay_forget(eg_overlay *overlay, uint64_t batch);

#endif
