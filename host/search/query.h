/* "What do I have that is like this?"
 *
 * The query's bytes are cut and encoded as ingest does; every chunk of it is compared with every chunk that is live at the
 * version asked (exact top-k); the files that hold the best ones are candidates and are scored over all their chunks.
 *
 * All that is an estimate. The files are then looked at on their stored bytes, twenty by twenty in the order of their
 * scores, as far as they are asked for, and each twenty is put in the order of what was found. So a hit has one place,
 * whatever k and skip are. */
#ifndef EG_SEARCH_QUERY_H
#define EG_SEARCH_QUERY_H

#include <stdbool.h>

#include "compute/batcher.h"
#include "compute/device.h"
#include "engram/core.h"
#include "search/ranges.h"

enum { EG_QUERY_CHUNK_BEST = 128, EG_QUERY_FILES_MAX = 100, EG_QUERY_UNSURE_SIZE = 2048, EG_QUERY_RERANK = 20 };

typedef struct eg_query_options {
    uint32_t k;            /* hits wanted; 0: 10 */
    uint32_t skip;         /* so many hits before them are left out */
    double min;            /* least Jaccard (by chunk) or score (by file); negative: the noise floor */
    bool by_chunk;
    const char *prefix;    /* only files under this stored path; NULL: all */
    uint64_t exclude_inode; /* this file is not a hit; 0: none */
    double via_root_share; /* of the chunks that is compared, chosen by bundles; 0: all, and no bundles */
    bool via_root_check;   /* compare all too, for the recall */
    bool estimate_only;    /* by file: do not look at stored bytes */
} eg_query_options;

/* Bytes, or the hypervector of one chunk whose bytes are not at hand: then hits are estimates, and query_size is 256. */
typedef struct eg_query_input {
    eg_view bytes;
    const uint8_t *vector; /* NULL: bytes */
    uint32_t spread;       /* of the vector; 0: not known, and containment is estimated as of chunks of one size */
} eg_query_input;

typedef struct eg_via_root_report { /* of a query by bundles */
    size_t bundles, bundles_read;
    uint64_t chunks_read;
    double share;                   /* of the live chunks: whole bundles, so a little more than was asked for */
    uint64_t exact_hits, found_hits; /* checked: the ten best of each chunk of the query, and those of them that were read */
    double recall;                  /* found of exact; 1 when there are none */
    double bundle_seconds, exact_seconds;
} eg_via_root_report;

typedef struct eg_query_pair { /* the best pair of chunks of a hit */
    uint64_t query_offset;
    uint32_t query_size;
    uint64_t file_offset;
    uint32_t file_size;
    uint64_t chunk_id;
    uint32_t matches;
} eg_query_pair;

/* What the stored bytes say. The windows are those of hypervectors, of the whole query and the whole file.
 *
 * A file is looked at whole up to 1 MiB + 4 times the query (256 MiB at most), while all files of a twenty have less
 * than 16 MiB + 32 times the query (1 GiB at most). Of others only the surroundings of the best pairs of chunks are,
 * 1 MiB + 4 times the query (8 MiB at most): then jaccard is not known, and containment is at least this. Ranges are
 * looked for in a file of up to 8 MiB everywhere, else in such surroundings, and so in a query of over 16 MiB. */
typedef struct eg_query_exact {
    bool present;         /* false: not looked at, or its stored bytes are damaged */
    bool whole;           /* all of the file was looked at, and all windows of both counted */
    double jaccard;       /* windows in both by windows in either; negative: not known */
    double containment;   /* the share of the query's windows that are in the file */
    uint32_t sample;      /* one window in so many was counted; see windows.h */
    uint64_t file_size, looked_at; /* bytes of the file */
    eg_ranges ranges;     /* complete: also that ranges were looked for everywhere */
} eg_query_exact;

typedef struct eg_query_hit {
    char *path;        /* stored bytes, zero-terminated */
    size_t path_size;
    uint64_t inode;
    double score;      /* 0..1: by file, sum over query chunks of length x best (J or containment), by length of the query */
    engram_jaccard jaccard; /* of the best pair */
    double containment; /* how much of the query's chunk is in the file's, of the best pair */
    eg_query_pair pair;
    eg_query_exact exact;
} eg_query_hit;

typedef struct eg_query_result {
    eg_query_hit *hits;
    size_t hit_count;
    uint64_t hits_before, hits_behind; /* more hits: before the first one here, and behind the last */
    bool unsure;        /* the query is under 2 KiB: chunks are too large to tell */
    uint64_t version;
    eg_via_root_report via_root;
    uint64_t query_chunks, chunks_live, files_scored, files_looked_at;
    double encode_seconds, scan_seconds, score_seconds, look_seconds;
} eg_query_result;

typedef struct eg_searcher eg_searcher; /* vectors resident on a device, for one engram */

/* device is lent. Loads vectors at the first query; later ones take what was appended meanwhile. */
engram_status eg_searcher_create(eg_engram *engram, eg_device *device, eg_searcher **searcher, engram_error *error);
/* The same; batching (compute/batcher.h) may be NULL. */
engram_status eg_searcher_create_batching(eg_engram *engram, eg_device *device, const eg_batcher_options *batching, eg_searcher **searcher, engram_error *error);
void eg_searcher_free(eg_searcher *searcher);

/* Any number of threads, each with its result: scans that come at the same time for the same version, prefix and exclusion
 * are done as one (compute/batcher.h). Vectors that were appended meanwhile are taken when no query runs. */
engram_status eg_searcher_query(eg_searcher *searcher, const eg_version *version, const uint8_t *bytes, size_t size,
                                const eg_query_options *options, eg_query_result *result, engram_error *error);
void eg_query_result_fini(eg_query_result *result);
/* Many queries with the same options, encoded and scanned for at once; each has the result that it would have alone, but
 * that encode_seconds and scan_seconds are of all. results has count places. All or nothing. via_root is for one alone. */
engram_status eg_searcher_query_all(eg_searcher *searcher, const eg_version *version, const eg_query_input *inputs, size_t count,
                                    const eg_query_options *options, eg_query_result *results, engram_error *error);
/* Chunks to hypervectors and spreads, among what others have encoded. */
engram_status eg_searcher_encode(eg_searcher *searcher, const eg_view *chunks, size_t count, uint8_t *vectors, uint32_t *spreads, engram_error *error);
/* How calls were merged: EG_OPERATION_TOP_K, EG_OPERATION_ENCODE. */
void eg_searcher_get_metrics(eg_searcher *searcher, eg_operation operation, eg_batcher_metrics *metrics);

#endif
