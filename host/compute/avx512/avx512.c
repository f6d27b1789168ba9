#include "compute/avx512/avx512.h"

void eg_kernels_init_avx512(eg_kernels *kernels)
{
    kernels->name = "avx512";
    kernels->encode = eg_avx512_encode;
    kernels->top_k = eg_avx512_top_k;
}
