/* What the files of dups share. */
#ifndef EG_SEARCH_DUPS_PARTS_H
#define EG_SEARCH_DUPS_PARTS_H

#include "search/dups.h"
#include "search/internal.h"

typedef struct eg_dup_file {
    uint64_t inode, size, chunks;
    eg_fingerprint key;  /* of its references: equal for equal content */
    uint32_t twin;       /* the first file with that content: it stands for all of them */
    uint32_t parent;     /* of the group's tree; itself: the root. Of twins only the first counts */
} eg_dup_file;

typedef struct eg_dups {
    eg_searcher *searcher;
    const eg_version *version;
    const eg_dups_options *options;
    eg_live live;        /* of which bits are cleared as rows are done */
    uint32_t floor, minimum; /* fewer matches are noise; are no reason to look at a pair */
    eg_dup_file *files;  /* by inode */
    size_t file_count, file_capacity;
    uint64_t *tried;     /* pairs of files that do not join, as many as fit */
    eg_dups_stats stats;
} eg_dups;

/* dups_files.c: fills live and files. */
engram_status eg_dups_list_files(eg_dups *dups, engram_error *error);
/* The file of an inode, or UINT32_MAX. */
uint32_t eg_dups_find_file(const eg_dups *dups, uint64_t inode);
/* The group of a file. */
uint32_t eg_dups_group_of(eg_dups *dups, uint32_t file);
void eg_dups_join(eg_dups *dups, uint32_t a, uint32_t b);

/* dups_score.c: the score of two files; less than least may be any such value. */
engram_status eg_dups_score(eg_dups *dups, uint32_t a, uint32_t b, double least, double *score, engram_error *error);
/* The same of two files of a chunk each. */
engram_status eg_dups_score_chunks(eg_dups *dups, uint64_t a, uint64_t b, uint32_t matches, double *score, engram_error *error);

/* dups_scan.c: compares all live rows, and joins what is to be joined. */
engram_status eg_dups_scan(eg_dups *dups, engram_error *error);

#endif
