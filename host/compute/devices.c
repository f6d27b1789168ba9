/* Which devices there are, and opening one by name. */
#include "compute/device_parts.h"

#include <cpuid.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "compute/kernels.h"

enum { DEVICES_MAX = 64 };

static const struct table {
    const char *spec;
    unsigned flags;
} tables[] = {
    {"scalar", 0},
    {"avx2", EG_CPU_AVX2},
    {"avx512", EG_CPU_AVX2 | EG_CPU_AVX512},
};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

#ifdef ENGRAM_HAVE_OPENCL
static size_t list_opencl(eg_device_info *infos, size_t capacity)
{
    return eg_opencl_list(infos, capacity);
}

static engram_status open_opencl(const char *spec, eg_backend **backend, engram_error *error)
{
    unsigned platform, index;
    if (sscanf(spec, "opencl:%u.%u", &platform, &index) != 2)
        return eg_fail(error, ENGRAM_NO_DEVICE, "'%s' names no OpenCL device", spec);
    return eg_backend_opencl_open(platform, index, backend, error);
}
#else
static size_t list_opencl(eg_device_info *infos, size_t capacity)
{
    (void)infos;
    (void)capacity;
    return 0;
}

static engram_status open_opencl(const char *spec, eg_backend **backend, engram_error *error)
{
    (void)backend;
    return eg_fail(error, ENGRAM_NO_DEVICE, "'%s': this build has no OpenCL", spec);
}
#endif

static void cpu_name(char *name, size_t size)
{
    unsigned words[12] = {0}, highest = __get_cpuid_max(0x80000000u, NULL);
    for (unsigned i = 0; i < 3 && highest >= 0x80000004u; i++)
        __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    snprintf(name, size, "%.48s", words[0] != 0 ? (const char *)words : "CPU");
}

static eg_device_info cpu_info(const struct table *table)
{
    eg_device_info info = {.backend = "cpu"};
    long units = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(info.spec, sizeof info.spec, "%s", table->spec);
    cpu_name(info.name, sizeof info.name);
    info.compute_units = units > 0 ? (unsigned)units : 1;
    return info;
}

static size_t list_cpu(eg_device_info *infos, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if ((tables[i].flags & ~eg_cpu_flags()) != 0)
            continue;
        if (count < capacity)
            infos[count] = cpu_info(&tables[i]);
        count++;
    }
    return count;
}

size_t eg_device_list(eg_device_info *infos, size_t capacity)
{
    size_t count = list_cpu(infos, capacity);
    size_t room = capacity > count ? capacity - count : 0;
    return count + list_opencl(room > 0 ? infos + count : NULL, room);
}

/* What there is, in one allocation. */
typedef struct listing {
    size_t count;
    eg_device_info infos[DEVICES_MAX];
} listing;

static listing *listing_create(bool has_opencl)
{
    listing *l = eg_alloc_zero(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->count = has_opencl ? eg_device_list(l->infos, DEVICES_MAX) : list_cpu(l->infos, DEVICES_MAX);
    if (l->count > DEVICES_MAX)
        l->count = DEVICES_MAX;
    return l;
}

static bool is_opencl(const eg_device_info *info)
{
    return strcmp(info->backend, "opencl") == 0;
}

/* The first device of this name; "opencl" is the first GPU, or else the first OpenCL device. */
static const eg_device_info *find(const listing *l, const char *spec)
{
    const eg_device_info *found = NULL;
    const bool any = strcmp(spec, "opencl") == 0;
    for (size_t i = 0; i < l->count; i++) {
        const eg_device_info *info = &l->infos[i];
        if (!any && strcmp(info->spec, spec) == 0)
            return info;
        if (any && is_opencl(info) && (found == NULL || (info->is_gpu && !found->is_gpu)))
            found = info;
    }
    return found;
}

static const eg_device_info *find_gpu(const listing *l)
{
    const eg_device_info *found = find(l, "opencl");
    return found != NULL && found->is_gpu ? found : NULL;
}

static const eg_device_info *best_cpu(const listing *l)
{
    const eg_device_info *best = &l->infos[0]; /* scalar is always there */
    for (size_t i = 1; i < l->count && !is_opencl(&l->infos[i]); i++)
        best = &l->infos[i];
    return best;
}

static engram_status refuse(const listing *l, const char *spec, engram_error *error)
{
    char names[512] = "auto";
    size_t size = strlen(names);
    for (size_t i = 0; i < l->count && size < sizeof names; i++)
        size += (size_t)snprintf(names + size, sizeof names - size, ", %s", l->infos[i].spec);
    return eg_fail(error, ENGRAM_NO_DEVICE, "no compute device '%s' on this machine; there are: %s",
                   spec, names);
}

static unsigned flags_of(const char *spec)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(tables[i].spec, spec) == 0)
            return tables[i].flags;
    return eg_cpu_flags();
}

static engram_status open_named(const eg_device_info *info, eg_pool *pool, eg_device **device,
                                engram_error *error)
{
    eg_backend *other = NULL;
    const eg_plan plan = eg_plan_all();
    if (is_opencl(info))
        EG_TRY(open_opencl(info->spec, &other, error));
    return eg_device_create(other, &plan, info, flags_of(info->spec), pool, device, error);
}

/* The remembered plan, or a new one. A plan that cannot be kept is no failure. */
static engram_status make_plan(eg_backend *gpu, const eg_device_info *info, const char *kernels,
                               eg_pool *pool, eg_plan *plan, engram_error *error)
{
    char *path = eg_plan_path(info, kernels);
    eg_backend *cpu = NULL;
    engram_error unkept = {0};
    engram_status status = ENGRAM_OK;
    if (path != NULL && eg_plan_load(eg_io_posix(), path, info, kernels, plan))
        goto done;
    EG_TRY_DONE(eg_backend_cpu_open(eg_cpu_flags(), pool, &cpu, error));
    EG_TRY_DONE(eg_plan_calibrate(cpu, gpu, plan, error));
    if (path != NULL &&
        eg_plan_save(eg_io_posix(), path, info, kernels, plan, &unkept) != ENGRAM_OK)
        eg_log(EG_LOG_INFO, "the calibration of %s is not remembered: %s", info->spec,
               unkept.message);
done:
    if (cpu != NULL)
        cpu->ops->close(cpu);
    eg_free(path);
    return status;
}

/* A GPU where it wins; the CPU alone where there is none, or none that works. */
static engram_status open_auto(const listing *l, eg_pool *pool, eg_device **device,
                               engram_error *error)
{
    const eg_device_info *cpu = best_cpu(l), *gpu = find_gpu(l);
    eg_backend *other = NULL;
    eg_plan plan;
    engram_error why = {0};
    if (gpu == NULL)
        return open_named(cpu, pool, device, error);
    if (open_opencl(gpu->spec, &other, &why) != ENGRAM_OK) {
        eg_log(EG_LOG_WARNING, "%s is left out: %s", gpu->spec, why.message);
        return open_named(cpu, pool, device, error);
    }
    engram_status status = make_plan(other, gpu, cpu->spec, pool, &plan, error);
    if (status != ENGRAM_OK) {
        other->ops->close(other);
        return status;
    }
    return eg_device_create(other, &plan, gpu, eg_cpu_flags(), pool, device, error);
}

/* Whether the system has a file of a GPU's driver. Asking OpenCL loads every implementation there is, with its
 * compiler, which takes a small run more processor and memory than all the rest of it. */
static bool may_have_gpu(void)
{
    static const char *const patterns[] = {"/dev/nvidiactl", "/dev/dri/renderD*", "/dev/kfd",
                                           "/dev/dxg",       "/dev/mali*",        "/dev/kgsl-3d*"};
    bool is_there = false;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns && !is_there; i++) {
        glob_t files = {0};
        is_there = glob(patterns[i], GLOB_NOSORT, NULL, &files) == 0;
        globfree(&files);
    }
    return is_there;
}

static bool is_table(const char *spec)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(tables[i].spec, spec) == 0 && (tables[i].flags & ~eg_cpu_flags()) == 0)
            return true;
    return false;
}

engram_status eg_device_open(const char *spec, eg_pool *pool, eg_device **device,
                             engram_error *error)
{
    const bool is_auto = spec == NULL || strcmp(spec, "auto") == 0;
    listing *l = listing_create(is_auto ? may_have_gpu() : !is_table(spec));
    if (l == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to list the devices");
    engram_status status;
    const eg_device_info *info = spec == NULL ? NULL : find(l, spec);
    if (is_auto)
        status = open_auto(l, pool, device, error);
    else if (info == NULL)
        status = refuse(l, spec, error);
    else
        status = open_named(info, pool, device, error);
    eg_free(l);
    return status;
}
