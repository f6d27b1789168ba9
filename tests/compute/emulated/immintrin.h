/* In place of the compiler's header where AVX-512 kernels are compiled to be tested on any
 * processor with AVX2: SIMDe does what the instructions do. Those that it has not got are below,
 * lane by lane, and those that want aligned memory, of which it does not see to that.
 *
 * An intrinsic that neither has does not compile, since the compiler's own wants AVX-512 to be
 * allowed. */
#ifndef TESTS_COMPUTE_EMULATED_IMMINTRIN_H
#define TESTS_COMPUTE_EMULATED_IMMINTRIN_H

#include_next <immintrin.h> /* AVX2 and below, and the types */

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline __m512i emulated_load_si512(const void *memory)
{
    if ((uintptr_t)memory % 64 != 0)
        abort();
    return _mm512_loadu_si512(memory);
}

static inline void emulated_store_si512(void *memory, __m512i a)
{
    if ((uintptr_t)memory % 64 != 0)
        abort();
    _mm512_storeu_si512(memory, a);
}

static inline __mmask16 emulated_cmpneq_epi32_mask(__m512i a, __m512i b)
{
    return (__mmask16)~_mm512_cmpeq_epi32_mask(a, b);
}

static inline __mmask16 emulated_mask_cmplt_epu32_mask(__mmask16 keep, __m512i a, __m512i b)
{
    uint32_t x[16], y[16];
    unsigned less = 0;
    _mm512_storeu_si512(x, a);
    _mm512_storeu_si512(y, b);
    for (unsigned i = 0; i < 16; i++)
        less |= (unsigned)(x[i] < y[i]) << i;
    return (__mmask16)(less & keep);
}

static inline __m128i emulated_cvtepi32_epi8(__m512i a)
{
    uint32_t from[16];
    uint8_t to[16];
    _mm512_storeu_si512(from, a);
    for (unsigned i = 0; i < 16; i++)
        to[i] = (uint8_t)from[i];
    return _mm_loadu_si128((const __m128i *)to);
}

static inline __m512i emulated_maskz_loadu_epi32(__mmask16 keep, const void *memory)
{
    const uint8_t *from = memory;
    uint32_t to[16] = {0};
    for (unsigned i = 0; i < 16; i++)
        if (keep >> i & 1) /* the others may not be readable */
            memcpy(&to[i], from + i * sizeof to[i], sizeof to[i]);
    return _mm512_loadu_si512(to);
}

static inline __m512i emulated_i32gather_epi32(__m512i at, const void *memory, int scale)
{
    const uint8_t *from = memory;
    int32_t offsets[16];
    uint32_t to[16];
    _mm512_storeu_si512(offsets, at);
    for (unsigned i = 0; i < 16; i++)
        memcpy(&to[i], from + (ptrdiff_t)offsets[i] * scale, sizeof to[i]);
    return _mm512_loadu_si512(to);
}

#undef _mm512_load_si512
#undef _mm512_store_si512
#undef _mm512_cmpneq_epi32_mask
#undef _mm512_mask_cmplt_epu32_mask
#undef _mm512_cvtepi32_epi8
#undef _mm512_maskz_loadu_epi32
#undef _mm512_i32gather_epi32
#define _mm512_load_si512            emulated_load_si512
#define _mm512_store_si512           emulated_store_si512
#define _mm512_cmpneq_epi32_mask     emulated_cmpneq_epi32_mask
#define _mm512_mask_cmplt_epu32_mask emulated_mask_cmplt_epu32_mask
#define _mm512_cvtepi32_epi8         emulated_cvtepi32_epi8
#define _mm512_maskz_loadu_epi32     emulated_maskz_loadu_epi32
#define _mm512_i32gather_epi32       emulated_i32gather_epi32

#endif
