/* The device: what to give to the other backend, and the CPU when that does not work out.
 *
 * Counters are atomic and everything else is fixed once the device is open, so any thread may use
 * it. A batch counts when it starts. */
#include "compute/device_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static void close_backend(eg_backend *backend)
{
    if (backend != NULL)
        backend->ops->close(backend);
}

static void name_used(eg_device *device)
{
    if (device->other == NULL)
        snprintf(device->used, sizeof device->used, "%s", device->info.spec);
    else
        snprintf(device->used, sizeof device->used, "%.20s %.40s", device->info.spec,
                 device->info.name);
}

engram_status eg_device_create(eg_backend *other, const eg_plan *plan, const eg_device_info *info,
                               unsigned cpu_flags, eg_pool *pool, eg_device **device,
                               engram_error *error)
{
    engram_status status;
    eg_device *d = eg_alloc_zero(1, sizeof *d);
    if (d == NULL) {
        status = eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a device");
        goto fail;
    }
    status = eg_backend_cpu_open(cpu_flags, pool, &d->cpu, error);
    if (status == ENGRAM_OK && other != NULL)
        status = eg_backend_cpu_open(0, pool, &d->scalar, error);
    if (status != ENGRAM_OK)
        goto fail;
    d->other = other;
    d->check_interval = EG_DEVICE_CHECK_INTERVAL;
    d->plan = *plan;
    d->info = *info;
    name_used(d);
    *device = d;
    return ENGRAM_OK;
fail:
    if (d != NULL)
        close_backend(d->cpu);
    eg_free(d);
    close_backend(other);
    return status;
}

void eg_device_close(eg_device **device)
{
    if (*device == NULL)
        return;
    close_backend((*device)->other);
    close_backend((*device)->scalar);
    close_backend((*device)->cpu);
    eg_free(*device);
    *device = NULL;
}

void eg_device_get_stats(eg_device *device, eg_device_stats *stats)
{
    memcpy(stats->device_used, device->used, sizeof stats->device_used);
    stats->fallback_batches = atomic_load(&device->fallback_batches);
    stats->batches = atomic_load(&device->batches);
    stats->wrong_batches = atomic_load(&device->wrong_batches);
    stats->checked_batches = atomic_load(&device->checked_batches);
    stats->is_bad = atomic_load(&device->is_bad);
}

const eg_device_info *eg_device_get_info(const eg_device *device)
{
    return &device->info;
}

bool eg_device_starts(eg_device *device, eg_operation operation, uint64_t amount)
{
    atomic_fetch_add(&device->batches, 1);
    return device->other != NULL && amount >= device->plan.from[operation];
}

void eg_device_falls_back(eg_device *device, const char *operation, const engram_error *why)
{
    atomic_fetch_add(&device->fallback_batches, 1);
    if (!atomic_exchange(&device->has_warned, true))
        eg_log(EG_LOG_WARNING, "%s: %s: %s; the CPU does it", device->used, operation,
               why == NULL ? "not supported" : why->message);
}

static uint64_t total_size(const eg_view *chunks, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += chunks[i].size;
    return size;
}

static engram_status encode_elsewhere(eg_device *device, const engram_codebook *codebook,
                                      const eg_view *chunks, size_t count, uint8_t *vectors,
                                      uint32_t *spreads, engram_error *why)
{
    eg_backend *other = device->other;
    EG_TRY(eg_device_trusts(device, why));
    EG_TRY(other->ops->encode(other, codebook, chunks, count, vectors, spreads, why));
    return eg_recheck_encode(device, codebook, chunks, count, vectors, spreads, why);
}

engram_status eg_device_encode(eg_device *device, const engram_codebook *codebook,
                               const eg_view *chunks, size_t count, uint8_t *vectors,
                               uint32_t *spreads, engram_error *error)
{
    eg_backend *other = device->other, *cpu = device->cpu;
    engram_error why = {0};
    if (eg_device_starts(device, EG_OPERATION_ENCODE, other ? total_size(chunks, count) : 0)) {
        if (other->ops->encode != NULL &&
            encode_elsewhere(device, codebook, chunks, count, vectors, spreads, &why) == ENGRAM_OK)
            return ENGRAM_OK;
        eg_device_falls_back(device, "encode", other->ops->encode != NULL ? &why : NULL);
    }
    return cpu->ops->encode(cpu, codebook, chunks, count, vectors, spreads, error);
}

/* The counters are changed in place, so a device works on a copy: what it leaves there when it
 * fails half-way must not count. */
static engram_status bundle_elsewhere(eg_device *device, uint32_t *counters, const uint8_t *vectors,
                                      size_t count, int sign, engram_error *why)
{
    const size_t size = ENGRAM_BLOCKS * ENGRAM_SYMBOLS * sizeof *counters;
    eg_backend *other = device->other;
    EG_TRY(eg_device_trusts(device, why));
    uint32_t *copy = eg_memdup(counters, size);
    if (copy == NULL)
        return eg_fail(why, ENGRAM_NO_MEMORY, "no memory for a copy of the counters");
    engram_status status = other->ops->bundle(other, copy, vectors, count, sign, why);
    if (status == ENGRAM_OK)
        status = eg_recheck_bundle(device, counters, copy, vectors, count, sign, why);
    if (status == ENGRAM_OK)
        memcpy(counters, copy, size);
    eg_free(copy);
    return status;
}

engram_status eg_device_bundle(eg_device *device, uint32_t *counters, const uint8_t *vectors,
                               size_t count, int sign, engram_error *error)
{
    eg_backend *other = device->other, *cpu = device->cpu;
    engram_error why = {0};
    if (eg_device_starts(device, EG_OPERATION_BUNDLE, count)) {
        if (other->ops->bundle != NULL &&
            bundle_elsewhere(device, counters, vectors, count, sign, &why) == ENGRAM_OK)
            return ENGRAM_OK;
        eg_device_falls_back(device, "bundle", other->ops->bundle != NULL ? &why : NULL);
    }
    return cpu->ops->bundle(cpu, counters, vectors, count, sign, error);
}
