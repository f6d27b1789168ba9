/* What is checked: a table of kernels, or a backend by its own entries with nothing behind it. */
#ifndef TESTS_COMPUTE_CANDIDATE_H
#define TESTS_COMPUTE_CANDIDATE_H

#include "compute/backend.h"
#include "compute/kernels.h"

typedef struct candidate {
    char name[64];
    eg_kernels kernels;
    eg_backend *backend; /* NULL: the kernels */
    eg_pool *pool;
} candidate;

/* Every table, the cpu backend with each table alone and over a pool, the AVX-512 kernels emulated,
 * every OpenCL device; at most capacity. NULL or a name takes only those of that name ("avx2",
 * "cpu-avx2-pool", "avx512-emulated", "opencl:0.0"). One that cannot be opened is reported and
 * counted in *failed. */
size_t candidates_open(candidate *list, size_t capacity, const char *name, unsigned *failed);
void candidate_close(candidate *c);

/* The operations. False when the backend has none such. */
bool candidate_encode(const candidate *c, const engram_codebook *codebook, const eg_view *chunks,
                      size_t count, uint8_t *vectors, uint32_t *spreads, engram_status *status);
bool candidate_bundle(const candidate *c, uint32_t *counters, const uint8_t *vectors, size_t count,
                      int sign, engram_status *status);

/* Vectors to scan, in as many runs as the caller likes. */
typedef struct scan_set {
    const eg_vectors *runs;
    size_t run_count;
} scan_set;

typedef struct scan_query {
    const uint8_t *queries;
    size_t query_count;
    const uint64_t *live;
    uint32_t k, minimum;
} scan_query;

/* A table of kernels takes a set of one run. */
bool candidate_top_k(const candidate *c, const scan_set *set, const scan_query *query, eg_hit *hits,
                     uint32_t *counts, engram_status *status);

#endif
