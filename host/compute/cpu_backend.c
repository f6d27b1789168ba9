/* The cpu backend: encode by chunks, bundle by blocks, top_k (cpu_scan.c) by rows. */
#include "compute/cpu_backend.h"

#include <stdatomic.h>

#include "base/memory.h"
#include "compute/scalar/scalar.h"

enum {
    SHARE_SIZE = 64 << 10, /* bytes a thread takes at once: some 40 us of work */
    SHARE_COUNT = 64,      /* chunks, where they are tiny */
    BUNDLE_SPLIT = 128     /* vectors from which sharing out pays */
};

/* Chunks are taken in runs from a common cursor, so that few large ones and many small ones
 * are both shared out evenly. */
typedef struct encode_job {
    const eg_cpu_backend *cpu;
    const engram_codebook *codebook;
    const eg_view *chunks;
    size_t count;
    uint8_t *vectors;
    uint32_t *spreads;
    atomic_size_t next;
} encode_job;

static size_t share_end(const encode_job *job, size_t first)
{
    size_t end = first, size = 0;
    while (end < job->count && end - first < SHARE_COUNT && size < SHARE_SIZE)
        size += job->chunks[end++].size;
    return end;
}

static void encode_share(const encode_job *job, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        job->cpu->kernels.encode(job->codebook, job->chunks[i].data, job->chunks[i].size,
                                 job->vectors + i * ENGRAM_BLOCKS, &job->spreads[i]);
}

static void encode_task(void *context, size_t index, size_t worker)
{
    (void)index;
    (void)worker;
    encode_job *job = context;
    size_t first = atomic_load(&job->next);
    while (first < job->count) {
        size_t end = share_end(job, first);
        if (!atomic_compare_exchange_weak(&job->next, &first, end))
            continue;
        encode_share(job, first, end);
        first = atomic_load(&job->next);
    }
}

static engram_status encode(eg_backend *backend, const engram_codebook *codebook,
                            const eg_view *chunks, size_t count, uint8_t *vectors,
                            uint32_t *spreads, engram_error *error)
{
    (void)error;
    const eg_cpu_backend *cpu = eg_cpu_of(backend);
    encode_job job = {cpu, codebook, chunks, count, vectors, spreads, 0};
    if (share_end(&job, 0) == count)
        encode_share(&job, 0, count);
    else
        eg_pool_run(cpu->pool, eg_cpu_width(cpu), encode_task, &job);
    return ENGRAM_OK;
}

typedef struct bundle_job {
    uint32_t *counters;
    const uint8_t *vectors;
    size_t count;
    int sign;
    unsigned blocks; /* of one task */
} bundle_job;

static void bundle_task(void *context, size_t index, size_t worker)
{
    (void)worker;
    const bundle_job *job = context;
    eg_scalar_bundle_blocks(job->counters, job->vectors, job->count, job->sign,
                            (unsigned)index * job->blocks, job->blocks);
}

/* As many blocks a task as keep all threads busy, 64 at most: one cache line of each vector. */
static unsigned blocks_of_task(size_t width)
{
    unsigned blocks = 64;
    while (blocks > 8 && ENGRAM_BLOCKS / blocks < width)
        blocks /= 2;
    return blocks;
}

static engram_status bundle(eg_backend *backend, uint32_t *counters, const uint8_t *vectors,
                            size_t count, int sign, engram_error *error)
{
    (void)error;
    const eg_cpu_backend *cpu = eg_cpu_of(backend);
    size_t width = eg_cpu_width(cpu);
    if (width == 1 || count < BUNDLE_SPLIT) {
        cpu->kernels.bundle(counters, vectors, count, sign);
        return ENGRAM_OK;
    }
    bundle_job job = {counters, vectors, count, sign, blocks_of_task(width)};
    eg_pool_run(cpu->pool, ENGRAM_BLOCKS / job.blocks, bundle_task, &job);
    return ENGRAM_OK;
}

static void close_cpu(eg_backend *backend)
{
    eg_free(backend);
}

static const eg_backend_ops cpu_ops = {
    .name = "cpu",
    .close = close_cpu,
    .encode = encode,
    .bundle = bundle,
    .resident_create = eg_cpu_resident_create,
    .resident_free = eg_cpu_resident_free,
    .resident_append = eg_cpu_resident_append,
    .top_k = eg_cpu_top_k,
};

engram_status eg_backend_cpu_open(unsigned cpu_flags, eg_pool *pool, eg_backend **backend,
                                  engram_error *error)
{
    unsigned missing = cpu_flags & ~eg_cpu_flags();
    if (missing != 0)
        return eg_fail(error, ENGRAM_NO_DEVICE, "this processor has no %s",
                       missing & EG_CPU_AVX512 ? "AVX-512" : "AVX2");
    eg_cpu_backend *cpu = eg_alloc(sizeof *cpu);
    if (cpu == NULL)
        return eg_fail(error, ENGRAM_NO_MEMORY, "no memory for the cpu backend");
    cpu->base.ops = &cpu_ops;
    cpu->pool = pool;
    eg_kernels_init(&cpu->kernels, cpu_flags);
    *backend = &cpu->base;
    return ENGRAM_OK;
}
