/* Inside of the OpenCL backend: what its files share, and what its tests may turn.
 *
 * call.c is the layer every call of the OpenCL API passes (tests make the n-th fail), devices.c
 * finds devices, program.c builds or loads the programs, kernels.c is the table of kernels and
 * runs them, resident.c holds vectors, encode.c, bundle.c and top_k.c are the operations,
 * self_test.c checks them when a backend opens, opencl.c opens and closes it.
 *
 * One mutex per backend is held during a batch; everything below takes it as held. Work is queued
 * in order on one queue, and tiles of vectors that the device has no room for on a second one; no
 * batch returns, well or not, before both are empty. */
#ifndef EG_COMPUTE_OPENCL_OPENCL_H
#define EG_COMPUTE_OPENCL_OPENCL_H

#include <CL/cl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/backend.h"

/* Kernels come in two forms with equal answers: one work-item per thing, for CPUs, and one
 * work-group per thing around local memory, for GPUs. */
typedef enum eg_cl_form {
    EG_CL_ITEM,
    EG_CL_GROUP,
    EG_CL_FORMS,
    EG_CL_AUTO = EG_CL_FORMS
} eg_cl_form;

typedef enum eg_cl_kernel {
    EG_CL_ENCODE,
    EG_CL_BUNDLE,
    EG_CL_COUNT,
    EG_CL_COUNT_PLANES,
    EG_CL_HISTOGRAM,
    EG_CL_THRESHOLD,
    EG_CL_TALLY,
    EG_CL_PREFIX,
    EG_CL_GATHER,
    EG_CL_KERNELS
} eg_cl_kernel;

typedef enum eg_cl_file {
    EG_CL_FILE_ENCODE,
    EG_CL_FILE_BUNDLE,
    EG_CL_FILE_TOP_K,
    EG_CL_FILES
} eg_cl_file;

/* Device buffers that live as long as the backend and grow on demand. */
typedef enum eg_cl_slot {
    EG_CL_BYTES,
    EG_CL_STARTS,
    EG_CL_SIZES,
    EG_CL_WINNERS,
    EG_CL_VECTORS,
    EG_CL_SPREADS,
    EG_CL_COUNTERS,
    EG_CL_QUERIES,
    EG_CL_QUERY_PLANES,
    EG_CL_LIVE,
    EG_CL_BARS,
    EG_CL_SCORES,
    EG_CL_HISTOGRAMS,
    EG_CL_CUTS,
    EG_CL_TALLIES,
    EG_CL_TAKEN,
    EG_CL_HITS,
    EG_CL_TILE, /* and the one behind it, by turns */
    EG_CL_TILE_OTHER,
    EG_CL_SLOTS
} eg_cl_slot;

/* How work is cut. Tests make it small. */
typedef struct eg_cl_limits {
    size_t staging_size; /* bytes of chunks in one launch, unless one chunk has more */
    size_t chunk_count;  /* chunks in one launch */
    size_t bundle_count; /* vectors in one launch, < 2^31 */
    size_t query_count;  /* queries counted together, <= 256 */
    size_t pairs_first;  /* scores of the first tile of rows; doubled from tile to tile ... */
    size_t pairs_max;    /* ... up to this, < 2^31 */
    size_t span_size;    /* bytes of one buffer of resident vectors; the device may allow less */
    size_t resident_size; /* bytes of vectors that one arena keeps on a device with memory of its own ... */
    size_t tile_size;     /* ... and of the buffers through which what is beyond passes; two of them */
} eg_cl_limits;

void eg_cl_limits_init(eg_cl_limits *limits, eg_cl_form form);

typedef struct eg_cl_memory {
    cl_mem memory;
    size_t size;
} eg_cl_memory;

typedef struct eg_opencl {
    eg_backend base;
    eg_device_info info;
    eg_cl_limits limits;
    eg_cl_form form;
    bool shares_memory; /* the device reads the host's memory in place */
    pthread_mutex_t mutex;
    cl_platform_id platform;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue, uploads;
    cl_program programs[EG_CL_FILES];
    cl_kernel kernels[EG_CL_KERNELS];
    eg_cl_memory slots[EG_CL_SLOTS];
    uint8_t *staging; /* gathers chunks; staging_size bytes */
    size_t staging_size;
} eg_opencl;

static inline size_t eg_cl_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- call.c ---- */

/* Calls an OpenCL function that returns a code; a failure is ENGRAM_DEVICE with both names. */
#define EG_CL(error, function, ...)                                                                \
    eg_cl_result(eg_cl_refused() ? CL_OUT_OF_RESOURCES : function(__VA_ARGS__), #function, error)

/* The same for one that returns an object and takes a pointer to its code last. */
#define EG_CL_MAKE(error, object, code, function, ...)                                             \
    ((object) =                                                                                    \
         eg_cl_refused() ? ((code) = CL_OUT_OF_RESOURCES, NULL) : function(__VA_ARGS__, &(code)),  \
     eg_cl_made((object) != NULL), eg_cl_result(code, #function, error))

/* Releases an object made so; NULL is fine. */
#define EG_CL_RELEASE(function, object)                                                            \
    do {                                                                                           \
        if (object) {                                                                              \
            (void)function(object);                                                                \
            eg_cl_released();                                                                      \
        }                                                                                          \
    } while (0)

bool eg_cl_refused(void);
void eg_cl_made(bool made);
void eg_cl_released(void);
engram_status eg_cl_result(cl_int code, const char *function, engram_error *error);
/* "CL_OUT_OF_RESOURCES", or "unknown error". */
const char *eg_cl_code_name(cl_int code);
/* Tests: the n-th call from now (1 = next) fails without being made, 0 turns it off. */
void eg_cl_fail_at(long n);
/* Tests: that one and all later ones, as when the device is gone. */
void eg_cl_fail_from(long n);
/* Calls since the last eg_cl_fail_at. */
long eg_cl_call_count(void);
/* Objects made and not released: 0 when no backend is open. */
long eg_cl_live_count(void);

/* ---- devices.c ---- */

/* The platform and device with these indices, or ENGRAM_NO_DEVICE. */
engram_status eg_cl_device_find(unsigned platform, unsigned device, cl_platform_id *platform_id,
                                cl_device_id *device_id, engram_error *error);
engram_status eg_cl_device_describe(cl_platform_id platform, cl_device_id device,
                                    eg_device_info *info, engram_error *error);

/* ---- program.c ---- */

typedef struct eg_cl_source { /* made from kernels/ by the build */
    const char *stem;
    const char *text;
    size_t size;
} eg_cl_source;

extern const eg_cl_source eg_cl_sources[EG_CL_FILES];

/* Builds source, or loads it from the user's cache directory and keeps it there. */
engram_status eg_cl_program_open(eg_opencl *cl, const eg_cl_source *source, cl_program *program,
                                 engram_error *error);

/* ---- kernels.c ---- */

typedef struct eg_cl_arg {
    size_t size;
    const void *value;
} eg_cl_arg;

#define EG_CL_ARG(variable)                                                                        \
    {                                                                                              \
        sizeof(variable), &(variable)                                                              \
    }
#define EG_CL_SLOT(cl, slot)                                                                       \
    {                                                                                              \
        sizeof(cl_mem), &(cl)->slots[slot].memory                                                  \
    }

engram_status eg_cl_kernels_open(eg_opencl *cl, engram_error *error);
/* The name of a kernel in the backend's form. */
const char *eg_cl_kernel_name(const eg_opencl *cl, eg_cl_kernel kernel);
/* Queues groups_x * groups_y work-groups (work-items, for kernels of one). */
engram_status eg_cl_run(eg_opencl *cl, eg_cl_kernel kernel, size_t groups_x, size_t groups_y,
                        const eg_cl_arg *args, size_t arg_count, engram_error *error);

/* Buffers. reserve: the slot holds at least size bytes, its content is lost when it grows. */
engram_status eg_cl_reserve(eg_opencl *cl, eg_cl_slot slot, size_t size, engram_error *error);
engram_status eg_cl_write(eg_opencl *cl, cl_mem memory, size_t offset, const void *bytes,
                          size_t size, engram_error *error);
engram_status eg_cl_write_slot(eg_opencl *cl, eg_cl_slot slot, const void *bytes, size_t size,
                               engram_error *error);
/* Waits for everything queued before it. */
engram_status eg_cl_read_slot(eg_opencl *cl, eg_cl_slot slot, void *bytes, size_t size,
                              engram_error *error);
/* A buffer over the host's own memory, for devices that share it. */
engram_status eg_cl_lend(eg_opencl *cl, const void *bytes, size_t size, cl_mem *memory,
                         engram_error *error);
/* Queues the copying of vectors to memory that has room for total of their layout: the first goes
 * to index at. */
engram_status eg_cl_put(cl_command_queue queue, cl_mem memory, size_t total, size_t at,
                        eg_vectors vectors, engram_error *error);
/* Queues the copying of vectors into a slot, which then holds them alone, beside what the queue does.
 * They and the slot are not touched until eg_cl_await_upload; what is queued after that finds them
 * there. */
engram_status eg_cl_upload(eg_opencl *cl, eg_cl_slot slot, eg_vectors vectors, cl_event *event,
                           engram_error *error);
/* Releases the event. */
engram_status eg_cl_await_upload(eg_opencl *cl, cl_event *event, engram_error *error);
/* Waits until nothing queued is left that may still touch memory of the batch. */
void eg_cl_drain(eg_opencl *cl);

/* ---- resident.c ---- */

typedef struct eg_cl_span { /* rows in one buffer */
    cl_mem memory; /* NULL: far, which passes through tiles at each scan */
    eg_layout layout;
    size_t capacity;    /* vectors that memory has room for; what eg_vectors calls total */
    size_t first, rows; /* those of them that are the span's */
    eg_vectors lent;    /* where they begin in the host's memory, or no bytes: a copy */
} eg_cl_span;

struct eg_resident {
    eg_cl_span *spans; /* behind a far one all are far */
    size_t count, capacity;
    size_t copied; /* bytes of buffers that hold copies */
};

/* ---- entries of the table (backend.h says what they do) ---- */

engram_status eg_cl_encode(eg_backend *backend, const engram_codebook *codebook,
                           const eg_view *chunks, size_t count, uint8_t *vectors, uint32_t *spreads,
                           engram_error *error);
engram_status eg_cl_bundle(eg_backend *backend, uint32_t *counters, const uint8_t *vectors,
                           size_t count, int sign, engram_error *error);
engram_status eg_cl_resident_create(eg_backend *backend, eg_resident **resident,
                                    engram_error *error);
void eg_cl_resident_free(eg_backend *backend, eg_resident *resident);
engram_status eg_cl_resident_append(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                    engram_error *error);
engram_status eg_cl_top_k(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                          size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                          eg_hit *hits, uint32_t *counts, engram_error *error);

/* ---- self_test.c, opencl.c ---- */

/* Every operation on a small input against the scalar functions; ENGRAM_DEVICE names the kernel. */
engram_status eg_cl_self_test(eg_opencl *cl, engram_error *error);

/* As eg_backend_opencl_open, with the form of the kernels and the limits chosen (NULL: the form's
 * own). */
engram_status eg_cl_open(unsigned platform, unsigned device, eg_cl_form form,
                         const eg_cl_limits *limits, eg_backend **backend, engram_error *error);

#endif
