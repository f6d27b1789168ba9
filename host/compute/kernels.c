/* Tables of kernels: the scalar one first, then what the instruction sets do faster. */
#include "compute/kernels.h"

void eg_kernels_init(eg_kernels *kernels, unsigned cpu_flags)
{
    eg_kernels_init_scalar(kernels);
    if (cpu_flags & EG_CPU_AVX2)
        eg_kernels_init_avx2(kernels);
    if (cpu_flags & EG_CPU_AVX512)
        eg_kernels_init_avx512(kernels);
}
