/* From which size on a batch is worth giving to a device, per operation.
 *
 * The amounts are bytes for encode, vectors for bundle, pairs (rows x queries) for top_k. Plans are
 * remembered in a text file of $XDG_CACHE_HOME/engram (or ~/.cache/engram) that names the device,
 * its driver and the kernels it was compared with; a file that says anything unexpected is as good
 * as none. */
#ifndef EG_COMPUTE_PLAN_H
#define EG_COMPUTE_PLAN_H

#include "base/io.h"
#include "compute/backend.h"

typedef enum eg_operation {
    EG_OPERATION_ENCODE,
    EG_OPERATION_BUNDLE,
    EG_OPERATION_TOP_K,
    EG_OPERATION_COUNT
} eg_operation;

extern const char *const eg_operation_names[EG_OPERATION_COUNT];

typedef struct eg_plan {
    uint64_t from[EG_OPERATION_COUNT]; /* UINT64_MAX: never */
} eg_plan;

/* Everything to the device. */
eg_plan eg_plan_all(void);

/* Times both backends on a few sizes, some milliseconds each. An operation that either lacks or
 * fails is never given away. ENGRAM_NO_MEMORY. */
engram_status eg_plan_calibrate(eg_backend *cpu, eg_backend *other, eg_plan *plan,
                                engram_error *error);

/* The file for this device beside these CPU kernels, in fresh memory (eg_free); NULL: nowhere to
 * keep one, or no memory. */
char *eg_plan_path(const eg_device_info *info, const char *kernels);
/* False: there is no plan, or none that can be trusted. */
bool eg_plan_load(eg_io *io, const char *path, const eg_device_info *info, const char *kernels,
                  eg_plan *plan);
/* Makes the folders it needs. */
engram_status eg_plan_save(eg_io *io, const char *path, const eg_device_info *info,
                           const char *kernels, const eg_plan *plan, engram_error *error);

#endif
