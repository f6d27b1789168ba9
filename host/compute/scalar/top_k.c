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

static void scan_tile(const uint8_t *query, const uint8_t *rows, uint64_t live, uint64_t first_row,
                      eg_top *top)
{
    for (; live != 0; live &= live - 1) {
        unsigned i = (unsigned)__builtin_ctzll(live);
        uint32_t matches = count_matches(query, rows + i * ENGRAM_BLOCKS);
        if (matches >= top->bar)
            eg_top_offer(top, first_row + i, matches);
    }
}

/* The tile's vectors in rows: where they lie, or those that count in room. */
static const uint8_t *tile_rows(const eg_vectors *vectors, size_t first, uint64_t live,
                                uint8_t *room)
{
    if (vectors->layout == EG_LAYOUT_ROWS)
        return vectors->bytes + (vectors->first + first) * ENGRAM_BLOCKS;
    for (; live != 0; live &= live - 1) {
        unsigned i = (unsigned)__builtin_ctzll(live);
        eg_vectors_get(vectors, first + i, room + i * ENGRAM_BLOCKS);
    }
    return room;
}

void eg_scalar_top_k(const uint8_t *queries, size_t query_count, eg_vectors vectors,
                     uint64_t first_row, const uint64_t *live, eg_top *tops)
{
    uint8_t room[TILE_ROWS * ENGRAM_BLOCKS];
    for (size_t row = 0; row < vectors.count; row += TILE_ROWS) {
        size_t left = vectors.count - row;
        uint64_t all = left < TILE_ROWS ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        uint64_t wanted = live == NULL ? all : live[row / TILE_ROWS] & all;
        if (wanted == 0)
            continue;
        const uint8_t *rows = tile_rows(&vectors, row, wanted, room);
        for (size_t q = 0; q < query_count; q++)
            scan_tile(queries + q * ENGRAM_BLOCKS, rows, wanted, first_row + row, &tops[q]);
    }
}
