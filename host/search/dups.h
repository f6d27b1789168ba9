/* Groups of files that are nearly the same.
 *
 * Two files are compared by the score of a query, in both directions: how much of the one is like the
 * other, by the best J (or containment) of each of its chunks, weighted by size. Their score is the
 * lesser of the two, so that a small file within a large one is no duplicate of it. What many files
 * hold counts in full here, since copies are what is looked for. Files whose score reaches the
 * minimum are joined, and groups are what is connected: a member may be less like the first file of
 * its group than that, and the score beside it says so.
 *
 * Which pairs are looked at: files that share a chunk, and files with chunks of J from half the
 * minimum on, among the 16 best of each chunk, found by comparing every live chunk with all that come
 * after it, exactly. Files of equal content are one before that. Left out are empty files. */
#ifndef EG_SEARCH_DUPS_H
#define EG_SEARCH_DUPS_H

#include "search/query.h"

typedef struct eg_dups_options {
    double min;          /* score from which two files are joined; above 0, up to 1 */
    const char *prefix;  /* only files under this stored path; NULL: all */
    void *context;       /* of progress */
    /* After each batch; false stops with ENGRAM_CANCELLED. May be NULL. */
    bool (*progress)(void *context, uint64_t bytes_done, uint64_t bytes_total);
} eg_dups_options;

typedef struct eg_dups_member {
    eg_view path; /* stored bytes */
    uint64_t inode, size;
    double score; /* with the first file of the group; 1 for that one */
} eg_dups_member;

typedef struct eg_dups_group { /* lent for the call */
    const eg_dups_member *members; /* by path */
    size_t count;
    uint64_t size; /* of all members */
} eg_dups_group;

typedef struct eg_dups_stats {
    uint64_t version, files, chunks; /* looked at */
    uint64_t groups, files_grouped;
    uint64_t pairs_scored;           /* of files */
    double seconds;                  /* until the groups were known */
} eg_dups_stats;

/* begin is told what was found before the first group; group is called for each, those of most files
 * first, then of most bytes. What either returns but ENGRAM_OK ends it. */
typedef struct eg_dups_visitor {
    void *context;
    engram_status (*begin)(void *context, const eg_dups_stats *stats, engram_error *error);
    engram_status (*group)(void *context, const eg_dups_group *group, engram_error *error);
} eg_dups_visitor;

/* Takes some 60 bytes of memory for each file, one bit for each chunk, and a few megabytes; for the group at hand
 * its paths. Time goes with the square of the number of chunks: some 3 ns of a core for two of them with AVX2. */
engram_status eg_searcher_dups(eg_searcher *searcher, const eg_version *version, const eg_dups_options *options,
                               const eg_dups_visitor *visitor, engram_error *error);

#endif
