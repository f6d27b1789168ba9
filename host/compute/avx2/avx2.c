#include "compute/avx2/avx2.h"

void eg_kernels_init_avx2(eg_kernels *kernels)
{
    kernels->name = "avx2";
    kernels->encode = eg_avx2_encode;
    kernels->top_k = eg_avx2_top_k;
}
