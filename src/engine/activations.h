// What both back ends of the engine say about activations [N,C,H,W] in channels-last order.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace edm2 {

constexpr auto nhwc = at::MemoryFormat::ChannelsLast;

/// Of values that are not to be clipped.
constexpr float no_limit = std::numeric_limits<float>::infinity();

/// Of all images.
inline int64_t pixels_of(const at::Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

/// What comes out of a layer, and where its values are to be clipped by who reads it.
struct LayerOutput {
  at::Tensor values;
  float limit;
};

/// The U-Net of arXiv 2312.02696, Figure 21: from layer to layer, the encoder's outputs to the
/// decoder's layers that take one, last come first. run(layer, input, skip) computes a layer, skip
/// is null where there is none.
template <class Layers, class Run>
LayerOutput through_unet(const Layers& encoder, const Layers& decoder, LayerOutput x,
                         const Run& run) {
  std::vector<LayerOutput> skips;
  for (const auto& layer : encoder) {
    x = run(layer, x, nullptr);
    skips.push_back(x);
  }
  for (const auto& layer : decoder) {
    std::optional<LayerOutput> skip;
    if (layer.plan.takes_skip) {
      skip = std::move(skips.back());
      skips.pop_back();
    }
    x = run(layer, x, skip ? &*skip : nullptr);
  }
  return x;
}

}  // namespace edm2
