#include "edm2/data/encoder.h"

#include <ATen/ATen.h>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// uint8 pixels <-> [-1, 1].
class StandardRgbEncoder : public Encoder {
 public:
  std::string name() const override { return "StandardRGBEncoder"; }
  int64_t raw_channels() const override { return 3; }
  int64_t latent_channels() const override { return 3; }
  Tensor encode_latents(const Tensor& raw) const override {
    return raw.to(at::kFloat).div(127.5).sub(1);
  }
  Tensor decode(const Tensor& latents) const override {
    // 128 with truncation rounds 127.5 x + 127.5 half up, so that decode(encode(v)) = v for every
    // byte.
    return latents.to(at::kFloat).mul(127.5).add(128).clip(0, 255).to(at::kByte);
  }
  EncoderOptions options() const override { return {}; }
};

/// Latents of Stability's VAE: the dataset stores mean and deviation, training draws from them.
class StabilityVaeEncoder : public Encoder {
 public:
  explicit StabilityVaeEncoder(EncoderOptions options) : options_(std::move(options)) {
    const auto to_tensor = [](const std::vector<float>& values) {
      return at::tensor(values).reshape({1, -1, 1, 1});
    };
    scale_ = to_tensor(options_.scale);
    bias_ = to_tensor(options_.bias);
  }
  std::string name() const override { return "StabilityVAEEncoder"; }
  int64_t raw_channels() const override { return 2 * scale_.numel(); }
  int64_t latent_channels() const override { return scale_.numel(); }
  Tensor encode_latents(const Tensor& raw) const override {
    const auto parts = raw.to(at::kFloat).chunk(2, 1);
    const Tensor &mean = parts[0], &std = parts[1];
    const Tensor sample = mean + at::randn_like(mean) * std;
    return sample * scale_.to(sample.device()) + bias_.to(sample.device());
  }
  Tensor decode(const Tensor&) const override {
    throw Error("this network makes latents of the VAE '" + options_.vae_name +
                "', which this version cannot turn into pixels; write the latents with "
                "--latents=FILE instead");
  }
  /// A linear map of the latents at their own resolution. Stability's latents are close to linear
  /// in colour; the coefficients for latents scaled by 0.18215 were measured by keturn
  /// (https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204). As
  /// everywhere in EDM2, colours are in [0, 1].
  Tensor decode_preview(const Tensor& latents) const override {
    const Tensor to_rgb = at::tensor({0.298f, 0.187f, -0.158f, -0.184f,   //
                                      0.207f, 0.286f, 0.189f, -0.271f,    //
                                      0.208f, 0.173f, 0.264f, -0.473f});  // [3 * 4]
    if (latents.size(1) != 4) return decode(latents);
    const Tensor x = latents.to(at::kCPU, at::kFloat);
    const Tensor raw = (x - bias_) / scale_ * 0.18215f;  // [N,4,H,W]
    const Tensor rgb = at::einsum("kc,nchw->nkhw", {to_rgb.reshape({3, 4}), raw});
    return rgb.clamp(0, 1).mul(255).to(at::kByte);
  }
  EncoderOptions options() const override { return options_; }

 private:
  EncoderOptions options_;
  Tensor scale_, bias_;  // [1, C, 1, 1]
};

}  // namespace

std::unique_ptr<Encoder> make_encoder(const EncoderOptions& options) {
  if (options.kind == EncoderOptions::Kind::rgb) return std::make_unique<StandardRgbEncoder>();
  return std::make_unique<StabilityVaeEncoder>(options);
}

EncoderOptions encoder_for_dataset(int64_t channels) {
  if (channels == 3) return {};
  if (channels == 8) return stability_vae_options();
  throw Error("--data: Unsupported channel count " + std::to_string(channels));
}

}  // namespace edm2
