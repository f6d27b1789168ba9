/* The scalar kernels: plain C that defines the answer. */
#ifndef EG_COMPUTE_SCALAR_SCALAR_H
#define EG_COMPUTE_SCALAR_SCALAR_H

#include "compute/kernels.h"

void eg_scalar_bundle(uint32_t *counters, const uint8_t *vectors, size_t count, int sign);

/* The same for block_count blocks from first_block only (both multiples of 8), so that threads
 * can share one set of counters without touching each other's. */
void eg_scalar_bundle_blocks(uint32_t *counters, const uint8_t *vectors, size_t count, int sign,
                             unsigned first_block, unsigned block_count);

void eg_scalar_top_k(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                     uint64_t first_row, const uint64_t *live, eg_top *tops);

#endif
