/* Moving the chosen lanes of eight to the front, which AVX2 has no instruction for. */
#ifndef EG_COMPUTE_AVX2_LANES_H
#define EG_COMPUTE_AVX2_LANES_H

#include <immintrin.h>
#include <stdint.h>

/* One byte a lane: the positions of the bits set in the index, ascending. */
extern const uint64_t eg_avx2_lanes[256];

/* Appends the lanes of values whose bit is set in keep to list[count..], and returns the new
 * count. Eight entries are written whatever keep is. */
static inline unsigned eg_avx2_append(uint32_t *list, unsigned count, unsigned keep, __m256i values)
{
    __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&eg_avx2_lanes[keep]));
    _mm256_storeu_si256((__m256i *)(list + count), _mm256_permutevar8x32_epi32(values, order));
    return count + (unsigned)__builtin_popcount(keep);
}

#endif
