/* What the processor has and the operating system saves on a context switch: CPUID and XGETBV,
 * asked once. */
#include "compute/kernels.h"

#include <cpuid.h>
#include <pthread.h>

enum {                     /* register states of XCR0 */
       STATE_AVX = 0x06,   /* xmm, ymm */
       STATE_AVX512 = 0xE6 /* and k, zmm */
};

static unsigned detected;
static pthread_once_t detect_once = PTHREAD_ONCE_INIT;

static unsigned enabled_states(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static void detect(void)
{
    unsigned a, b, c, d;
    const unsigned avx2 = bit_AVX2 | bit_BMI2;
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_POPCNT))
        return;
    unsigned states = enabled_states();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    if ((b & avx2) == avx2 && (states & STATE_AVX) == STATE_AVX)
        detected |= EG_CPU_AVX2;
    if ((detected & EG_CPU_AVX2) && (b & avx512) == avx512 &&
        (states & STATE_AVX512) == STATE_AVX512)
        detected |= EG_CPU_AVX512;
}

unsigned eg_cpu_flags(void)
{
    pthread_once(&detect_once, detect);
    return detected;
}
