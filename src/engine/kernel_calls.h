// How the CPU's back end calls the kernels of inference_kernels.h on tensors, with all threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/parallel.h"
#include "edm2/core/tensor.h"
#include "engine/inference_kernels.h"

namespace edm2 {

template <class T>
const T* read(const Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

/// Splits [0, count) items of `item_size` elements over the threads.
template <class Body>
void share(int64_t count, int64_t item_size, const Body& body) {
  constexpr int64_t elements = 16384;  // what is worth a thread
  parallel_for(0, count, std::max<int64_t>(elements / std::max<int64_t>(item_size, 1), 1), body);
}

/// Splits [0, count) items of `item_size` elements of images like x over the threads: calls
/// body(kernels, T{}, begin, end) with the kernels for the type T of x.
template <class Body>
void run_kernels(const Tensor& x, int64_t count, int64_t item_size, const Body& body) {
  const auto run = [&](const auto& kernels, auto type) {
    share(count, item_size, [&](int64_t begin, int64_t end) { body(kernels, type, begin, end); });
  };
  if (x.scalar_type() == at::kBFloat16)
    run(inference_kernels::best().bf16, Bf16{});
  else
    run(inference_kernels::best().f32, float{});
}

}  // namespace edm2
