/* The inside of the second stage, shared by encode_stage.c and correct.c. */
#ifndef EG_INGEST_ENCODE_STAGE_H
#define EG_INGEST_ENCODE_STAGE_H

#include "ingest/internal.h"
#include "ingest/recall.h"

/* What corrects a new chunk of the batch. */
typedef struct eg_prediction {
    eg_bases bases;
    bool is_done;  /* corrected, in an earlier round */
    bool done_now; /* in this one */
} eg_prediction;

/* What one worker of the pool needs. */
typedef struct eg_corrector {
    eg_coder *coder;
    eg_coder *quick; /* to see which of several bases is best; NULL where one is tried */
    uint8_t *bytes; /* room for the largest chunk: to compare with, or a base */
    uint8_t *delta; /* room for its largest correction */
} eg_corrector;

typedef struct eg_encode_stage {
    eg_corrector *workers; /* one for each of the pool */
    size_t width;
    int level;
    eg_recall *recall; /* NULL at level 1 */
    /* Of the batch at hand. */
    eg_batch *batch;
    uint32_t *fresh; /* indices of new cuts */
    size_t fresh_count, fresh_capacity;
    eg_view *views;
    size_t views_capacity;
    eg_new_chunk *chunks;
    size_t chunks_capacity;
    uint64_t *ids;
    size_t ids_capacity;
    uint8_t *vectors;
    size_t vectors_capacity;
    uint32_t *spreads;
    size_t spreads_capacity;
    uint8_t *packed; /* the corrections, each at its cut's place */
    size_t *packed_offsets;
    size_t packed_capacity, packed_offsets_capacity;
    eg_prediction *predictions;
    size_t predictions_capacity;
    uint32_t *table; /* fingerprint -> index in fresh + 1 */
    size_t table_capacity;
    eg_buffer refs;           /* of the file at hand: over batches */
    eg_store_hold hold;       /* on all that this run refers to and no version holds yet */
    uint64_t next_version;    /* that the batch at hand will make */
    atomic_int status;
    pthread_mutex_t error_lock;
    engram_error error;
} eg_encode_stage;

/* The first failure of a worker is kept, and told by worker_status. */
void eg_encode_worker_failed(eg_encode_stage *stage, engram_status status, const engram_error *error);
engram_status eg_encode_worker_status(eg_encode_stage *stage, engram_error *error);

/* correct.c: the corrections of all fresh chunks, whose vectors are there. */
engram_status eg_correct_all(eg_ingest *ingest, engram_error *error);

#endif
