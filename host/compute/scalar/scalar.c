#include "compute/scalar/scalar.h"

void eg_kernels_init_scalar(eg_kernels *kernels)
{
    *kernels = (eg_kernels){
        .name = "scalar",
        .encode = engram_encode,
        .bundle = eg_scalar_bundle,
        .top_k = eg_scalar_top_k,
    };
}
