// Which layers a network has, in which order, and what each takes: the same for both back ends.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "nn/unet_plan.h"

namespace edm2 {

/// Of values that are not to be clipped.
constexpr float no_limit = std::numeric_limits<float>::infinity();

/// The layers of the U-Net of arXiv 2312.02696, Figure 21, configuration G.
enum class LayerKind {
  input_convolution,
  encoder_block,
  downsampling_encoder_block,
  decoder_block,
  upsampling_decoder_block,
};

struct LayerPlan : BlockPlan {
  LayerKind kind = LayerKind::input_convolution;
  int64_t skip_channels = 0;  ///< of in_channels: how many come from the encoder, the last ones
  int64_t size = 0;           ///< height and width of what comes out
  int64_t modulation = 0;     ///< where its c[out_channels] begins in a row of modulations
  float clip_act = no_limit;  ///< where its output is to be clipped

  /// Its output is a skip connection, which one layer of the decoder takes, last come first.
  bool encodes() const { return kind <= LayerKind::downsampling_encoder_block; }
};

struct NetworkPlan {
  std::vector<LayerPlan> layers;
  int64_t emb_channels = 0;  ///< E
  int64_t modulations = 0;   ///< numbers in a row of modulations: the c of all layers
};

NetworkPlan plan_network(const NetworkOptions& options);

}  // namespace edm2
