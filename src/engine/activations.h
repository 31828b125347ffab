// What both back ends of the engine say about activations [N,C,H,W] in channels-last order.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>

namespace edm2 {

constexpr auto nhwc = at::MemoryFormat::ChannelsLast;

/// Of values that are not to be clipped.
constexpr float no_limit = std::numeric_limits<float>::infinity();

/// Of all images.
inline int64_t pixels_of(const at::Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

/// What comes out of a layer, and where its values are to be clipped by who reads it.
struct LayerOutput {
  at::Tensor values;
  float limit = no_limit;
};

}  // namespace edm2
