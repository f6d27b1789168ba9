/* "What do I have that is like this?"
 *
 * The query's bytes are cut and encoded as ingest does; every chunk of it is compared with every chunk that is live at the
 * version asked (exact top-k); the files that hold the best ones are candidates and are scored over all their chunks. */
#ifndef EG_SEARCH_QUERY_H
#define EG_SEARCH_QUERY_H

#include <stdbool.h>

#include "compute/batcher.h"
#include "compute/device.h"
#include "engram/core.h"

enum { EG_QUERY_CHUNK_BEST = 128, EG_QUERY_FILES_MAX = 100, EG_QUERY_UNSURE_SIZE = 2048 };

typedef struct eg_query_options {
    uint32_t k;            /* hits wanted; 0: 10 */
    double min;            /* least Jaccard (by chunk) or score (by file); negative: the noise floor */
    bool by_chunk;
    const char *prefix;    /* only files under this stored path; NULL: all */
    uint64_t exclude_inode; /* this file is not a hit; 0: none */
} eg_query_options;

typedef struct eg_query_pair { /* the best pair of chunks of a hit */
    uint64_t query_offset;
    uint32_t query_size;
    uint64_t file_offset;
    uint32_t file_size;
    uint64_t chunk_id;
    uint32_t matches;
} eg_query_pair;

typedef struct eg_query_hit {
    char *path;        /* stored bytes, zero-terminated */
    size_t path_size;
    uint64_t inode;
    double score;      /* 0..1: by file, sum over query chunks of length x best (J or containment), by length of the query */
    engram_jaccard jaccard; /* of the best pair */
    double containment; /* how much of the query's chunk is in the file's, of the best pair */
    eg_query_pair pair;
} eg_query_hit;

typedef struct eg_query_result {
    eg_query_hit *hits;
    size_t hit_count;
    bool unsure;        /* the query is under 2 KiB: chunks are too large to tell */
    uint64_t version;
    uint64_t query_chunks, chunks_live, files_scored;
    double encode_seconds, scan_seconds, score_seconds;
} eg_query_result;

typedef struct eg_searcher eg_searcher; /* vectors resident on a device, for one engram */

/* device is lent. Loads vectors at the first query; later ones take what was appended meanwhile. */
engram_status eg_searcher_create(eg_engram *engram, eg_device *device, eg_searcher **searcher, engram_error *error);
void eg_searcher_free(eg_searcher *searcher);

/* Any number of threads, each with its result: scans that come at the same time for the same version, prefix and exclusion
 * are done as one (compute/batcher.h). Vectors that were appended meanwhile are taken when no query runs. */
engram_status eg_searcher_query(eg_searcher *searcher, const eg_version *version, const uint8_t *bytes, size_t size,
                                const eg_query_options *options, eg_query_result *result, engram_error *error);
void eg_query_result_fini(eg_query_result *result);
/* How calls were merged: EG_OPERATION_TOP_K, EG_OPERATION_ENCODE. */
void eg_searcher_get_metrics(eg_searcher *searcher, eg_operation operation, eg_batcher_metrics *metrics);

#endif
