/* Binding, permuting and comparing: one byte a block, so each is a plain loop over 256 bytes that
 * the compiler turns into a handful of vector instructions. */
#include "engram/hypervector.h"

void engram_bind(uint8_t *out, const uint8_t *a, const uint8_t *b)
{
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        out[k] = (uint8_t)(a[k] + b[k]);
}

void engram_unbind(uint8_t *out, const uint8_t *c, const uint8_t *b)
{
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        out[k] = (uint8_t)(c[k] - b[k]);
}

void engram_permute(uint8_t *out, const uint8_t *a, unsigned steps)
{
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        out[(k + steps) % ENGRAM_BLOCKS] = a[k];
}

unsigned engram_matches(const uint8_t *a, const uint8_t *b)
{
    unsigned count = 0;
    for (unsigned k = 0; k < ENGRAM_BLOCKS; k++)
        count += a[k] == b[k];
    return count;
}
