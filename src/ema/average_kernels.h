// Several moving averages of a tensor in one pass over memory, for several instruction sets. No
// torch headers: see vector_math.h.
#pragma once

#include <cstdint>

namespace edm2::average_kernels {

constexpr int max_averages = 8;

/// Averages of one tensor: average[i] becomes lerp(average[i], value, lerp[i]).
struct Averages {
  int count;
  float* average[max_averages];
  float lerp[max_averages];  // 1 - beta
};

/// The operations of at::lerp_, with its rounding.
using Update = void (*)(const float* value, const Averages& averages, int64_t size);

void update_portable(const float* value, const Averages& averages, int64_t size);
void update_avx2(const float* value, const Averages& averages, int64_t size);
void update_avx512(const float* value, const Averages& averages, int64_t size);

}  // namespace edm2::average_kernels
