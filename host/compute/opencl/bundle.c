/* Bundling on a device. The counters go there and come back once a batch; the vectors follow in
 * launches of bounded size, small enough on a CPU for them to stay in its cache while the
 * work-items, each with its own blocks, walk over them. */
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum {
    VECTOR = ENGRAM_BLOCKS,
    PARTS = 16,     /* of a vector: OWNED blocks each, in bundle.cl */
    STRETCH = 2048, /* vectors of one work-group */
    COUNTERS_SIZE = ENGRAM_BLOCKS * ENGRAM_SYMBOLS * sizeof(uint32_t)
};

static engram_status launch(eg_opencl *cl, cl_mem vectors, size_t count, int sign,
                            engram_error *error)
{
    cl_uint count_arg = (cl_uint)count, stretch = STRETCH, delta = (cl_uint)sign;
    size_t stretches = cl->form == EG_CL_GROUP ? (count + STRETCH - 1) / STRETCH : 1;
    const eg_cl_arg args[] = {EG_CL_ARG(vectors), EG_CL_ARG(count_arg), EG_CL_ARG(stretch),
                              EG_CL_ARG(delta), EG_CL_SLOT(cl, EG_CL_COUNTERS)};
    return eg_cl_run(cl, EG_CL_BUNDLE, PARTS, stretches, args, sizeof args / sizeof *args, error);
}

static engram_status add(eg_opencl *cl, const uint8_t *vectors, size_t count, int sign,
                         engram_error *error)
{
    cl_mem lent = NULL;
    engram_status status;
    if (cl->shares_memory) {
        EG_TRY_DONE(eg_cl_lend(cl, vectors, count * VECTOR, &lent, error));
    } else {
        EG_TRY_DONE(eg_cl_write_slot(cl, EG_CL_VECTORS, vectors, count * VECTOR, error));
    }
    EG_TRY_DONE(launch(cl, lent ? lent : cl->slots[EG_CL_VECTORS].memory, count, sign, error));
done:
    eg_cl_drain(cl);
    EG_CL_RELEASE(clReleaseMemObject, lent);
    return status;
}

static engram_status bundle(eg_opencl *cl, uint32_t *counters, const uint8_t *vectors, size_t count,
                            int sign, engram_error *error)
{
    EG_TRY(eg_cl_write_slot(cl, EG_CL_COUNTERS, counters, COUNTERS_SIZE, error));
    for (size_t at = 0; at < count;) {
        size_t part = count - at < cl->limits.bundle_count ? count - at : cl->limits.bundle_count;
        EG_TRY(add(cl, vectors + at * VECTOR, part, sign, error));
        at += part;
    }
    return eg_cl_read_slot(cl, EG_CL_COUNTERS, counters, COUNTERS_SIZE, error);
}

engram_status eg_cl_bundle(eg_backend *backend, uint32_t *counters, const uint8_t *vectors,
                           size_t count, int sign, engram_error *error)
{
    eg_opencl *cl = (eg_opencl *)backend;
    pthread_mutex_lock(&cl->mutex);
    engram_status status = bundle(cl, counters, vectors, count, sign, error);
    eg_cl_drain(cl);
    pthread_mutex_unlock(&cl->mutex);
    return status;
}
