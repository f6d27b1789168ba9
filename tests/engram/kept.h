/* Repair destroys nothing: what a damaged engram held is, after its repair and a writer, still there. */
#ifndef EG_TESTS_ENGRAM_KEPT_H
#define EG_TESTS_ENGRAM_KEPT_H

#include "engram/rig.h"

/* damaged: a copy of r->dir from before the repair; good: from before the damage. r->engram is open. Gives what is
 * missing, for a message, or NULL:
 *   - MANIFEST.json, if it is another now, and a checkpoint that was damaged: not in the quarantine;
 *   - where a part of the journal is lost: a file of it that is not in the quarantine;
 *   - a segment: neither in place nor in the quarantine, and not all of its chunks are stored elsewhere;
 *   - bytes of the node file: neither in place nor in the quarantine. */
const char *kept_missing(const rig *r, const char *damaged, const char *good, bool journal_is_lost);

#endif
