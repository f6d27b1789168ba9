/* Platforms and devices, by index, as the loader lists them. */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "compute/opencl/opencl.h"

enum { PLATFORMS_MAX = 16, DEVICES_MAX = 64 }; /* more are not looked at */

/* No loader entry and no platform are no failure: none. */
static unsigned list_platforms(cl_platform_id *platforms)
{
    cl_uint count = 0;
    if (EG_CL(NULL, clGetPlatformIDs, PLATFORMS_MAX, platforms, &count) != ENGRAM_OK)
        return 0;
    return count < PLATFORMS_MAX ? count : PLATFORMS_MAX;
}

static unsigned list_devices(cl_platform_id platform, cl_device_id *devices)
{
    cl_uint count = 0;
    if (EG_CL(NULL, clGetDeviceIDs, platform, CL_DEVICE_TYPE_ALL, DEVICES_MAX, devices, &count) !=
        ENGRAM_OK)
        return 0;
    return count < DEVICES_MAX ? count : DEVICES_MAX;
}

/* A text, cut to size; names are for people, so a longer one is no failure. */
static engram_status get_text(cl_device_id device, cl_device_info which, char *text, size_t size,
                              engram_error *error)
{
    char whole[1024] = "";
    EG_TRY(EG_CL(error, clGetDeviceInfo, device, which, sizeof whole - 1, whole, NULL));
    whole[sizeof whole - 1] = 0;
    snprintf(text, size, "%s", whole);
    return ENGRAM_OK;
}

static engram_status describe_driver(cl_platform_id platform, cl_device_id device,
                                     eg_device_info *info, engram_error *error)
{
    char name[512] = "", version[128];
    EG_TRY(
        EG_CL(error, clGetPlatformInfo, platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL));
    EG_TRY(get_text(device, CL_DRIVER_VERSION, version, sizeof version, error));
    snprintf(info->driver, sizeof info->driver, "%.80s %.40s", name, version);
    return ENGRAM_OK;
}

engram_status eg_cl_device_describe(cl_platform_id platform, cl_device_id device,
                                    eg_device_info *info, engram_error *error)
{
    cl_device_type type = 0;
    cl_uint units = 0;
    cl_ulong memory = 0, allocation = 0;
    snprintf(info->backend, sizeof info->backend, "opencl");
    EG_TRY(get_text(device, CL_DEVICE_NAME, info->name, sizeof info->name, error));
    EG_TRY(describe_driver(platform, device, info, error));
    EG_TRY(EG_CL(error, clGetDeviceInfo, device, CL_DEVICE_TYPE, sizeof type, &type, NULL));
    EG_TRY(EG_CL(error, clGetDeviceInfo, device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units,
                 NULL));
    EG_TRY(EG_CL(error, clGetDeviceInfo, device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory,
                 NULL));
    EG_TRY(EG_CL(error, clGetDeviceInfo, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof allocation,
                 &allocation, NULL));
    info->is_gpu = (type & CL_DEVICE_TYPE_GPU) && !(type & CL_DEVICE_TYPE_CPU);
    info->compute_units = units;
    info->memory_size = memory;
    info->allocation_max = allocation;
    return ENGRAM_OK;
}

size_t eg_opencl_list(eg_device_info *infos, size_t capacity)
{
    cl_platform_id platforms[PLATFORMS_MAX];
    unsigned platform_count = list_platforms(platforms);
    size_t listed = 0;
    for (unsigned p = 0; p < platform_count; p++) {
        cl_device_id devices[DEVICES_MAX];
        unsigned device_count = list_devices(platforms[p], devices);
        for (unsigned d = 0; d < device_count; d++) {
            eg_device_info info = {0};
            snprintf(info.spec, sizeof info.spec, "opencl:%u.%u", p, d);
            if (eg_cl_device_describe(platforms[p], devices[d], &info, NULL) != ENGRAM_OK)
                continue;
            if (listed < capacity)
                infos[listed] = info;
            listed++;
        }
    }
    return listed;
}

engram_status eg_cl_device_find(unsigned platform, unsigned device, cl_platform_id *platform_id,
                                cl_device_id *device_id, engram_error *error)
{
    cl_platform_id platforms[PLATFORMS_MAX];
    cl_device_id devices[DEVICES_MAX];
    unsigned platform_count = list_platforms(platforms);
    if (platform >= platform_count)
        return eg_fail(error, ENGRAM_NO_DEVICE,
                       "no OpenCL device %u.%u: there are %u platforms (engram devices lists them)",
                       platform, device, platform_count);
    unsigned device_count = list_devices(platforms[platform], devices);
    if (device >= device_count)
        return eg_fail(error, ENGRAM_NO_DEVICE,
                       "no OpenCL device %u.%u: platform %u has %u devices (engram devices lists "
                       "them)",
                       platform, device, platform, device_count);
    *platform_id = platforms[platform];
    *device_id = devices[device];
    return ENGRAM_OK;
}
