// How the kernels on raw pointers (nn/fused_kernels.h, engine/inference_kernels.h) are called on
// tensors [N,C,H,W] in channels-last order, on all threads.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>

#include "core/bf16.h"
#include "core/parallel.h"
#include "edm2/core/tensor.h"

namespace edm2 {

inline constexpr auto nhwc = at::MemoryFormat::ChannelsLast;

/// The elements from number `first` on; null if x is undefined.
template <class T>
const T* read(const Tensor& x, int64_t first = 0) {
  return x.defined() ? static_cast<const T*>(x.const_data_ptr()) + first : nullptr;
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

/// The same values in channels-last order and in the type of `like`; undefined stays undefined.
inline Tensor arranged(const Tensor& x, const Tensor& like) {
  if (!x.defined()) return x;
  const Tensor same_type = x.to(like.scalar_type());
  return like.dim() == 4 ? same_type.contiguous(nhwc) : same_type.contiguous();
}
inline Tensor arranged(const Tensor& x) { return arranged(x, x); }

inline Tensor empty_as(const Tensor& x, at::IntArrayRef sizes) {
  return at::empty(sizes, x.options().memory_format(nhwc).requires_grad(false));
}
inline Tensor empty_as(const Tensor& x) { return empty_as(x, x.sizes()); }

/// Of all images.
inline int64_t pixels_of(const Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

/// Splits [0, count) items of `item_size` elements over the threads.
template <class Kernels, class Body>
void share(int64_t count, int64_t item_size, const Body& body) {
  const int64_t grain = Kernels::worth_a_thread / std::max<int64_t>(item_size, 1);
  parallel_for(0, count, std::max<int64_t>(grain, 1), body);
}

/// The same for items of tensors like x: calls body(kernels, T{}, begin, end) with the kernels for
/// the type T of x.
template <class Kernels, class Body>
void run_kernels(const Kernels& table, const Tensor& x, int64_t count, int64_t item_size,
                 const Body& body) {
  const auto run = [&](const auto& kernels, auto type) {
    share<Kernels>(count, item_size,
                   [&](int64_t begin, int64_t end) { body(kernels, type, begin, end); });
  };
  if (x.scalar_type() == at::kBFloat16)
    run(table.bf16, Bf16{});
  else
    run(table.f32, float{});
}

}  // namespace edm2
