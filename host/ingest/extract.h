/* Extract: from a version of an engram back to a file system, exactly: content, mode, owner, times, links,
 * extended attributes, device nodes.
 *
 * Everything happens below one open directory: each component is opened relative to its parent's descriptor without
 * following links, names are checked again, and directories' modes and times are set last. Nothing outside can be
 * reached, whatever the engram or the output directory holds. */
#ifndef EG_INGEST_EXTRACT_H
#define EG_INGEST_EXTRACT_H

#include <stdatomic.h>

#include "base/pool.h"
#include "engram/core.h"

typedef struct eg_extract_stats {
    uint64_t files, entries, bytes, issues;
} eg_extract_stats;

typedef struct eg_extract_options {
    const char *output;            /* made when missing */
    const char *const *prefixes;   /* stored paths; none: everything. One that is not there is ENGRAM_NOT_FOUND */
    size_t prefix_count;
    bool sparse;                   /* leave holes for runs of zeros */
    bool overwrite;                /* replace files that are there (never directories by files); else such a path is an issue */
    const atomic_bool *cancel;
    void (*progress)(void *context, const eg_extract_stats *stats, uint64_t bytes_total);
    void (*issue)(void *context, const char *path, const char *reason); /* refused or failed for this path; the rest goes on */
    void *context;
} eg_extract_options;

/* Stored path IN/x comes back as OUTPUT/IN/x. Owners are restored by root only; a failure to set an attribute is an issue.
 * Damaged content is an issue too, and such a file is not left behind. pool may be NULL. */
engram_status eg_extract(eg_engram *engram, const eg_version *version, eg_pool *pool, const eg_extract_options *options, eg_extract_stats *stats, engram_error *error);

#endif
