#include "toy/mixture_kernels.h"

#if defined(__x86_64__)

#include "toy/mixture_kernels_impl.h"

namespace edm2::toy::mixture_kernels {

void density_avx2(const Components& components, const float* x, const float* sigma, int64_t n,
                  float* log_density, float* score) {
  density(components, x, sigma, n, log_density, score);
}

}  // namespace edm2::toy::mixture_kernels

#endif
