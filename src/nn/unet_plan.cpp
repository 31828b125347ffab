#include "nn/unet_plan.h"

#include <algorithm>

namespace edm2 {
namespace {

std::string layer_name(int64_t resolution, const std::string& suffix) {
  return std::to_string(resolution) + "x" + std::to_string(resolution) + "_" + suffix;
}

}  // namespace

// Long: it reads as the network is drawn, from the first layer to the last.
UNetPlan plan_unet(const NetworkOptions& options) {
  const auto& mult = options.channel_mult;
  const auto width = [&](size_t level) { return options.model_channels * mult[level]; };
  const auto heads = [&](int64_t channels) { return channels / options.channels_per_head; };
  const auto heads_at = [&](int64_t channels, int64_t resolution) -> int64_t {
    const auto& list = options.attn_resolutions;
    return std::find(list.begin(), list.end(), resolution) != list.end() ? heads(channels) : 0;
  };

  UNetPlan plan;
  plan.noise_channels = options.model_channels * options.channel_mult_noise.value_or(mult[0]);
  plan.emb_channels = options.model_channels * options.channel_mult_emb.value_or(
                                                   *std::max_element(mult.begin(), mult.end()));

  // Encoder. Every layer's output is a skip connection.
  std::vector<int64_t> skips;
  int64_t channels = options.img_channels + 1;  // the constant channel
  const auto encode = [&](BlockPlan block) {
    channels = block.out_channels;
    skips.push_back(channels);
    plan.encoder.push_back(std::move(block));
  };
  for (size_t level = 0; level < mult.size(); ++level) {
    const int64_t resolution = options.img_resolution >> level;
    if (level == 0) {
      encode({.name = layer_name(resolution, "conv"),
              .is_conv = true,
              .in_channels = channels,
              .out_channels = width(0)});
    } else {
      encode({.name = layer_name(resolution, "down"),
              .in_channels = channels,
              .out_channels = channels,
              .resample = Resample::down});
    }
    for (int64_t i = 0; i < options.num_blocks; ++i)
      encode({.name = layer_name(resolution, "block" + std::to_string(i)),
              .in_channels = channels,
              .out_channels = width(level),
              .num_heads = heads_at(width(level), resolution)});
  }

  // Decoder: from the lowest resolution up, taking the skips in reverse.
  for (size_t level = mult.size(); level-- > 0;) {
    const int64_t resolution = options.img_resolution >> level;
    if (level == mult.size() - 1) {
      // With attention, whatever attn_resolutions says.
      plan.decoder.push_back({.name = layer_name(resolution, "in0"),
                              .in_channels = channels,
                              .out_channels = channels,
                              .num_heads = heads(channels)});
      plan.decoder.push_back({.name = layer_name(resolution, "in1"),
                              .in_channels = channels,
                              .out_channels = channels});
    } else {
      plan.decoder.push_back({.name = layer_name(resolution, "up"),
                              .in_channels = channels,
                              .out_channels = channels,
                              .resample = Resample::up});
    }
    for (int64_t i = 0; i <= options.num_blocks; ++i) {
      plan.decoder.push_back({.name = layer_name(resolution, "block" + std::to_string(i)),
                              .in_channels = channels + skips.back(),
                              .out_channels = width(level),
                              .num_heads = heads_at(width(level), resolution),
                              .takes_skip = true});
      skips.pop_back();
      channels = width(level);
    }
  }
  plan.out_channels = channels;
  return plan;
}

}  // namespace edm2
