/* What must hold on a disk after a power cut.
 *
 * Opening to write succeeds. What is found equals the model of one commit that may be there, in
 * paths, contents, attributes and labelled versions. Verifying finds nothing. A small commit then
 * works, closing works, and opening again shows it. Where no engram need be there yet and none is,
 * creating one works. */
#ifndef EG_TESTS_CRASH_CHECK_H
#define EG_TESTS_CRASH_CHECK_H

#include "crash/model.h"
#include "crash/ram_disk.h"
#include "engram/core.h"

#define CRASH_DIR "/e" /* where the engram is */

extern const eg_engram_config crash_config;

typedef struct check {
    /* given */
    const history *history;
    int64_t step;
    eg_engram_options options;
    bool read_only_first; /* also open to read, before anything was repaired; and look at all
                             versions that are retained */
    trace *record;        /* what opening and the rest do to the disk; NULL: not wanted */
    history *recorded;    /* the history of that trace, where wanted */
    /* found */
    int matched;        /* the commit that was found, or -1 */
    uint64_t digest;    /* version_digest of it; 0: nothing was found */
    uint64_t rules;     /* rules_value */
    char message[1400]; /* what is wrong; empty: nothing */
} check;

/* Takes the image over. False: message says why. */
bool check_run(check *c, image *state);

/* Opens to read and compares, nothing else (the image stays as it is). */
bool check_glance(check *c, const image *state);

#endif
