// The kernel of update_kernels.h, once for all instruction sets.
#pragma once

#include "core/vector_math.h"
#include "train/update_kernels.h"

namespace edm2::update_kernels {
namespace {

template <class Load, class Store>
EDM2_INLINE int64_t update_vector(const Parts& p, const Rates& r, const Load& get,
                                  const Store& put) {
  Floats g = get(p.grad);
  const Ints finite = g - g == Floats{};
  int64_t replaced = 0;
  int32_t kept[lanes];
  std::memcpy(kept, &finite, sizeof kept);
  for (const int32_t keep : kept) replaced += keep == 0;
  if (replaced != 0) {
    g = finite ? g : Floats{};
    put(p.grad, g);
  }
  const Floats m = lerp(get(p.exp_avg), g, r.lerp1);
  const Floats v = get(p.exp_avg_sq) * r.beta2 + r.square * g * g;
  const Floats denominator = square_root(v) / r.root_bias + r.eps;
  const Floats w = get(p.weight) + r.step * m / denominator;
  put(p.exp_avg, m);
  put(p.exp_avg_sq, v);
  put(p.weight, w);
  for (int i = 0; i < r.averages; ++i) put(p.average[i], lerp(get(p.average[i]), w, r.lerp[i]));
  return replaced;
}

int64_t update(const Parts& parts, int64_t size, const Rates& rates) {
  int64_t i = 0, replaced = 0;
  for (; i + lanes <= size; i += lanes)
    replaced += update_vector(
        parts, rates, [i](const float* p) { return load(p + i); },
        [i](float* p, Floats v) { store(p + i, v); });
  if (const int64_t rest = size - i; rest > 0)
    replaced += update_vector(
        parts, rates, [i, rest](const float* p) { return load_some(p + i, rest); },
        [i, rest](float* p, Floats v) { store_some(p + i, v, rest); });
  return replaced;
}

}  // namespace
}  // namespace edm2::update_kernels
