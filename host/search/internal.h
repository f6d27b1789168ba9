/* What the files of this folder share. */
#ifndef EG_SEARCH_INTERNAL_H
#define EG_SEARCH_INTERNAL_H

#include <pthread.h>

#include "compute/batcher.h"
#include "search/query.h"

typedef struct eg_row_span { /* row first + i is chunk ids[i] */
    uint64_t first;
    const uint64_t *ids;
    eg_vectors vectors;
} eg_row_span;

typedef struct eg_via_root eg_via_root; /* via_root.c: bundles of the rows */

/* lives.c: bitmaps that queries share. */
typedef struct eg_shared_live eg_shared_live;
typedef struct eg_lives {
    pthread_mutex_t lock;
    pthread_cond_t made;
    eg_shared_live *first;
    uint64_t count; /* given back so far */
} eg_lives;

/* Queries hold rows_lock for reading from beginning to end; a refresh, which moves what they use, for
 * writing. It is fair to writers, or queries without end would keep new chunks out. */
struct eg_searcher {
    eg_engram *engram;
    eg_device *device;
    eg_batcher *batcher;
    eg_chunker chunker;
    eg_lives lives;
    pthread_rwlock_t rows_lock;
    /* Guarded by it: */
    eg_arena *arena;
    eg_row_span *spans;
    size_t span_count, span_capacity;
    uint64_t last_id; /* of the rows: those of chunks up to it are there */
    /* Inside rows_lock: */
    pthread_mutex_t via_root_lock;
    eg_via_root *via_root; /* NULL until a query asks */
};

/* live.c: which rows count. bits: one for each row, in fresh memory (eg_free). inodes: sorted numbers of the files that may be
 * hits, or NULL: all but exclude. */
typedef struct eg_live {
    uint64_t *bits;
    uint64_t count;     /* bits set */
    uint64_t *inodes;   /* sorted; NULL: every file */
    size_t inode_count, inode_capacity;
    uint64_t exclude;
} eg_live;
engram_status eg_live_init(eg_searcher *searcher, const eg_version *version, const eg_query_options *options, eg_live *live, engram_error *error);
void eg_live_fini(eg_live *live);
/* One for all queries that agree in version, prefix and exclusion, within rows_lock. Give it back; NULL is fine. */
void eg_lives_init(eg_lives *lives);
void eg_lives_fini(eg_lives *lives);
void eg_lives_clear(eg_lives *lives); /* nobody uses any */
engram_status eg_lives_take(eg_searcher *searcher, const eg_version *version, const eg_query_options *options, const eg_live **live, engram_error *error);
void eg_lives_give(eg_searcher *searcher, const eg_live *live);
bool eg_live_has(const eg_live *live, uint64_t inode);
/* searcher.c: takes what segments hold beyond what was taken, and rows_lock for reading; leave lets it go. */
engram_status eg_searcher_enter(eg_searcher *searcher, engram_error *error);
void eg_searcher_leave(eg_searcher *searcher);
/* After a scan: whether all vectors could be read. */
engram_status eg_searcher_check_vectors(eg_searcher *searcher, engram_error *error);
/* Fewer matches than that are noise among so many rows. */
uint32_t eg_noise_floor(uint64_t rows);
/* The chunk id of a row. */
uint64_t eg_searcher_id(const eg_searcher *searcher, uint64_t row);

/* The chunks of a query, or of many. */
typedef struct eg_probe {
    uint64_t offset;
    uint32_t size, spread;
    bool is_vector;
    double windows; /* distinct ones; EG_WINDOWS_UNKNOWN: as many as there are in what it is compared with */
} eg_probe;
#define EG_WINDOWS_UNKNOWN (-1.0)

typedef struct eg_probes {
    eg_probe *items;
    uint8_t *vectors;
    size_t count, capacity;
    uint64_t size;     /* of the query */
    uint32_t floor;    /* fewer matches are noise */
    eg_hit *hits;      /* count * EG_QUERY_CHUNK_BEST */
    uint32_t *hit_counts;
} eg_probes;

/* probes.c. Chunks of all queries one after another, encoded; and the best stored chunks for each of them. Give all to
 * eg_probes_fini also on failure. */
engram_status eg_probes_encode(eg_searcher *searcher, const eg_query_input *inputs, size_t count, eg_probes *all, engram_error *error);
engram_status eg_probes_scan(eg_searcher *searcher, eg_probes *all, const eg_live *live, uint32_t minimum, engram_error *error);
/* Those of one query, lent by all, from *first on, which becomes the next query's. */
eg_probes eg_probes_of(const eg_probes *all, size_t *first, const eg_query_input *input);
void eg_probes_fini(eg_probes *all);

/* candidates.c: files that hold the best chunks, the most promising first; at most EG_QUERY_FILES_MAX. */
typedef struct eg_candidate {
    uint64_t inode;
    double score;
} eg_candidate;
engram_status eg_candidates_find(eg_searcher *searcher, const eg_version *version, const eg_probes *probes, const eg_live *live,
                                 eg_candidate *candidates, size_t *count, engram_error *error);

/* What a chunk held by that many files counts. */
double eg_holder_weight(uint64_t holders);
/* The number of inodes that hold a chunk, up to a bound. */
engram_status eg_holder_count(const eg_version *version, uint64_t chunk, uint64_t *count, engram_error *error);

/* A chunk of a file that is like a chunk of the query. */
typedef struct eg_place {
    double value;     /* 0: none */
    uint64_t offset;  /* in the file */
    uint32_t size, probe;
} eg_place;
enum { EG_PLACES = 4 };

/* score.c: one file over all its chunks. *found false: nothing above the floor. places: NULL, or room for EG_PLACES of each
 * probe: the best ones, best first. */
engram_status eg_score_file(eg_searcher *searcher, const eg_version *version, const eg_probes *probes, uint64_t inode,
                            eg_query_hit *hit, bool *found, eg_place *places, engram_error *error);
/* J, interval, and containment of a pair. */
void eg_score_pair(const eg_probe *probe, uint32_t matches, uint32_t spread, eg_query_hit *hit);

/* via_root.c: leaves in live the rows that options->via_root_share asks for, the most promising. */
engram_status eg_via_root_narrow(eg_searcher *searcher, const eg_query_options *options, const eg_probes *probes, eg_live *live,
                                 uint32_t minimum, eg_via_root_report *report, engram_error *error);
void eg_via_root_free(eg_via_root *via_root);
/* query.c: the order of estimates: score, then jaccard, then path. For qsort. */
int eg_compare_hits(const void *a, const void *b);

/* rerank.c: looks at the stored bytes of hits (by file), fills their exact, and puts each EG_QUERY_RERANK of them in
 * the order of it: how much of the query is in the file, in hundredths; the longest run in common; Jaccard; as estimated. */
engram_status eg_rerank_hits(eg_searcher *searcher, const eg_version *version, const eg_probes *probes, eg_view query,
                             eg_query_hit *hits, size_t count, engram_error *error);

#endif
