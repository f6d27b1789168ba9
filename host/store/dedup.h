/* From the first eight bytes of a fingerprint to ids of chunks: where duplicates may be.
 *
 * Open addressing in 256 tables of 16-byte entries, each of which grows by a fifth when four
 * fifths full: 20 to 24 bytes a chunk, and no long pause for growing. At most EG_STORE_CANDIDATES
 * ids of equal prefix are kept, the first ones: enough to find duplicates, and a flood of equal
 * fingerprints costs neither memory nor time.
 *
 * Threads: any number of finders beside one that adds. */
#ifndef EG_STORE_DEDUP_H
#define EG_STORE_DEDUP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

typedef struct eg_dedup eg_dedup;

/* expected: how many will be added soon, or 0. */
engram_status eg_dedup_create(uint64_t expected, eg_dedup **dedup, engram_error *error);
void eg_dedup_free(eg_dedup *dedup);
/* id is not 0. On failure the index is as before. */
engram_status eg_dedup_add(eg_dedup *dedup, uint64_t prefix, uint64_t id, engram_error *error);
/* Nothing happens when it is not there. */
void eg_dedup_remove(eg_dedup *dedup, uint64_t prefix, uint64_t id);
size_t eg_dedup_find(eg_dedup *dedup, uint64_t prefix, uint64_t ids[EG_STORE_CANDIDATES]);
/* Counts agree, and every entry can be found from its hash (tests). */
bool eg_dedup_validate(eg_dedup *dedup);

#endif
