#include "edm2/nn/autoencoder_kl.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <map>

#include "nn/autoencoder_file.h"
#include "nn/autoencoder_layers.h"

namespace edm2 {
namespace autoencoder {
namespace {

std::string indexed(const std::string& name, size_t index) {
  return name + '.' + std::to_string(index);
}

std::vector<ResidualBlock> residual_blocks(const TakeParameter& take, const std::string& name,
                                           int64_t count, int64_t in_channels, int64_t out_channels,
                                           int64_t groups) {
  std::vector<ResidualBlock> blocks;
  for (int64_t i = 0; i < count; ++i)
    blocks.emplace_back(take, indexed(name + ".resnets", static_cast<size_t>(i)),
                        i == 0 ? in_channels : out_channels, out_channels, groups);
  return blocks;
}

}  // namespace

EncoderNetwork::EncoderNetwork(const TakeParameter& take, const AutoencoderOptions& o)
    : conv_in_(take, "encoder.conv_in", o.in_channels, o.block_out_channels.front(), 3),
      levels_([&] {
        std::vector<Level> levels;
        const auto& widths = o.block_out_channels;
        for (size_t i = 0; i < widths.size(); ++i) {
          const std::string name = indexed("encoder.down_blocks", i);
          levels.push_back(
              {residual_blocks(take, name, o.layers_per_block, widths[i == 0 ? 0 : i - 1],
                               widths[i], o.norm_num_groups),
               std::nullopt});
          if (i + 1 < widths.size())
            levels.back().down.emplace(take, name + ".downsamplers.0.conv", widths[i]);
        }
        return levels;
      }()),
      mid_(take, "encoder.mid_block", o.block_out_channels.back(), o),
      norm_out_(take, "encoder.conv_norm_out", o.block_out_channels.back(), o.norm_num_groups),
      conv_out_(take, "encoder.conv_out", o.block_out_channels.back(), 2 * o.latent_channels, 3),
      quant_(o.use_quant_conv ? std::optional<Conv>(std::in_place, take, "quant_conv",
                                                    2 * o.latent_channels, 2 * o.latent_channels, 1)
                              : std::nullopt) {}

Tensor EncoderNetwork::operator()(Tensor x, int64_t strip_bytes) const {
  x = conv_in_(x);
  for (const Level& level : levels_) {
    for (const ResidualBlock& block : level.blocks) x = block(std::move(x), strip_bytes);
    if (level.down) x = (*level.down)(x, strip_bytes);
  }
  x = mid_(std::move(x), strip_bytes);
  x = norm_silu_conv(x, norm_out_, conv_out_, strip_bytes);
  return quant_ ? (*quant_)(x) : x;
}

DecoderNetwork::DecoderNetwork(const TakeParameter& take, const AutoencoderOptions& o)
    : post_quant_(o.use_post_quant_conv
                      ? std::optional<Conv>(std::in_place, take, "post_quant_conv",
                                            o.latent_channels, o.latent_channels, 1)
                      : std::nullopt),
      conv_in_(take, "decoder.conv_in", o.latent_channels, o.block_out_channels.back(), 3),
      mid_(take, "decoder.mid_block", o.block_out_channels.back(), o),
      levels_([&] {
        std::vector<Level> levels;
        // From the widest level, at the resolution of the latents, up.
        const std::vector<int64_t> widths(o.block_out_channels.rbegin(),
                                          o.block_out_channels.rend());
        for (size_t i = 0; i < widths.size(); ++i) {
          const std::string name = indexed("decoder.up_blocks", i);
          levels.push_back(
              {residual_blocks(take, name, o.layers_per_block + 1, widths[i == 0 ? 0 : i - 1],
                               widths[i], o.norm_num_groups),
               std::nullopt});
          if (i + 1 < widths.size())
            levels.back().up.emplace(take, name + ".upsamplers.0.conv", widths[i]);
        }
        return levels;
      }()),
      norm_out_(take, "decoder.conv_norm_out", o.block_out_channels.front(), o.norm_num_groups),
      conv_out_(take, "decoder.conv_out", o.block_out_channels.front(), o.out_channels, 3) {}

Tensor DecoderNetwork::operator()(Tensor z, int64_t strip_bytes) const {
  Tensor x = post_quant_ ? (*post_quant_)(z) : std::move(z);
  x = conv_in_(x);
  x = mid_(std::move(x), strip_bytes);
  for (const Level& level : levels_) {
    for (const ResidualBlock& block : level.blocks) x = block(std::move(x), strip_bytes);
    if (level.up) x = (*level.up)(x, strip_bytes);
  }
  return norm_silu_conv(x, norm_out_, conv_out_, strip_bytes);
}

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
