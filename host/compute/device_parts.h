/* What the files of the device share; device.h says what a device is. */
#ifndef EG_COMPUTE_DEVICE_PARTS_H
#define EG_COMPUTE_DEVICE_PARTS_H

#include <stdatomic.h>

#include "compute/device.h"
#include "compute/plan.h"

struct eg_device {
    eg_backend *cpu;   /* finishes what the other one does not */
    eg_backend *other; /* NULL: the CPU is the device */
    eg_backend *scalar; /* checks the other one; NULL without one */
    eg_plan plan;      /* what is worth giving to the other one */
    eg_device_info info;
    char used[64];
    _Atomic uint64_t batches, fallback_batches;
    atomic_bool has_warned;
    _Atomic uint32_t check_interval;
    _Atomic uint64_t done[EG_OPERATION_COUNT]; /* by the other one, of each */
    _Atomic uint64_t checked_batches, wrong_batches;
    atomic_bool is_bad;
};

/* What is asked of a scan; as the parameters of top_k in backend.h. */
typedef struct eg_scan {
    const uint8_t *queries;
    size_t query_count;
    const uint64_t *live;
    uint32_t k, minimum;
} eg_scan;

/* A device over an open backend, which it owns from now on even when this fails; NULL: the CPU
 * alone, with the kernels of cpu_flags. */
engram_status eg_device_create(eg_backend *other, const eg_plan *plan, const eg_device_info *info,
                               unsigned cpu_flags, eg_pool *pool, eg_device **device,
                               engram_error *error);

/* Counts a batch. True: the other backend is to do it. */
bool eg_device_starts(eg_device *device, eg_operation operation, uint64_t amount);
/* Counts a batch that the CPU does because the other backend does not; says so once. why may be
 * NULL: the backend has no such operation. */
void eg_device_falls_back(eg_device *device, const char *operation, const engram_error *why);

/* recheck.c. ENGRAM_DEVICE: the other backend has been found to be wrong. */
engram_status eg_device_trusts(const eg_device *device, engram_error *why);
/* What the other backend has just answered, done again if it is this batch's turn. ENGRAM_DEVICE
 * when it differs: the device is bad from now on. A check for which there is no memory is left out. */
engram_status eg_recheck_encode(eg_device *device, const engram_codebook *codebook,
                                const eg_view *chunks, size_t count, const uint8_t *vectors,
                                const uint32_t *spreads, engram_error *why);
engram_status eg_recheck_bundle(eg_device *device, const uint32_t *before, const uint32_t *after,
                                const uint8_t *vectors, size_t count, int sign, engram_error *why);
/* resident: the cpu backend's. */
engram_status eg_recheck_top_k(eg_device *device, const eg_resident *resident, size_t row_count,
                               const eg_scan *scan, const eg_hit *hits, const uint32_t *counts,
                               engram_error *why);

#endif
