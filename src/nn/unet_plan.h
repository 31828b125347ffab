// The list of layers that NetworkOptions stand for, in construction order. Both the network and its
// state layout are built from it, so that they cannot disagree.
#pragma once

#include <string>
#include <vector>

#include "edm2/nn/layers.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

struct BlockPlan {
  std::string name;         // "16x16_block0"
  bool is_conv = false;     // the encoder's first layer: a plain 3x3 convolution
  int64_t in_channels = 0;  // after concatenation with the skip
  int64_t out_channels = 0;
  Resample resample = Resample::keep;
  int64_t num_heads = 0;    // 0 = no attention layers
  bool takes_skip = false;  // decoder blocks that concatenate an encoder output
};

struct UNetPlan {
  int64_t noise_channels = 0;  // Fourier features of the noise level
  int64_t emb_channels = 0;
  std::vector<BlockPlan> encoder, decoder;
  int64_t out_channels = 0;  // input channels of out_conv
};

UNetPlan plan_unet(const NetworkOptions& options);

}  // namespace edm2
