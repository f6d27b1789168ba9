/* Backends: devices that own memory, run whole batches, and may fail.
 *
 * Two implementers: `cpu` (over the kernels and a thread pool) and `opencl`. A batch is all or
 * nothing: on failure the outputs are undefined and the caller (device.h) does the batch on `cpu`.
 * An entry that is NULL is one the backend does not do. Calls on one backend may come from several
 * threads; the backend serialises them as it must. Answers equal the scalar kernels' byte for byte. */
#ifndef EG_COMPUTE_BACKEND_H
#define EG_COMPUTE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "base/status.h"
#include "compute/top.h"
#include "engram/hypervector.h"
#include "vsa/layout.h"

typedef struct eg_backend eg_backend;
typedef struct eg_resident eg_resident; /* vectors a backend holds for scanning */

typedef struct eg_backend_ops {
    const char *name; /* "cpu", "opencl" */

    void (*close)(eg_backend *backend);

    /* vectors: count * 256 bytes out; spreads: count out. Chunks may be empty; each < 2^31 bytes. */
    engram_status (*encode)(eg_backend *backend, const engram_codebook *codebook,
                            const eg_view *chunks, size_t count, uint8_t *vectors,
                            uint32_t *spreads, engram_error *error);

    /* counters: 65,536, changed in place by sign (1 or -1) for each vector. */
    engram_status (*bundle)(eg_backend *backend, uint32_t *counters, const uint8_t *vectors,
                            size_t count, int sign, engram_error *error);

    /* An empty resident set; free accepts NULL. */
    engram_status (*resident_create)(eg_backend *backend, eg_resident **resident, engram_error *error);
    void (*resident_free)(eg_backend *backend, eg_resident *resident);
    /* Adds vectors after those there, a row each. Their bytes are lent until resident_free: a CPU
     * backend scans them in place, a device copies them. */
    engram_status (*resident_append)(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                     engram_error *error);
    /* The k best rows for each query among those whose bit in live is set (bit = row number in the
     * resident set; NULL: all), with at least minimum matches, best first (eg_hit_before).
     * hits: query_count * k; counts[q] of them are filled. k <= EG_TOP_K_MAX. */
    engram_status (*top_k)(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                           size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                           eg_hit *hits, uint32_t *counts, engram_error *error);
} eg_backend_ops;

/* Every backend's struct begins with this. */
struct eg_backend {
    const eg_backend_ops *ops;
};

typedef struct eg_device_info {
    char spec[32];     /* what --device takes: "avx512", "opencl:0.0" */
    char backend[8];   /* "cpu", "opencl" */
    char name[128];    /* the device's own name */
    char driver[128];  /* platform and driver version; "" for cpu */
    bool is_gpu;
    unsigned compute_units;
    uint64_t memory_size;     /* bytes of device memory, 0 unknown */
    uint64_t allocation_max;  /* bytes in one allocation, 0 unknown */
} eg_device_info;

/* The CPU with the kernels of cpu_flags. pool is lent and may be NULL. */
engram_status eg_backend_cpu_open(unsigned cpu_flags, eg_pool *pool, eg_backend **backend, engram_error *error);

/* OpenCL. list: at most capacity infos are filled; returns how many devices there are (0 when there
 * is no loader or no platform: never an error). open: by platform and device index; builds or loads
 * the kernels, runs the self-test; ENGRAM_NO_DEVICE or ENGRAM_DEVICE with the build log's first lines
 * in error (the whole log goes to eg_log). */
size_t eg_opencl_list(eg_device_info *infos, size_t capacity);
engram_status eg_backend_opencl_open(unsigned platform, unsigned device, eg_backend **backend, engram_error *error);

#endif
