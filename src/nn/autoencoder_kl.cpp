#include "edm2/nn/autoencoder_kl.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <map>

#include "nn/autoencoder_file.h"
#include "nn/autoencoder_layers.h"

namespace edm2 {
namespace autoencoder {
namespace {

std::optional<Conv> conv_1x1(bool wanted, const TakeParameter& take, const std::string& name,
                             int64_t channels) {
  if (!wanted) return std::nullopt;
  return Conv(take, name, channels, channels, 1);
}

}  // namespace

/// Residual blocks, and behind them, but at the last level, another resolution.
template <class Resampler>
struct Level {
  std::vector<ResidualBlock> blocks;
  std::optional<Resampler> resampler;
};

template <class Resampler>
std::vector<Level<Resampler>> make_levels(const TakeParameter& take, const std::string& name,
                                          const std::string& resampler,
                                          const std::vector<int64_t>& widths, int64_t blocks,
                                          int64_t groups) {
  std::vector<Level<Resampler>> levels;
  for (size_t i = 0; i < widths.size(); ++i) {
    const std::string level_name = name + '.' + std::to_string(i);
    Level<Resampler>& level = levels.emplace_back();
    for (int64_t k = 0; k < blocks; ++k)
      level.blocks.emplace_back(take, level_name + ".resnets." + std::to_string(k),
                                widths[k > 0 || i == 0 ? i : i - 1], widths[i], groups);
    if (i + 1 < widths.size()) level.resampler.emplace(take, level_name + resampler, widths[i]);
  }
  return levels;
}

template <class Resampler>
Tensor through_levels(const std::vector<Level<Resampler>>& levels, Tensor x, int64_t strip_bytes) {
  for (const Level<Resampler>& level : levels) {
    for (const ResidualBlock& block : level.blocks) x = block(std::move(x), strip_bytes);
    if (level.resampler) x = (*level.resampler)(x, strip_bytes);
  }
  return x;
}

class EncoderNetwork {
 public:
  EncoderNetwork(const TakeParameter& take, const AutoencoderOptions& o)
      : conv_in_(take, "encoder.conv_in", o.in_channels, o.block_out_channels.front(), 3),
        levels_(make_levels<Downsample>(take, "encoder.down_blocks", ".downsamplers.0.conv",
                                        o.block_out_channels, o.layers_per_block,
                                        o.norm_num_groups)),
        mid_(take, "encoder.mid_block", o.block_out_channels.back(), o),
        norm_out_(take, "encoder.conv_norm_out", o.block_out_channels.back(), o.norm_num_groups),
        conv_out_(take, "encoder.conv_out", o.block_out_channels.back(), 2 * o.latent_channels, 3),
        quant_(conv_1x1(o.use_quant_conv, take, "quant_conv", 2 * o.latent_channels)) {}

  /// [N,in,H,W] -> [N,2L,h,w].
  Tensor operator()(Tensor x, int64_t strip_bytes) const {
    x = through_levels(levels_, conv_in_(x), strip_bytes);
    x = mid_(std::move(x), strip_bytes);
    x = norm_silu_conv(x, norm_out_, conv_out_, strip_bytes);
    return quant_ ? (*quant_)(x) : x;
  }

 private:
  Conv conv_in_;
  std::vector<Level<Downsample>> levels_;
  MidBlock mid_;
  Norm norm_out_;
  Conv conv_out_;
  std::optional<Conv> quant_;
};

class DecoderNetwork {
 public:
  DecoderNetwork(const TakeParameter& take, const AutoencoderOptions& o)
      : post_quant_(conv_1x1(o.use_post_quant_conv, take, "post_quant_conv", o.latent_channels)),
        conv_in_(take, "decoder.conv_in", o.latent_channels, o.block_out_channels.back(), 3),
        mid_(take, "decoder.mid_block", o.block_out_channels.back(), o),
        // From the widest level, at the resolution of the latents, up.
        levels_(make_levels<Upsample>(take, "decoder.up_blocks", ".upsamplers.0.conv",
                                      {o.block_out_channels.rbegin(), o.block_out_channels.rend()},
                                      o.layers_per_block + 1, o.norm_num_groups)),
        norm_out_(take, "decoder.conv_norm_out", o.block_out_channels.front(), o.norm_num_groups),
        conv_out_(take, "decoder.conv_out", o.block_out_channels.front(), o.out_channels, 3) {}

  /// [N,L,h,w] -> [N,out,H,W].
  Tensor operator()(Tensor z, int64_t strip_bytes) const {
    Tensor x = conv_in_(post_quant_ ? (*post_quant_)(z) : z);
    x = mid_(std::move(x), strip_bytes);
    x = through_levels(levels_, std::move(x), strip_bytes);
    return norm_silu_conv(x, norm_out_, conv_out_, strip_bytes);
  }

 private:
  std::optional<Conv> post_quant_;
  Conv conv_in_;
  MidBlock mid_;
  std::vector<Level<Upsample>> levels_;
  Norm norm_out_;
  Conv conv_out_;
};

}  // namespace autoencoder

using namespace autoencoder;

std::vector<StateEntry> autoencoder_layout(const AutoencoderOptions& options) {
  validate(options);
  std::vector<StateEntry> layout;
  const TakeParameter note = [&](const std::string& name, at::IntArrayRef shape) {
    layout.push_back({name, shape.vec()});
    return Tensor();
  };
  EncoderNetwork(note, options);
  DecoderNetwork(note, options);
  return layout;
}

struct AutoencoderKL::Layers {
  Layers(const TakeParameter& take, const AutoencoderOptions& options)
      : encoder(take, options), decoder(take, options) {}
  EncoderNetwork encoder;
  DecoderNetwork decoder;
};

AutoencoderKL::AutoencoderKL(AutoencoderWeights weights, c10::Device device)
    // On the CPU: strips that stay in the cache. Elsewhere: few and large operations.
    : strip_bytes(device.is_cpu() ? int64_t{16} << 20 : int64_t{1} << 30),
      options_(weights.options),
      device_(device) {
  std::map<std::string, Tensor> tensors;
  for (auto& [name, tensor] : check_autoencoder_tensors(options_, weights.tensors))
    tensors.emplace(name, std::move(tensor));
  weights.tensors.clear();
  // Each tensor leaves the map as it is converted, so that two copies of all are never held.
  const TakeParameter take = [&](const std::string& name, at::IntArrayRef) {
    return tensors.extract(name).mapped().detach().to(device, at::kFloat);
  };
  c10::NoGradGuard no_grad;
  layers_ = std::make_unique<Layers>(take, options_);
}

AutoencoderKL::~AutoencoderKL() = default;
AutoencoderKL::AutoencoderKL(AutoencoderKL&&) noexcept = default;
AutoencoderKL& AutoencoderKL::operator=(AutoencoderKL&&) noexcept = default;

template <class Network>
Tensor AutoencoderKL::for_each_image(const Tensor& x, Network network) const {
  c10::NoGradGuard no_grad;
  const Tensor input = x.to(device_, at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  if (!device_.is_cpu() || input.size(0) < 2) return network(input);
  std::vector<Tensor> images;
  for (int64_t i = 0; i < input.size(0); ++i) images.push_back(network(input.narrow(0, i, 1)));
  return at::cat(images);
}

Tensor AutoencoderKL::moments(const Tensor& x) const {
  const int64_t f = options_.downscale();
  TORCH_CHECK(x.dim() == 4 && x.size(1) == options_.in_channels && x.size(2) % f == 0 &&
                  x.size(3) % f == 0 && x.numel() > 0,
              "[AutoencoderKL::moments] [N,", options_.in_channels, ",H,W], sides multiples of ", f,
              ", not ", x.sizes());
  return for_each_image(x,
                        [&](const Tensor& batch) { return layers_->encoder(batch, strip_bytes); });
}

AutoencoderKL::Posterior AutoencoderKL::encode(const Tensor& x) const {
  const auto parts = moments(x).chunk(2, 1);
  return {parts[0], parts[1].clamp(-30, 20).mul(0.5).exp()};
}

Tensor AutoencoderKL::decode(const Tensor& z) const {
  TORCH_CHECK(z.dim() == 4 && z.size(1) == options_.latent_channels && z.numel() > 0,
              "[AutoencoderKL::decode] [N,", options_.latent_channels, ",h,w], not ", z.sizes());
  return for_each_image(z,
                        [&](const Tensor& batch) { return layers_->decoder(batch, strip_bytes); });
}

}  // namespace edm2
