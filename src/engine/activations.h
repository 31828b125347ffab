// What both back ends of the engine say about activations [N,C,H,W] in channels-last order.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
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
  float limit = no_limit;
};

/// An image, or a batch, on its way through the U-Net of arXiv 2312.02696, Figure 21.
struct OnTheWay {
  LayerOutput x;
  std::vector<LayerOutput> skips;  // the encoder's outputs that no layer of the decoder has taken
};

/// Through the next layer. run(layer, input, skip) computes it and may let go of both before it
/// ends; the decoder's layers take the encoder's outputs, last come first, elsewhere skip is
/// undefined.
template <class Layer, class Run>
void step(const Layer& layer, OnTheWay& state, const Run& run) {
  LayerOutput skip;
  if (!layer.encoder && layer.plan.takes_skip) {
    skip = std::move(state.skips.back());
    state.skips.pop_back();
  }
  state.x = run(layer, std::move(state.x), std::move(skip));
  if (layer.encoder) state.skips.push_back(state.x);
}

}  // namespace edm2
