// The kernel of average_kernels.h, once for all instruction sets.
#pragma once

#include "core/vector_math.h"
#include "ema/average_kernels.h"

namespace edm2::average_kernels {
namespace {

template <class Load, class Store>
EDM2_INLINE void update_vector(const float* value, const Averages& a, const Load& get,
                               const Store& put) {
  const Floats w = get(value);
  for (int i = 0; i < a.count; ++i) put(a.average[i], lerp(get(a.average[i]), w, a.lerp[i]));
}

void update(const float* value, const Averages& averages, int64_t size) {
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    update_vector(
        value, averages, [i](const float* p) { return load(p + i); },
        [i](float* p, Floats v) { store(p + i, v); });
  if (const int64_t rest = size - i; rest > 0)
    update_vector(
        value, averages, [i, rest](const float* p) { return load_some(p + i, rest); },
        [i, rest](float* p, Floats v) { store_some(p + i, v, rest); });
}

}  // namespace
}  // namespace edm2::average_kernels
