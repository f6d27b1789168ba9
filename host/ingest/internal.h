/* What the stages of ingest share. */
#ifndef EG_INGEST_INTERNAL_H
#define EG_INGEST_INTERNAL_H

#include <pthread.h>

#include "base/ring.h"
#include "ingest/ingest.h"
#include "ingest/overlay.h"

/* A run of bytes cut from content; the second stage fills what follows its size. */
typedef struct eg_cut {
    size_t offset; /* in the batch's bytes */
    uint32_t size;
    bool is_new;
    eg_fingerprint fingerprint;
    uint64_t id;      /* of the chunk that holds these bytes */
    uint32_t same_as; /* a new chunk's index in the batch: itself, or an equal one before it */
} eg_cut;

typedef enum eg_event_kind {
    EG_EVENT_OPS,     /* operations as they stand */
    EG_EVENT_CUTS,    /* the next cut_count cuts belong to the file at hand */
    EG_EVENT_FILE,    /* the file at hand is complete: operations, then its content for inode number */
    EG_EVENT_DISCARD  /* the file at hand could not be read to its end */
} eg_event_kind;

typedef struct eg_event {
    eg_event_kind kind;
    uint32_t cut_count;
    uint64_t number;
    size_t ops_offset, ops_size; /* in the batch's ops */
} eg_event;

/* The unit that moves through the stages, and the unit of commit. */
typedef struct eg_batch {
    uint64_t sequence;
    uint8_t *bytes; /* content: what is cut, and while reading a tail that is not cut yet */
    size_t size, capacity;
    eg_cut *cuts;
    size_t cut_count, cut_capacity;
    eg_event *events;
    size_t event_count, event_capacity;
    eg_buffer ops;    /* of the events, as the first stage makes them */
    eg_buffer commit; /* the transaction, as the second stage makes it */
    eg_ingest_stats delta; /* what this batch adds once it is durable */
} eg_batch;

struct eg_ingest {
    eg_engram *engram;
    eg_device *device;
    eg_pool *pool;
    eg_ingest_options options;
    eg_chunker chunker;
    uint64_t start_ns; /* wall clock: what changed since may change again unseen */

    eg_ring *free_batches, *to_encode, *to_commit;
    pthread_t encode_thread, commit_thread;
    bool encode_started, commit_started;

    pthread_mutex_t lock; /* guards down to `error` */
    pthread_cond_t committed_changed;
    uint64_t committed; /* sequence of the last batch committed (or dropped after a failure) */
    eg_ingest_stats durable;
    engram_status failed;
    engram_error error;

    /* The first stage's own. */
    eg_batch *batch; /* being filled */
    uint64_t sequence;
    eg_overlay *overlay;
    eg_version pinned;
    uint64_t pinned_committed;
    struct eg_trail *trail;  /* the directories down to the last entry (plan.c) */
    struct eg_linked *linked; /* inodes with several names (plan.c) */

    /* The second stage's own. */
    struct eg_encode_stage *encode;
};

/* batch.c */
engram_status eg_batch_create(size_t capacity, eg_batch **batch, engram_error *error);
void eg_batch_free(eg_batch *batch);
void eg_batch_clear(eg_batch *batch);
engram_status eg_batch_add_cut(eg_batch *batch, size_t offset, uint32_t size, engram_error *error);
/* An event whose operations are those written to batch->ops since ops_offset. */
engram_status eg_batch_add_event(eg_batch *batch, eg_event_kind kind, uint64_t number, uint32_t cut_count, size_t ops_offset, engram_error *error);

/* pipeline.c */
void eg_ingest_fail(eg_ingest *ingest, engram_status status, const engram_error *error);
/* The failure of any stage so far, or CANCELLED when asked to stop. */
engram_status eg_ingest_check(eg_ingest *ingest, engram_error *error);
/* Sends the batch on and takes an empty one; size bytes of uncut tail move with it. */
engram_status eg_ingest_next_batch(eg_ingest *ingest, const uint8_t *tail, size_t tail_size, engram_error *error);
/* Waits until everything sent so far is committed. */
engram_status eg_ingest_drain(eg_ingest *ingest, engram_error *error);
void eg_ingest_issue(eg_ingest *ingest, eg_view path, const char *reason);

/* plan.c: what to do with an entry, against what is stored. */
typedef struct eg_plan {
    bool unchanged;      /* nothing to do, nothing to read */
    uint64_t directory, number;
    eg_view name;        /* lent by the entry */
    bool fresh;          /* the inode is new: it has to be linked */
} eg_plan;
engram_status eg_plan_init(eg_ingest *ingest, engram_error *error);
void eg_plan_fini(eg_ingest *ingest);
/* Decides, and writes the operations that come before (making parents, removing what is in the way). ENGRAM_INVALID: this
 * entry cannot be stored (the reason is in error); the run goes on. */
engram_status eg_plan_entry(eg_ingest *ingest, const eg_entry *entry, eg_plan *plan, engram_error *error);
/* The operations that store the entry itself (attributes and name), appended to the batch's ops. */
engram_status eg_plan_store(eg_ingest *ingest, const eg_entry *entry, const eg_inode *inode, const eg_plan *plan, engram_error *error);
/* Removes what is stored in the directory and not among the entry's names. */
engram_status eg_plan_mirror(eg_ingest *ingest, const eg_entry *entry, const eg_plan *plan, engram_error *error);

/* encode_stage.c */
engram_status eg_encode_stage_create(eg_ingest *ingest, engram_error *error);
void eg_encode_stage_free(eg_ingest *ingest);
/* Fingerprints, finds, encodes, packs, appends, and makes batch->commit. */
engram_status eg_encode_stage_run(eg_ingest *ingest, eg_batch *batch, engram_error *error);

#endif
