/* Opening and closing an OpenCL backend. */
#include "compute/opencl/opencl.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

void eg_cl_limits_init(eg_cl_limits *limits, eg_cl_form form)
{
    *limits = (eg_cl_limits){.staging_size = 64 << 20,
                             .chunk_count = 16384,
                             .bundle_count = 65536,
                             .query_count = 64,
                             .pairs_first = 4 << 20,
                             .pairs_max = 16 << 20,
                             .span_size = SIZE_MAX,
                             .resident_size = SIZE_MAX,
                             .tile_size = 128 << 20};
    if (form == EG_CL_ITEM) { /* what several passes walk over stays in a CPU's cache */
        limits->bundle_count = 8192;
        limits->pairs_first = 1 << 17; /* so bars rise early */
        limits->pairs_max = 1 << 20;
    }
}

static void cl_close(eg_backend *backend)
{
    eg_opencl *cl = (eg_opencl *)backend;
    for (size_t i = 0; i < EG_CL_SLOTS; i++)
        EG_CL_RELEASE(clReleaseMemObject, cl->slots[i].memory);
    for (size_t i = 0; i < EG_CL_KERNELS; i++)
        EG_CL_RELEASE(clReleaseKernel, cl->kernels[i]);
    for (size_t i = 0; i < EG_CL_FILES; i++)
        EG_CL_RELEASE(clReleaseProgram, cl->programs[i]);
    EG_CL_RELEASE(clReleaseCommandQueue, cl->uploads);
    EG_CL_RELEASE(clReleaseCommandQueue, cl->queue);
    EG_CL_RELEASE(clReleaseContext, cl->context);
    pthread_mutex_destroy(&cl->mutex);
    eg_free(cl->staging);
    eg_free(cl);
}

static const eg_backend_ops ops = {.name = "opencl",
                                   .close = cl_close,
                                   .encode = eg_cl_encode,
                                   .bundle = eg_cl_bundle,
                                   .resident_create = eg_cl_resident_create,
                                   .resident_free = eg_cl_resident_free,
                                   .resident_append = eg_cl_resident_append,
                                   .top_k = eg_cl_top_k};

/* What the kernels need of a device. */
static engram_status check_device(eg_opencl *cl, engram_error *error)
{
    char version[256] = "";
    unsigned major = 0, minor = 0;
    cl_bool compiles = CL_FALSE, is_little = CL_FALSE;
    EG_TRY(EG_CL(error, clGetDeviceInfo, cl->device, CL_DEVICE_VERSION, sizeof version - 1, version,
                 NULL));
    EG_TRY(EG_CL(error, clGetDeviceInfo, cl->device, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiles,
                 &compiles, NULL));
    EG_TRY(EG_CL(error, clGetDeviceInfo, cl->device, CL_DEVICE_ENDIAN_LITTLE, sizeof is_little,
                 &is_little, NULL));
    if (sscanf(version, "OpenCL %u.%u", &major, &minor) != 2 || 100 * major + minor < 102)
        return eg_fail(error, ENGRAM_DEVICE, "%s (%s) has %s, 1.2 is needed", cl->info.spec,
                       cl->info.name, version[0] ? version : "no OpenCL version");
    if (!compiles || !is_little)
        return eg_fail(error, ENGRAM_DEVICE, "%s (%s) %s", cl->info.spec, cl->info.name,
                       compiles ? "is big-endian" : "has no compiler");
    return ENGRAM_OK;
}

static engram_status open_device(eg_opencl *cl, eg_cl_form form, const eg_cl_limits *limits,
                                 engram_error *error)
{
    cl_int code;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)cl->platform, 0};
    EG_TRY(eg_cl_device_describe(cl->platform, cl->device, &cl->info, error));
    EG_TRY(check_device(cl, error));
    cl->form = form != EG_CL_AUTO ? form : cl->info.is_gpu ? EG_CL_GROUP : EG_CL_ITEM;
    eg_cl_limits_init(&cl->limits, cl->form);
    if (limits)
        cl->limits = *limits;
    /* A quarter is left for tiles, scores, and whoever else uses the device. */
    if (cl->info.memory_size != 0 && cl->limits.resident_size > cl->info.memory_size / 4 * 3)
        cl->limits.resident_size = cl->info.memory_size / 4 * 3;
    /* Kernels for groups read whole words, which lent memory need not have. */
    cl->shares_memory = !cl->info.is_gpu && cl->form == EG_CL_ITEM;
    EG_TRY(EG_CL_MAKE(error, cl->context, code, clCreateContext, properties, 1, &cl->device, NULL,
                      NULL));
    EG_TRY(EG_CL_MAKE(error, cl->queue, code, clCreateCommandQueue, cl->context, cl->device, 0));
    EG_TRY(EG_CL_MAKE(error, cl->uploads, code, clCreateCommandQueue, cl->context, cl->device, 0));
    EG_TRY(eg_cl_kernels_open(cl, error));
    return eg_cl_self_test(cl, error);
}

engram_status eg_cl_open(unsigned platform, unsigned device, eg_cl_form form,
                         const eg_cl_limits *limits, eg_backend **backend, engram_error *error)
{
    *backend = NULL;
    eg_opencl *cl = eg_alloc_zero(1, sizeof *cl);
    if (!cl)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for an OpenCL backend");
    cl->base.ops = &ops;
    pthread_mutex_init(&cl->mutex, NULL);
    snprintf(cl->info.spec, sizeof cl->info.spec, "opencl:%u.%u", platform, device);
    engram_status status = eg_cl_device_find(platform, device, &cl->platform, &cl->device, error);
    if (status == ENGRAM_OK)
        status = open_device(cl, form, limits, error);
    if (status != ENGRAM_OK) {
        cl_close(&cl->base);
        return status;
    }
    *backend = &cl->base;
    return ENGRAM_OK;
}

engram_status eg_backend_opencl_open(unsigned platform, unsigned device, eg_backend **backend,
                                     engram_error *error)
{
    return eg_cl_open(platform, device, EG_CL_AUTO, NULL, backend, error);
}
