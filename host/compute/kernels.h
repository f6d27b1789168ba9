/* CPU kernels: pure functions, one table per instruction set.
 *
 * No allocation, no failure, any thread. `scalar` defines the answer; `avx2` and `avx512`
 * override what they do faster and must give equal bytes (tests/compute/check_kernels). */
#ifndef EG_COMPUTE_KERNELS_H
#define EG_COMPUTE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "compute/top.h"
#include "engram/hypervector.h"
#include "vsa/layout.h"

enum { /* what the processor and the operating system allow */
    EG_CPU_AVX2 = 1,   /* AVX2, BMI2, POPCNT */
    EG_CPU_AVX512 = 2  /* F, BW, DQ, VL, and VBMI2 is not needed */
};

typedef struct eg_kernels {
    const char *name; /* "scalar", "avx2", "avx512" */

    /* As engram_encode. */
    void (*encode)(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                   uint8_t *vector, uint32_t *spread);

    /* counters[block * 256 + symbol] += sign (1 or -1, wrapping) for each of count vectors. */
    void (*bundle)(uint32_t *counters, const uint8_t *vectors, size_t count, int sign);

    /* Offers the vectors, of which the i-th is row first_row + i, to the k-best list of each query.
     * live: bit i says whether the i-th counts; NULL: all do. Vectors are aligned to 64 bytes, and
     * those in planes are of one group; queries are symbols, and need not be aligned. */
    void (*top_k)(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                  uint64_t first_row, const uint64_t *live, eg_top *tops);
} eg_kernels;

/* Detected once; thread-safe. */
unsigned eg_cpu_flags(void);

/* A complete table for the given flags (a subset of eg_cpu_flags()). */
void eg_kernels_init(eg_kernels *kernels, unsigned cpu_flags);

/* Each folder's part; avx2 and avx512 override entries of a complete table. */
void eg_kernels_init_scalar(eg_kernels *kernels);
void eg_kernels_init_avx2(eg_kernels *kernels);
void eg_kernels_init_avx512(eg_kernels *kernels);

#endif
