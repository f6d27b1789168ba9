/* The exact scan: every live row against every query. */
#include "compute/scalar/scalar.h"

enum { TILE_ROWS = 64 }; /* 16 KiB of vectors, and one word of the live bitmap */

static uint32_t count_matches(const uint8_t *a, const uint8_t *b)
{
    uint32_t matches = 0;
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        matches += a[k] == b[k];
    return matches;
}

static void scan_tile(const uint8_t *query, const uint8_t *vectors, uint64_t live,
                      uint64_t first_row, eg_top *top)
{
    for (; live != 0; live &= live - 1) {
        unsigned i = (unsigned)__builtin_ctzll(live);
        uint32_t matches = count_matches(query, vectors + i * ENGRAM_BLOCKS);
        if (matches >= top->bar)
            eg_top_offer(top, first_row + i, matches);
    }
}

void eg_scalar_top_k(const uint8_t *queries, size_t query_count, const uint8_t *vectors,
                     size_t count, uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    for (size_t row = 0; row < count; row += TILE_ROWS) {
        uint64_t all = count - row < TILE_ROWS ? (UINT64_C(1) << (count - row)) - 1 : UINT64_MAX;
        uint64_t wanted = live == NULL ? all : live[row / TILE_ROWS] & all;
        if (wanted == 0)
            continue;
        for (size_t q = 0; q < query_count; q++)
            scan_tile(queries + q * ENGRAM_BLOCKS, vectors + row * ENGRAM_BLOCKS, wanted,
                      first_row + row, &tops[q]);
    }
}
