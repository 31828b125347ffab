// Density and score of a mixture of Gaussians in the plane on raw memory, for several instruction
// sets. No other headers than these, because one of the users is compiled for AVX2.
#pragma once

#include <cstdint>

namespace edm2::toy::mixture_kernels {

constexpr int64_t lanes = 16;  // the number of components is padded to a multiple of it

/// One array per number of a component, so that loops over components are vector loops.
struct Components {
  int64_t count;                       // padded; padding repeats a component with weight 0
  const float* weight;                 // divided by 2 pi
  const float *x, *y;                  // mean
  const float *variance0, *variance1;  // along the axes
  const float *axis0_x, *axis0_y;      // unit vector of the first axis; the second is
  const float *axis1_x, *axis1_y;      // orthogonal to it
  float* scratch;                      // for this thread, 4 * count
};

/// x: [n,2], sigma: [n] -> log_density: [n], score: [n,2].
using Density = void (*)(const Components& components, const float* x, const float* sigma,
                         int64_t n, float* log_density, float* score);

void density_portable(const Components& components, const float* x, const float* sigma, int64_t n,
                      float* log_density, float* score);
#if defined(__x86_64__)
void density_avx2(const Components& components, const float* x, const float* sigma, int64_t n,
                  float* log_density, float* score);
#endif

}  // namespace edm2::toy::mixture_kernels
