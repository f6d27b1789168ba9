/* The device as the rest of engram sees it: a backend with the CPU behind it.
 *
 * What the backend fails or does not do is done by `cpu`, with equal answers, and counted: a
 * caller shows eg_device_stats so that a fallback never passes for a device's own work. `auto`
 * takes, per operation and batch size, what a short calibration found fastest (remembered in
 * $XDG_CACHE_HOME/engram under device name and driver); it never takes an OpenCL CPU device.
 *
 * A device that answers wrongly says nothing of it. So every so often a batch that another backend
 * did is done again by the scalar kernels, which define the answer, and compared. One difference
 * and the device is bad: that batch and all later ones are the CPU's. */
#ifndef EG_COMPUTE_DEVICE_H
#define EG_COMPUTE_DEVICE_H

#include "compute/backend.h"

typedef struct eg_device eg_device;
typedef struct eg_arena eg_arena;

typedef struct eg_device_stats {
    char device_used[64];        /* "avx512", "opencl:0.0 NAME" */
    uint64_t batches;            /* all */
    uint64_t fallback_batches;   /* of them, those the CPU did for a device */
    uint64_t checked_batches;    /* of them, those that were done again and compared */
    uint64_t wrong_batches;      /* of the checked ones, those that differed */
    bool is_bad;                 /* one differed: the CPU does everything since */
} eg_device_stats;

enum { EG_DEVICE_CHECK_INTERVAL = 1024 };

/* spec: auto, scalar, avx2, avx512, opencl, opencl:P.D. NULL is auto. pool is lent. ENGRAM_NO_DEVICE
 * names the devices there are. */
engram_status eg_device_open(const char *spec, eg_pool *pool, eg_device **device, engram_error *error);
void eg_device_close(eg_device **device);
void eg_device_get_stats(eg_device *device, eg_device_stats *stats);
const eg_device_info *eg_device_get_info(const eg_device *device);
/* One in so many batches of each operation is checked; 1: each; 0: none. EG_DEVICE_CHECK_INTERVAL
 * unless set. Means nothing to a device that is the CPU. Any thread. */
void eg_device_set_check_interval(eg_device *device, uint32_t interval);

/* Every device of this machine: the CPU's tables first, then OpenCL's. Returns how many there are. */
size_t eg_device_list(eg_device_info *infos, size_t capacity);

/* As the backend's entries; they fail only when the CPU fails too (memory). */
engram_status eg_device_encode(eg_device *device, const engram_codebook *codebook, const eg_view *chunks,
                               size_t count, uint8_t *vectors, uint32_t *spreads, engram_error *error);
engram_status eg_device_bundle(eg_device *device, uint32_t *counters, const uint8_t *vectors,
                               size_t count, int sign, engram_error *error);

/* Vectors to scan, in either layout; memory given to append is lent until arena_free. */
engram_status eg_arena_create(eg_device *device, eg_arena **arena, engram_error *error);
void eg_arena_free(eg_arena *arena);
engram_status eg_arena_append(eg_arena *arena, eg_vectors vectors, engram_error *error);
size_t eg_arena_rows(const eg_arena *arena);
engram_status eg_arena_top_k(eg_arena *arena, const uint8_t *queries, size_t query_count, const uint64_t *live,
                             uint32_t k, uint32_t minimum, eg_hit *hits, uint32_t *counts, engram_error *error);

#endif
