/* Many callers, one device: calls that come at the same time are merged into batches.
 *
 * A scan for eight queries reads memory once and costs little more than a scan for one, and a GPU
 * wants thousands of chunks at once, while callers ask one by one. So there is a queue for scans and
 * one for encoding, each with one batch at the device at a time. What comes meanwhile waits, and
 * goes with the next batch if it agrees with the call that has waited longest; calls that agree with
 * others form batches of their own, each when its oldest is the oldest of all. A batch is closed
 *
 *   full    when it holds as much as a batch may, or the next call would not fit;
 *   idle    when the device is idle, and nobody is expected;
 *   delay   when the device is idle, and those expected did not all come in time.
 *
 * Expected are those who got an answer from the last batch and those who waited then: many who
 * ask again at once would otherwise fall into two halves, one at the device and one waiting. The wait
 * is a small part of what the last batch took, at most delay_max_us, and left out where it gains
 * nothing. One caller alone never waits: it goes to the device at once, in its own thread.
 *
 * There is no thread here. Each batch is run by the thread of its oldest call. The answers equal
 * those of the unmerged calls byte for byte. An error of a batch, memory included, is every call's
 * of that batch, and nobody else's. What a device fails the CPU does, as device.h says. */
#ifndef EG_COMPUTE_BATCHER_H
#define EG_COMPUTE_BATCHER_H

#include "compute/device.h"
#include "compute/plan.h"

typedef struct eg_batcher eg_batcher;

typedef struct eg_batcher_options {
    uint32_t queries_max;  /* of a batch of scans; 0: 64. A call is never cut: it may hold more */
    uint32_t chunks_max;   /* of a batch to encode; 0: 1024 */
    uint32_t delay_max_us; /* 0: 5000 */
    bool never_waits;      /* for those expected */
} eg_batcher_options;

/* device is lent; options may be NULL. ENGRAM_NO_MEMORY. */
engram_status eg_batcher_create(eg_device *device, const eg_batcher_options *options,
                                eg_batcher **batcher, engram_error *error);
/* Nobody is inside. NULL is fine. */
void eg_batcher_free(eg_batcher *batcher);

/* As eg_arena_top_k, of an arena of this device; any number of threads. Calls agree that name the
 * same arena, the same minimum and the same bitmap, that is, the same address: what a call lends
 * must not change before it returns, so two calls that are inside at the same time and name one
 * address mean the same bits. Callers who ask the same thing should share one bitmap, or name none.
 * k may differ. */
engram_status eg_batcher_top_k(eg_batcher *batcher, eg_arena *arena, const uint8_t *queries,
                               size_t query_count, const uint64_t *live, uint32_t k,
                               uint32_t minimum, eg_hit *hits, uint32_t *counts,
                               engram_error *error);
/* As eg_device_encode; any number of threads. Calls with equal codebooks agree. */
engram_status eg_batcher_encode(eg_batcher *batcher, const engram_codebook *codebook,
                                const eg_view *chunks, size_t count, uint8_t *vectors,
                                uint32_t *spreads, engram_error *error);

typedef struct eg_batcher_metrics {
    uint64_t calls;
    uint64_t items; /* queries or chunks, in all calls */
    uint64_t batches;
    uint64_t closed_full, closed_idle, closed_delay; /* batches */
    double mean_batch; /* calls in a batch */
    uint64_t waiting;  /* calls, at this moment */
    uint64_t waits, wait_ns; /* for those expected */
    bool waiting_pays;       /* what is thought of it at present */
} eg_batcher_metrics;

/* operation: EG_OPERATION_TOP_K or _ENCODE. Counts the batches that have begun. */
void eg_batcher_get_metrics(eg_batcher *batcher, eg_operation operation,
                            eg_batcher_metrics *metrics);

#endif
