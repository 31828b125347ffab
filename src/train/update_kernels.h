// Adam and the moving averages of the weights in one pass over memory, for several instruction
// sets. No torch headers: see vector_math.h.
#pragma once

#include <cstdint>

namespace edm2::update_kernels {

constexpr int max_averages = 8;

/// What is the same for all elements of a parameter; float32 of numbers computed in double.
struct Rates {
  float lerp1;      // 1 - beta1
  float beta2;      // decay of the second moment
  float square;     // 1 - beta2
  float root_bias;  // sqrt(1 - beta2^t)
  float eps;
  float step;  // -(lr / (1 - beta1^t))
  int averages;
  float lerp[max_averages];  // 1 - beta of each moving average
};

/// Parts of the parameter and of what belongs to it, of equal length.
struct Parts {
  float* weight;
  float* grad;  // NaN and infinities are replaced by 0
  float* exp_avg;
  float* exp_avg_sq;
  float* average[max_averages];
};

/// The operations of PyTorch's Adam and lerp, in their order and with their rounding. Returns how
/// many elements of the gradient were not finite.
using Update = int64_t (*)(const Parts& parts, int64_t size, const Rates& rates);

int64_t update_portable(const Parts& parts, int64_t size, const Rates& rates);
int64_t update_avx2(const Parts& parts, int64_t size, const Rates& rates);
int64_t update_avx512(const Parts& parts, int64_t size, const Rates& rates);

}  // namespace edm2::update_kernels
