/* Vectors to scan, held twice: as spans by the CPU, which only remembers where they are, and by
 * the device. When the device cannot take some, the arena is the CPU's for good, and each query
 * that would have been the device's counts as a fallback.
 *
 * Appending must not overlap in time with anything else; queries may. */
#include "compute/device_parts.h"

#include "base/memory.h"

struct eg_arena {
    eg_device *device;
    eg_resident *on_cpu;
    eg_resident *on_other; /* NULL: the CPU's alone */
    size_t row_count;
    engram_error why; /* the device lost it */
};

static void drop_other(eg_arena *arena)
{
    eg_backend *other = arena->device->other;
    if (arena->on_other != NULL)
        other->ops->resident_free(other, arena->on_other);
    arena->on_other = NULL;
}

static bool can_hold(const eg_backend *backend)
{
    const eg_backend_ops *ops = backend->ops;
    return ops->resident_create != NULL && ops->resident_free != NULL &&
           ops->resident_append != NULL && ops->top_k != NULL;
}

engram_status eg_arena_create(eg_device *device, eg_arena **arena, engram_error *error)
{
    eg_backend *cpu = device->cpu, *other = device->other;
    eg_arena *a = eg_alloc_zero(1, sizeof *a);
    if (a == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for an arena");
    a->device = device;
    engram_status status = cpu->ops->resident_create(cpu, &a->on_cpu, error);
    if (status != ENGRAM_OK) {
        eg_free(a);
        return status;
    }
    if (other != NULL && can_hold(other) &&
        other->ops->resident_create(other, &a->on_other, &a->why) != ENGRAM_OK)
        a->on_other = NULL;
    *arena = a;
    return ENGRAM_OK;
}

void eg_arena_free(eg_arena *arena)
{
    if (arena == NULL)
        return;
    eg_backend *cpu = arena->device->cpu;
    drop_other(arena);
    cpu->ops->resident_free(cpu, arena->on_cpu);
    eg_free(arena);
}

engram_status eg_arena_append(eg_arena *arena, eg_vectors vectors, engram_error *error)
{
    eg_backend *cpu = arena->device->cpu, *other = arena->device->other;
    EG_TRY(cpu->ops->resident_append(cpu, arena->on_cpu, vectors, error));
    arena->row_count += vectors.count;
    if (arena->on_other != NULL &&
        other->ops->resident_append(other, arena->on_other, vectors, &arena->why) != ENGRAM_OK)
        drop_other(arena);
    return ENGRAM_OK;
}

size_t eg_arena_rows(const eg_arena *arena)
{
    return arena->row_count;
}

static engram_status scan_elsewhere(const eg_arena *arena, const eg_scan *s, eg_hit *hits,
                                    uint32_t *counts, engram_error *why)
{
    eg_backend *other = arena->device->other;
    EG_TRY(eg_device_trusts(arena->device, why));
    if (arena->on_other == NULL) {
        *why = arena->why;
        return ENGRAM_DEVICE;
    }
    EG_TRY(other->ops->top_k(other, arena->on_other, s->queries, s->query_count, s->live, s->k,
                             s->minimum, hits, counts, why));
    return eg_recheck_top_k(arena->device, arena->on_cpu, arena->row_count, s, hits, counts, why);
}

engram_status eg_arena_top_k(eg_arena *arena, const uint8_t *queries, size_t query_count,
                             const uint64_t *live, uint32_t k, uint32_t minimum, eg_hit *hits,
                             uint32_t *counts, engram_error *error)
{
    eg_device *device = arena->device;
    eg_backend *cpu = device->cpu, *other = device->other;
    if (eg_device_starts(device, EG_OPERATION_TOP_K, (uint64_t)arena->row_count * query_count)) {
        const eg_scan scan = {queries, query_count, live, k, minimum};
        engram_error why = {0};
        if (scan_elsewhere(arena, &scan, hits, counts, &why) == ENGRAM_OK)
            return ENGRAM_OK;
        eg_device_falls_back(device, "top_k", can_hold(other) ? &why : NULL);
    }
    return cpu->ops->top_k(cpu, arena->on_cpu, queries, query_count, live, k, minimum, hits, counts,
                           error);
}
