// What the fused operators have in common: a pass of a kernel over tensors, on all threads.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>

#include "core/parallel.h"
#include "edm2/core/tensor.h"
#include "nn/fused_kernels.h"

namespace edm2::fused_passes {

inline constexpr auto nhwc = at::MemoryFormat::ChannelsLast;

/// Calls body(kernels, T{}) with the kernels for activations of this type.
template <class Body>
void for_type(c10::ScalarType type, const Body& body) {
  if (type == at::kBFloat16)
    body(fused_kernels::best().bf16, Bf16{});
  else
    body(fused_kernels::best().f32, float{});
}

template <class T>
const T* read(const Tensor& x) {
  return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}
template <class T>
T* offset(T* p, int64_t count) {
  return p == nullptr ? nullptr : p + count;
}

/// The same values in channels-last order and in the type of `like`; undefined stays undefined.
inline Tensor arranged(const Tensor& x, const Tensor& like) {
  if (!x.defined()) return x;
  const Tensor same_type = x.scalar_type() == like.scalar_type() ? x : x.to(like.scalar_type());
  return like.dim() == 4 ? same_type.contiguous(nhwc) : same_type.contiguous();
}
inline Tensor arranged(const Tensor& x) { return arranged(x, x); }

inline Tensor empty_as(const Tensor& x, at::IntArrayRef sizes) {
  return at::empty(sizes, x.options().memory_format(nhwc).requires_grad(false));
}
inline Tensor empty_as(const Tensor& x) { return empty_as(x, x.sizes()); }

inline int64_t pixels_of(const Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

/// Splits [0, count) items of `item_size` elements over the threads.
template <class Body>
void parallel(int64_t count, int64_t item_size, const Body& body) {
  constexpr int64_t elements = 8192;  // what is worth a thread
  parallel_for(0, count, std::max<int64_t>(elements / std::max<int64_t>(item_size, 1), 1), body);
}

}  // namespace edm2::fused_passes
