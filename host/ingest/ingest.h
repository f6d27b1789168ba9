/* Ingest: from sources into an engram, in overlapped batches.
 *
 *   reading thread: entries, content cut into chunks      -> batch
 *   this stage's pool: fingerprints, dedup, encode, pack   -> appended to the active segment
 *   committing thread: sync, one journal record, publish
 *
 * Rings of fixed length lie between the stages, so memory is bounded by configuration. A batch is durable before it
 * is counted. A file appears when its last chunk is committed; a run that is cut short leaves the files of its
 * committed batches, and a new run finds their chunks again. */
#ifndef EG_INGEST_INGEST_H
#define EG_INGEST_INGEST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/pool.h"
#include "compute/device.h"
#include "engram/core.h"
#include "ingest/source.h"

typedef struct eg_ingest_stats {
    uint64_t files;        /* regular files stored or found unchanged */
    uint64_t files_unchanged; /* of them, not read */
    uint64_t entries;      /* all kinds, files included */
    uint64_t removed;      /* names mirrored away */
    uint64_t bytes_in;     /* bytes of content read */
    uint64_t chunks;       /* cut */
    uint64_t chunks_new;   /* of them, stored */
    uint64_t bytes_stored; /* corrections, vectors and records of new chunks */
    uint64_t batches, issues;
    uint64_t version;      /* the labelled version, when the run completed */
} eg_ingest_stats;

typedef struct eg_ingest_options {
    int level;                 /* 0: the engram's */
    bool mirror;               /* remove what is stored in a directory and no longer in the source's */
    const char *label;         /* of the version at the end */
    uint64_t memory;           /* bound on anonymous memory: batches take a quarter; 0: 256 MiB */
    uint32_t batch_chunks;     /* 0: 1,024 */
    const atomic_bool *cancel; /* set: stop after the batches at hand; may be NULL */
    /* Called from inside with what is durable so far; not often. May be NULL. */
    void (*progress)(void *context, const eg_ingest_stats *stats);
    void (*issue)(void *context, const char *path, const char *reason);
    void *context;
} eg_ingest_options;

typedef struct eg_ingest eg_ingest;

/* One run: start, any number of sources, finish. device and pool are lent. */
engram_status eg_ingest_start(eg_engram *engram, eg_device *device, eg_pool *pool, const eg_ingest_options *options, eg_ingest **ingest, engram_error *error);
/* Reads a source to its end (the source stays the caller's). ENGRAM_CANCELLED when asked to stop; ENGRAM_PARTIAL when the
 * source broke off (error says why): what came before stays, and the run can go on with other sources. */
engram_status eg_ingest_source(eg_ingest *ingest, eg_source *source, engram_error *error);
/* Waits until all is committed, labels the version (unless cancelled or failed before), fills stats. Frees also on failure. */
engram_status eg_ingest_finish(eg_ingest **ingest, eg_ingest_stats *stats, engram_error *error);

#endif
