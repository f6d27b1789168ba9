/* The exact scan row by row, for few queries or few rows that count. */
#ifndef EG_COMPUTE_AVX2_TOP_K_ROWS_H
#define EG_COMPUTE_AVX2_TOP_K_ROWS_H

#include "compute/kernels.h"

/* As eg_avx2_top_k. */
void eg_avx2_top_k_rows(const uint8_t *queries, size_t query_count, const uint8_t *vectors,
                        size_t count, uint64_t first_row, const uint64_t *live, eg_top *tops);

#endif
