// What the kernels of training (fused_kernels_impl.h) and of inference (in src/engine) begin with.
// Everything has internal linkage, as in vector_math.h.
#pragma once

#include <cmath>

#include "core/vector_math.h"

namespace edm2 {
namespace {

/// Calls body(get, put) for all vectors of [0, size): get(p) reads p[i...], put(p, v) writes.
template <class Body>
EDM2_INLINE void vectors(int64_t size, const Body& body) {
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    body([i](const auto* p) { return load(p + i); }, [i](auto* p, Floats v) { store(p + i, v); });
  if (const int64_t rest = size - i; rest > 0)
    body([i, rest](const auto* p) { return load_some(p + i, rest); },
         [i, rest](auto* p, Floats v) { store_some(p + i, v, rest); });
}

template <class T>
EDM2_INLINE float sum_of_squares(const T* x, int64_t size) {
  Floats squares{};
  vectors(size, [&](auto get, auto) {
    const Floats v = get(x);
    squares += v * v;
  });
  return sum(squares);
}

/// The divisor of normalize() for a vector with this sum of squares.
EDM2_INLINE float divisor_of(float squares, int64_t size) {
  return 1e-4f + std::sqrt(squares) / std::sqrt(static_cast<float>(size));
}

}  // namespace
}  // namespace edm2
