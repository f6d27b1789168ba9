/* The cpu backend's parts: kernels of one table, shared out over a pool. */
#ifndef EG_COMPUTE_CPU_BACKEND_H
#define EG_COMPUTE_CPU_BACKEND_H

#include "compute/backend.h"
#include "compute/kernels.h"

typedef struct eg_cpu_backend {
    eg_backend base;
    eg_kernels kernels;
    eg_pool *pool; /* lent; may be NULL */
} eg_cpu_backend;

static inline const eg_cpu_backend *eg_cpu_of(const eg_backend *backend)
{
    return (const eg_cpu_backend *)backend;
}

static inline size_t eg_cpu_width(const eg_cpu_backend *cpu)
{
    return cpu->pool == NULL ? 1 : eg_pool_width(cpu->pool);
}

/* Entries of the table; backend.h says what they do. The resident set is a list of spans of lent
 * vectors, scanned where they are. */
engram_status eg_cpu_resident_create(eg_backend *backend, eg_resident **resident,
                                     engram_error *error);
void eg_cpu_resident_free(eg_backend *backend, eg_resident *resident);
engram_status eg_cpu_resident_append(eg_backend *backend, eg_resident *resident, eg_vectors vectors,
                                     engram_error *error);
engram_status eg_cpu_top_k(eg_backend *backend, const eg_resident *resident, const uint8_t *queries,
                           size_t query_count, const uint64_t *live, uint32_t k, uint32_t minimum,
                           eg_hit *hits, uint32_t *counts, engram_error *error);

#endif
