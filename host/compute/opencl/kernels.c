/* The table of kernels, how they are loaded and run, and the buffers they work on. */
#include <string.h>

#include "base/status.h"
#include "compute/opencl/opencl.h"

/* What each kernel is called in either form, and the size of its work-groups. */
static const struct kernel_info {
    eg_cl_file file;
    const char *names[EG_CL_FORMS];
    size_t group_size[EG_CL_FORMS];
} infos[EG_CL_KERNELS] = {
    [EG_CL_ENCODE] = {EG_CL_FILE_ENCODE, {"encode_item", "encode_group"}, {1, 256}},
    [EG_CL_BUNDLE] = {EG_CL_FILE_BUNDLE, {"bundle_item", "bundle_group"}, {1, 256}},
    [EG_CL_COUNT] = {EG_CL_FILE_TOP_K, {"top_k_count_item", "top_k_count_group"}, {1, 64}},
    [EG_CL_COUNT_PLANES] = {EG_CL_FILE_TOP_K,
                            {"top_k_count_planes_item", "top_k_count_planes_group"},
                            {1, 64}},
    [EG_CL_HISTOGRAM] = {EG_CL_FILE_TOP_K,
                         {"top_k_histogram_item", "top_k_histogram_group"},
                         {1, 64}},
    [EG_CL_THRESHOLD] = {EG_CL_FILE_TOP_K, {"top_k_threshold", "top_k_threshold"}, {1, 1}},
    [EG_CL_TALLY] = {EG_CL_FILE_TOP_K, {"top_k_tally_item", "top_k_tally_group"}, {1, 64}},
    [EG_CL_PREFIX] = {EG_CL_FILE_TOP_K, {"top_k_prefix", "top_k_prefix"}, {1, 1}},
    [EG_CL_GATHER] = {EG_CL_FILE_TOP_K, {"top_k_gather_item", "top_k_gather_group"}, {1, 64}},
};

const char *eg_cl_kernel_name(const eg_opencl *cl, eg_cl_kernel kernel)
{
    return infos[kernel].names[cl->form];
}

engram_status eg_cl_kernels_open(eg_opencl *cl, engram_error *error)
{
    for (size_t i = 0; i < EG_CL_FILES; i++)
        EG_TRY(eg_cl_program_open(cl, &eg_cl_sources[i], &cl->programs[i], error));
    for (size_t i = 0; i < EG_CL_KERNELS; i++) {
        cl_int code;
        EG_TRY(EG_CL_MAKE(error, cl->kernels[i], code, clCreateKernel, cl->programs[infos[i].file],
                          infos[i].names[cl->form]));
    }
    return ENGRAM_OK;
}

engram_status eg_cl_run(eg_opencl *cl, eg_cl_kernel kernel, size_t groups_x, size_t groups_y,
                        const eg_cl_arg *args, size_t arg_count, engram_error *error)
{
    size_t local[2] = {infos[kernel].group_size[cl->form], 1};
    size_t global[2] = {groups_x * local[0], groups_y};
    for (size_t i = 0; i < arg_count; i++)
        EG_TRY(EG_CL(error, clSetKernelArg, cl->kernels[kernel], (cl_uint)i, args[i].size,
                     args[i].value));
    return EG_CL(error, clEnqueueNDRangeKernel, cl->queue, cl->kernels[kernel], 2, NULL, global,
                 local, 0, NULL, NULL);
}

engram_status eg_cl_reserve(eg_opencl *cl, eg_cl_slot slot, size_t size, engram_error *error)
{
    eg_cl_memory *m = &cl->slots[slot];
    cl_int code;
    if (size <= m->size && m->memory)
        return ENGRAM_OK;
    if (size > cl->info.allocation_max)
        return eg_fail(error, ENGRAM_DEVICE, "%s: a buffer of %zu bytes, the device allows %llu",
                       cl->info.spec, size, (unsigned long long)cl->info.allocation_max);
    EG_CL_RELEASE(clReleaseMemObject, m->memory);
    *m = (eg_cl_memory){0};
    EG_TRY(EG_CL_MAKE(error, m->memory, code, clCreateBuffer, cl->context, CL_MEM_READ_WRITE,
                      size ? size : 1, NULL));
    m->size = size;
    return ENGRAM_OK;
}

static engram_status write_on(cl_command_queue queue, cl_mem memory, size_t offset,
                              const void *bytes, size_t size, engram_error *error)
{
    if (size == 0)
        return ENGRAM_OK;
    return EG_CL(error, clEnqueueWriteBuffer, queue, memory, CL_FALSE, offset, size, bytes, 0, NULL,
                 NULL);
}

engram_status eg_cl_write(eg_opencl *cl, cl_mem memory, size_t offset, const void *bytes,
                          size_t size, engram_error *error)
{
    return write_on(cl->queue, memory, offset, bytes, size, error);
}

engram_status eg_cl_write_slot(eg_opencl *cl, eg_cl_slot slot, const void *bytes, size_t size,
                               engram_error *error)
{
    EG_TRY(eg_cl_reserve(cl, slot, size, error));
    return eg_cl_write(cl, cl->slots[slot].memory, 0, bytes, size, error);
}

engram_status eg_cl_read_slot(eg_opencl *cl, eg_cl_slot slot, void *bytes, size_t size,
                              engram_error *error)
{
    return EG_CL(error, clEnqueueReadBuffer, cl->queue, cl->slots[slot].memory, CL_TRUE, 0, size,
                 bytes, 0, NULL, NULL);
}

engram_status eg_cl_lend(eg_opencl *cl, const void *bytes, size_t size, cl_mem *memory,
                         engram_error *error)
{
    cl_int code;
    return EG_CL_MAKE(error, *memory, code, clCreateBuffer, cl->context,
                      CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, size, (void *)(uintptr_t)bytes);
}

/* How many of the vectors in planes, from the first on, are the same bytes in one piece where they
 * go: groups, of which the last is as long there as here. */
static size_t whole_groups(eg_vectors v, size_t total, size_t at)
{
    if (v.first % EG_GROUP_ROWS != 0 || at % EG_GROUP_ROWS != 0)
        return 0;
    bool ends = v.first + v.count == v.total && at + v.count == total;
    return ends ? v.count : v.count / EG_GROUP_ROWS * EG_GROUP_ROWS;
}

/* Puts some of the vectors, the first among them; *done: how many. */
static engram_status put_planes(cl_command_queue queue, cl_mem memory, size_t total, size_t at,
                                eg_vectors v, size_t *done, engram_error *error)
{
    const uint8_t *lead = v.bytes + eg_planes_lead(v.first);
    *done = whole_groups(v, total, at);
    if (*done > 0)
        return write_on(queue, memory, eg_planes_lead(at), lead, *done * ENGRAM_BLOCKS, error);
    *done = eg_cl_smaller(eg_vectors_run(&v, 0), EG_GROUP_ROWS - at % EG_GROUP_ROWS);
    EG_TRY(write_on(queue, memory, eg_planes_lead(at), lead, *done * EG_LEAD_SIZE, error));
    return write_on(queue, memory, eg_planes_rest(total, at),
                    v.bytes + eg_planes_rest(v.total, v.first), *done * EG_REST_SIZE, error);
}

engram_status eg_cl_put(cl_command_queue queue, cl_mem memory, size_t total, size_t at,
                        eg_vectors vectors, engram_error *error)
{
    if (vectors.layout == EG_LAYOUT_ROWS)
        return write_on(queue, memory, at * ENGRAM_BLOCKS,
                        vectors.bytes + vectors.first * ENGRAM_BLOCKS,
                        vectors.count * ENGRAM_BLOCKS, error);
    for (size_t done; vectors.count > 0; at += done) {
        EG_TRY(put_planes(queue, memory, total, at, vectors, &done, error));
        vectors = eg_vectors_part(vectors, done, vectors.count - done);
    }
    return ENGRAM_OK;
}

engram_status eg_cl_upload(eg_opencl *cl, eg_cl_slot slot, eg_vectors vectors, cl_event *event,
                           engram_error *error)
{
    EG_TRY(eg_cl_reserve(cl, slot, vectors.count * ENGRAM_BLOCKS, error));
    EG_TRY(eg_cl_put(cl->uploads, cl->slots[slot].memory, vectors.count, 0, vectors, error));
    engram_status status =
        EG_CL(error, clEnqueueMarkerWithWaitList, cl->uploads, 0, NULL, event);
    eg_cl_made(status == ENGRAM_OK);
    return status == ENGRAM_OK ? EG_CL(error, clFlush, cl->uploads) : status;
}

engram_status eg_cl_await_upload(eg_opencl *cl, cl_event *event, engram_error *error)
{
    engram_status status = EG_CL(error, clEnqueueBarrierWithWaitList, cl->queue, 1, event, NULL);
    EG_CL_RELEASE(clReleaseEvent, *event);
    *event = NULL;
    return status;
}

void eg_cl_drain(eg_opencl *cl)
{
    clFinish(cl->uploads);
    clFinish(cl->queue);
}
