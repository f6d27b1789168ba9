/* The exact scan row by row, for few queries or few rows that count. */
#ifndef EG_COMPUTE_AVX2_TOP_K_SINGLY_H
#define EG_COMPUTE_AVX2_TOP_K_SINGLY_H

#include "compute/kernels.h"

/* As eg_avx2_top_k, of vectors in rows; 64-byte aligned. */
void eg_avx2_top_k_rows(const uint8_t *queries, size_t query_count, const uint8_t *rows,
                        size_t count, uint64_t first_row, const uint64_t *live, eg_top *tops);
/* Of vectors in planes. */
void eg_avx2_top_k_planes(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                          uint64_t first_row, const uint64_t *live, eg_top *tops);

#endif
