#include "engine/layer_plan.h"

namespace edm2 {
namespace {

LayerKind kind_of(const BlockPlan& block, bool encodes) {
  if (block.is_conv) return LayerKind::input_convolution;
  if (block.resample == Resample::down) return LayerKind::downsampling_encoder_block;
  if (block.resample == Resample::up) return LayerKind::upsampling_decoder_block;
  return encodes ? LayerKind::encoder_block : LayerKind::decoder_block;
}

}  // namespace

NetworkPlan plan_network(const NetworkOptions& options) {
  const UNetPlan unet = plan_unet(options);
  NetworkPlan plan;
  plan.emb_channels = unet.emb_channels;
  std::vector<int64_t> skips;  // channels of the skip connections that no layer has taken
  int64_t size = options.img_resolution;
  const auto append = [&](const BlockPlan& block, bool encodes) {
    LayerPlan layer{block};
    layer.kind = kind_of(block, encodes);
    if (block.takes_skip) {
      layer.skip_channels = skips.back();
      skips.pop_back();
    }
    if (encodes) skips.push_back(block.out_channels);
    if (block.resample == Resample::down) size /= 2;
    if (block.resample == Resample::up) size *= 2;
    layer.size = size;
    layer.modulation = plan.modulations;
    if (!block.is_conv) {
      plan.modulations += block.out_channels;
      if (options.clip_act) layer.clip_act = static_cast<float>(*options.clip_act);
    }
    plan.layers.push_back(layer);
  };
  for (const BlockPlan& block : unet.encoder) append(block, /*encodes=*/true);
  for (const BlockPlan& block : unet.decoder) append(block, /*encodes=*/false);
  return plan;
}

}  // namespace edm2
