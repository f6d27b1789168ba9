/* Turning is eight by eight bits at each byte of eight planes, by swapping ever smaller squares beside the diagonal
 * (Warren, Hacker's Delight, 7-3), which the compiler does for many bytes at once. */
#include "vsa/layout.h"

#include <string.h>

enum { WORDS = EG_PLANE_SIZE / 8 };

/* Swaps the odd groups of shift bits of x with the even ones of y. */
static inline void swap_groups(uint64_t *x, uint64_t *y, unsigned shift, uint64_t even)
{
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t differ = (x[i] >> shift ^ y[i]) & even;
        y[i] ^= differ;
        x[i] ^= differ << shift;
    }
}

void eg_vector_turn(const uint8_t *from, uint8_t *to)
{
    uint64_t x[EG_PLANES][WORDS];
    memcpy(x, from, sizeof x);
    for (unsigned i = 0; i < 4; i++)
        swap_groups(x[i], x[i + 4], 4, UINT64_C(0x0F0F0F0F0F0F0F0F));
    for (unsigned i = 0; i < 4; i++)
        swap_groups(x[i + (i & 2)], x[i + (i & 2) + 2], 2, UINT64_C(0x3333333333333333));
    for (unsigned i = 0; i < 4; i++)
        swap_groups(x[2 * i], x[2 * i + 1], 1, UINT64_C(0x5555555555555555));
    memcpy(to, x, sizeof x);
}

void eg_vectors_get(const eg_vectors *vectors, size_t i, uint8_t *symbols)
{
    const size_t row = vectors->first + i;
    if (vectors->layout == EG_LAYOUT_ROWS) {
        memcpy(symbols, vectors->bytes + row * ENGRAM_BLOCKS, ENGRAM_BLOCKS);
        return;
    }
    uint8_t planes[ENGRAM_BLOCKS];
    memcpy(planes, vectors->bytes + eg_planes_lead(row), EG_LEAD_SIZE);
    memcpy(planes + EG_LEAD_SIZE, vectors->bytes + eg_planes_rest(vectors->total, row), EG_REST_SIZE);
    eg_vector_turn(planes, symbols);
}

void eg_planes_put(uint8_t *bytes, size_t total, size_t row, const uint8_t *symbols)
{
    uint8_t planes[ENGRAM_BLOCKS];
    eg_vector_turn(symbols, planes);
    memcpy(bytes + eg_planes_lead(row), planes, EG_LEAD_SIZE);
    memcpy(bytes + eg_planes_rest(total, row), planes + EG_LEAD_SIZE, EG_REST_SIZE);
}
