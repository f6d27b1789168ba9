/* What the files of the device share; device.h says what a device is. */
#ifndef EG_COMPUTE_DEVICE_PARTS_H
#define EG_COMPUTE_DEVICE_PARTS_H

#include <stdatomic.h>

#include "compute/device.h"
#include "compute/plan.h"

struct eg_device {
    eg_backend *cpu;   /* finishes what the other one does not */
    eg_backend *other; /* NULL: the CPU is the device */
    eg_plan plan;      /* what is worth giving to the other one */
    eg_device_info info;
    char used[64];
    _Atomic uint64_t batches, fallback_batches;
    atomic_bool has_warned;
};

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

#endif
