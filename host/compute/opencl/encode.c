/* Encoding on a device: a batch is cut into pieces of bounded size, each one launch.
 *
 * A device that shares memory reads the chunks where they are when they follow each other in one
 * buffer of the caller's; otherwise they are gathered, each at a multiple of 16 bytes, and 16 more
 * bytes follow the last (the kernels for work-groups read whole words). */
#include <string.h>

#include "base/memory.h"
#include "base/status.h"
#include "compute/opencl/opencl.h"

enum { ALIGNMENT = 16, GAP_MAX = 4095, VECTOR = ENGRAM_BLOCKS };

/* A piece of a batch. starts and sizes have room for limits.chunk_count. */
typedef struct piece {
    const eg_view *chunks;
    size_t count;
    uint64_t *starts; /* of each chunk in bytes */
    uint32_t *sizes;
    cl_mem lent; /* or NULL: the bytes are in their slot */
} piece;

static uint64_t padded(uint64_t size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* How many of the chunks make one piece; at least one. */
static size_t take(const eg_opencl *cl, const eg_view *chunks, size_t count)
{
    size_t taken = 1;
    uint64_t size = padded(chunks[0].size);
    while (taken < count && taken < cl->limits.chunk_count) {
        size += padded(chunks[taken].size);
        if (size > cl->limits.staging_size)
            break;
        taken++;
    }
    return taken;
}

/* Whether the chunks stand in order in one buffer, with gaps so small that each lies in pages that
 * the chunks beside it touch. Chunks without bytes stand anywhere. *size: from first to last. */
static bool is_in_order(const piece *p, const uint8_t **first, size_t *size)
{
    const uint8_t *end = NULL;
    *first = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const eg_view *c = &p->chunks[i];
        if (c->size == 0)
            continue;
        if (end && (c->data < end || c->data - end > GAP_MAX))
            return false;
        if (!end)
            *first = c->data;
        end = c->data + c->size;
    }
    *size = end ? (size_t)(end - *first) : 0;
    return end != NULL;
}

static engram_status lend(eg_opencl *cl, piece *p, const uint8_t *first, size_t size,
                          engram_error *error)
{
    for (size_t i = 0; i < p->count; i++)
        p->starts[i] = p->chunks[i].size ? (uint64_t)(p->chunks[i].data - first) : 0;
    return eg_cl_lend(cl, first, size, &p->lent, error);
}

static engram_status grow_staging(eg_opencl *cl, size_t size, engram_error *error)
{
    if (size <= cl->staging_size)
        return ENGRAM_OK;
    eg_free(cl->staging);
    cl->staging_size = 0;
    cl->staging = eg_alloc_aligned(64, size);
    if (!cl->staging)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory to gather %zu bytes of chunks", size);
    cl->staging_size = size;
    return ENGRAM_OK;
}

static engram_status gather(eg_opencl *cl, piece *p, engram_error *error)
{
    uint64_t size = 0;
    for (size_t i = 0; i < p->count; i++) {
        p->starts[i] = size;
        size += padded(p->sizes[i]);
    }
    EG_TRY(grow_staging(cl, size, error));
    for (size_t i = 0; i < p->count; i++)
        if (p->sizes[i] > 0)
            memcpy(cl->staging + p->starts[i], p->chunks[i].data, p->sizes[i]);
    EG_TRY(eg_cl_reserve(cl, EG_CL_BYTES, size + ALIGNMENT, error));
    return eg_cl_write(cl, cl->slots[EG_CL_BYTES].memory, 0, cl->staging, size, error);
}

/* One chunk needs no gathering, however large it is. */
static engram_status copy_single(eg_opencl *cl, piece *p, engram_error *error)
{
    p->starts[0] = 0;
    EG_TRY(eg_cl_reserve(cl, EG_CL_BYTES, padded(p->sizes[0]) + ALIGNMENT, error));
    return eg_cl_write(cl, cl->slots[EG_CL_BYTES].memory, 0, p->chunks[0].data, p->sizes[0], error);
}

static engram_status place(eg_opencl *cl, piece *p, engram_error *error)
{
    const uint8_t *first;
    size_t size;
    for (size_t i = 0; i < p->count; i++) {
        if (p->chunks[i].size > INT32_MAX)
            return eg_fail(error, ENGRAM_INVALID, "a chunk of %zu bytes is over 2^31 - 1",
                           p->chunks[i].size);
        p->sizes[i] = (uint32_t)p->chunks[i].size;
    }
    if (cl->shares_memory && is_in_order(p, &first, &size))
        return lend(cl, p, first, size, error);
    return p->count == 1 ? copy_single(cl, p, error) : gather(cl, p, error);
}

static engram_status launch(eg_opencl *cl, piece *p, const engram_codebook *codebook,
                            engram_error *error)
{
    cl_ulong s1 = codebook->s1, s2 = codebook->s2;
    EG_TRY(eg_cl_write_slot(cl, EG_CL_STARTS, p->starts, p->count * sizeof *p->starts, error));
    EG_TRY(eg_cl_write_slot(cl, EG_CL_SIZES, p->sizes, p->count * sizeof *p->sizes, error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_WINNERS, p->count * VECTOR * sizeof(uint32_t), error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_VECTORS, p->count * VECTOR, error));
    EG_TRY(eg_cl_reserve(cl, EG_CL_SPREADS, p->count * sizeof(uint32_t), error));
    const cl_mem *bytes = p->lent ? &p->lent : &cl->slots[EG_CL_BYTES].memory;
    const eg_cl_arg args[] = {{sizeof(cl_mem), bytes},
                              EG_CL_SLOT(cl, EG_CL_STARTS),
                              EG_CL_SLOT(cl, EG_CL_SIZES),
                              EG_CL_ARG(s1),
                              EG_CL_ARG(s2),
                              EG_CL_SLOT(cl, EG_CL_WINNERS),
                              EG_CL_SLOT(cl, EG_CL_VECTORS),
                              EG_CL_SLOT(cl, EG_CL_SPREADS)};
    return eg_cl_run(cl, EG_CL_ENCODE, p->count, 1, args, sizeof args / sizeof *args, error);
}

static engram_status encode_piece(eg_opencl *cl, piece *p, const engram_codebook *codebook,
                                  uint8_t *vectors, uint32_t *spreads, engram_error *error)
{
    engram_status status;
    p->lent = NULL;
    EG_TRY_DONE(place(cl, p, error));
    EG_TRY_DONE(launch(cl, p, codebook, error));
    EG_TRY_DONE(eg_cl_read_slot(cl, EG_CL_VECTORS, vectors, p->count * VECTOR, error));
    EG_TRY_DONE(eg_cl_read_slot(cl, EG_CL_SPREADS, spreads, p->count * sizeof *spreads, error));
done:
    eg_cl_drain(cl);
    EG_CL_RELEASE(clReleaseMemObject, p->lent);
    return status;
}

static engram_status encode_pieces(eg_opencl *cl, piece *p, const engram_codebook *codebook,
                                   const eg_view *chunks, size_t count, uint8_t *vectors,
                                   uint32_t *spreads, engram_error *error)
{
    for (size_t at = 0; at < count; at += p->count) {
        p->chunks = chunks + at;
        p->count = take(cl, chunks + at, count - at);
        EG_TRY(encode_piece(cl, p, codebook, vectors + at * VECTOR, spreads + at, error));
    }
    return ENGRAM_OK;
}

engram_status eg_cl_encode(eg_backend *backend, const engram_codebook *codebook,
                           const eg_view *chunks, size_t count, uint8_t *vectors, uint32_t *spreads,
                           engram_error *error)
{
    eg_opencl *cl = (eg_opencl *)backend;
    size_t most = count < cl->limits.chunk_count ? count : cl->limits.chunk_count;
    piece p = {.starts = eg_alloc_zero(most, sizeof *p.starts),
               .sizes = eg_alloc_zero(most, sizeof *p.sizes)};
    engram_status status;
    pthread_mutex_lock(&cl->mutex);
    if (p.starts && p.sizes)
        status = encode_pieces(cl, &p, codebook, chunks, count, vectors, spreads, error);
    else
        status = eg_fail(error, ENGRAM_NO_MEMORY, "no memory for a batch of %zu chunks", count);
    pthread_mutex_unlock(&cl->mutex);
    eg_free(p.starts);
    eg_free(p.sizes);
    return status;
}
