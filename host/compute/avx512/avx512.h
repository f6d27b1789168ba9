/* Kernels for AVX-512 (F, BW, DQ, VL) with BMI2 and POPCNT. */
#ifndef EG_COMPUTE_AVX512_AVX512_H
#define EG_COMPUTE_AVX512_AVX512_H

#include "compute/kernels.h"

void eg_avx512_encode(const engram_codebook *codebook, const uint8_t *bytes, size_t size,
                      uint8_t *vector, uint32_t *spread);
void eg_avx512_top_k(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                     uint64_t first_row, const uint64_t *live, eg_top *tops);

#endif
