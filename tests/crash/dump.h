/* What an engram holds, read back in full, as the model has it. */
#ifndef EG_TESTS_CRASH_DUMP_H
#define EG_TESTS_CRASH_DUMP_H

#include "crash/model.h"
#include "engram/core.h"

/* The newest version's number, its files, all labelled versions and all snapshots. */
engram_status engram_dump(eg_engram *engram, int64_t *version, tree *out, engram_error *error);
/* The files of a version that can be pinned. */
engram_status engram_dump_version(eg_engram *engram, uint64_t number, tree *out,
                                  engram_error *error);
/* The retention rules in a number, not 0. */
uint64_t engram_dump_rules(eg_engram *engram);
uint64_t rules_value(const engram_retention *rules);

#endif
