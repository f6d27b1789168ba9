/* Calls of a batcher, and what is done with several at once. */
#ifndef EG_COMPUTE_BATCH_H
#define EG_COMPUTE_BATCH_H

#include <pthread.h>

#include "compute/device_parts.h"

/* One call, on its caller's stack until it is done. */
typedef struct eg_call {
    struct eg_call *next;
    size_t count; /* of queries or chunks */
    eg_arena *arena;
    eg_scan scan;
    eg_hit *hits;
    const engram_codebook *codebook;
    const eg_view *chunks;
    uint8_t *vectors;
    uint32_t *numbers; /* counts or spreads */
    /* The batcher's. */
    pthread_cond_t woken;
    bool is_done, has_waited; /* has_waited: for others, the lane being idle */
    engram_status status;
    engram_error error;
} eg_call;

typedef struct eg_calls {
    eg_call *head, *tail;
    size_t count; /* calls */
    size_t items; /* in them */
} eg_calls;

void eg_calls_add(eg_calls *list, eg_call *call);
/* Whether both may be in one batch. */
bool eg_calls_agree(const eg_call *a, const eg_call *b, eg_operation operation);
/* The first call of queue and those that agree with it, in order, as far as they fit into one batch of
 * items_max; *is_full: one more would not fit. */
eg_calls eg_calls_take(eg_calls *queue, eg_operation operation, size_t items_max, bool *is_full);

/* Room for the questions and answers of a merged batch, kept from batch to batch. */
typedef struct eg_batch_room {
    uint8_t *vectors; /* queries in, or vectors out */
    eg_hit *hits;
    eg_view *chunks;
    uint32_t *numbers;
    size_t vectors_capacity, hits_capacity, chunks_capacity, numbers_capacity;
} eg_batch_room;

void eg_batch_room_fini(eg_batch_room *room);

/* Runs the calls as one batch and fills what each of them lent. One call alone goes as it is. */
engram_status eg_batch_run(eg_device *device, eg_operation operation, const eg_calls *calls,
                           eg_batch_room *room, engram_error *error);

#endif
