#include "edm2/data/encoder.h"

#include <ATen/ATen.h>

#include <mutex>

#include "data/find_vae.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/download_cache.h"
#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {
namespace {

bool is_download(const std::filesystem::path& file, const FetchOptions& options) {
  for (const auto& root : cache_roots(options))
    if (file.parent_path() == root / "downloads") return true;
  return false;
}

/// uint8 pixels <-> [-1, 1].
class StandardRgbEncoder : public Encoder {
 public:
  std::string name() const override { return "StandardRGBEncoder"; }
  int64_t raw_channels() const override { return 3; }
  int64_t latent_channels() const override { return 3; }
  Tensor encode_pixels(const Tensor& pixels) const override { return pixels; }
  Tensor encode_latents(const Tensor& raw, const DrawNormal&) const override {
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
/// Pixels enter and leave the VAE in [0, 1], where its authors have [-1, 1]: so EDM2's networks
/// were trained.
class StabilityVaeEncoder : public Encoder {
 public:
  StabilityVaeEncoder(EncoderOptions options, EncoderSetup setup)
      : options_(std::move(options)),
        setup_(std::move(setup)),
        batch_size_(setup_.batch_size.value_or(options_.batch_size)) {
    const auto to_tensor = [](const std::vector<float>& values) {
      return at::tensor(values).reshape({1, -1, 1, 1});
    };
    scale_ = to_tensor(options_.scale);
    bias_ = to_tensor(options_.bias);
  }
  std::string name() const override { return "StabilityVAEEncoder"; }
  int64_t raw_channels() const override { return 2 * scale_.numel(); }
  int64_t latent_channels() const override { return scale_.numel(); }
  Tensor encode_pixels(const Tensor& pixels) const override {
    const AutoencoderKL& vae = loaded();
    const int64_t f = vae.options().downscale();
    if (pixels.size(2) % f != 0 || pixels.size(3) % f != 0)
      throw Error("a picture of " + std::to_string(pixels.size(3)) + "x" +
                  std::to_string(pixels.size(2)) +
                  " pixels cannot be encoded, because its sides are not multiples of " +
                  std::to_string(f) + "; crop or scale it first");
    return in_batches(pixels, [&](const Tensor& batch) {
      const auto posterior = vae.encode(batch.to(vae.device(), at::kFloat).div(255));
      return at::cat({posterior.mean, posterior.std}, 1).contiguous();
    });
  }
  Tensor encode_latents(const Tensor& raw, const DrawNormal& draw) const override {
    Tensor sample = raw.to(at::kFloat);
    if (sample.size(1) != latent_channels()) {
      const auto parts = sample.chunk(2, 1);
      const Tensor &mean = parts[0], &std = parts[1];
      sample = mean + draw(mean) * std;
    }
    return sample * scale_.to(sample.device()) + bias_.to(sample.device());
  }
  Tensor decode(const Tensor& latents) const override {
    const AutoencoderKL& vae = loaded();
    return in_batches(latents, [&](const Tensor& batch) {
      const Tensor x = batch.to(vae.device(), at::kFloat);
      const Tensor raw = (x - bias_.to(vae.device())) / scale_.to(vae.device());
      return vae.decode(raw).clamp_(0, 1).mul_(255).to(at::kByte).contiguous();
    });
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

  void load(Progress& progress) const override {
    const std::lock_guard lock(mutex_);
    if (vae_) return;
    const AutoencoderFiles files =
        setup_.vae.empty()
            ? find_vae(options_.vae_name, setup_.fetch, progress)
            : find_autoencoder_files(setup_.vae.resolved(setup_.fetch, progress).file());
    AutoencoderWeights weights = read(files);
    const AutoencoderOptions& o = weights.options;
    if (o.latent_channels != latent_channels() || o.in_channels != 3 || o.out_channels != 3)
      throw Error(files.weights.string() + ": this VAE makes latents of " +
                  std::to_string(o.latent_channels) + " channels from pictures of " +
                  std::to_string(o.in_channels) + "; needed is one of " +
                  std::to_string(latent_channels()) + " from 3");
    vae_ = std::make_unique<AutoencoderKL>(std::move(weights), setup_.device);
    file_ = files.weights;
  }
  std::optional<std::filesystem::path> weights_file() const override {
    const std::lock_guard lock(mutex_);
    return vae_ ? std::optional(file_) : std::nullopt;
  }

 private:
  const AutoencoderKL& loaded() const {
    load(*make_progress(ProgressStyle::quiet));
    return *vae_;
  }

  AutoencoderWeights read(const AutoencoderFiles& files) const {
    try {
      return load_autoencoder(files);
    } catch (const Error& error) {
      if (!is_download(files.weights, setup_.fetch)) throw;
      throw Error(std::string(error.what()) +
                  "; to download it again, remove it with: edm2 cache clear " +
                  files.weights.filename().string());
    }
  }

  template <class Work>
  Tensor in_batches(const Tensor& x, const Work& work) const {
    std::vector<Tensor> results;
    for (const Tensor& batch : x.split(batch_size_)) {
      check_interrupt();
      results.push_back(work(batch));
    }
    return results.size() == 1 ? results.front() : at::cat(results);
  }

  EncoderOptions options_;
  EncoderSetup setup_;
  int64_t batch_size_;
  Tensor scale_, bias_;       // [1, C, 1, 1]
  mutable std::mutex mutex_;  // of what follows
  mutable std::unique_ptr<AutoencoderKL> vae_;
  mutable std::filesystem::path file_;
};

/// Numbers that the network sees as they are.
class IdentityEncoder : public Encoder {
 public:
  std::string name() const override { return "IdentityEncoder"; }
  int64_t raw_channels() const override { return 0; }
  int64_t latent_channels() const override { return 0; }
  Tensor encode_pixels(const Tensor& pixels) const override { return pixels; }
  Tensor encode_latents(const Tensor& raw, const DrawNormal&) const override {
    return raw.to(at::kFloat);
  }
  Tensor decode(const Tensor&) const override { fail(); }
  /// The first channels as colours.
  Tensor decode_preview(const Tensor& latents) const override {
    const Tensor first = latents.narrow(1, 0, latents.size(1) >= 3 ? 3 : 1);
    return StandardRgbEncoder().decode(first);
  }
  EncoderOptions options() const override {
    EncoderOptions options;
    options.kind = EncoderOptions::Kind::none;
    return options;
  }
  void load(Progress&) const override { fail(); }

 private:
  [[noreturn]] static void fail() {
    throw Error(
        "the network was trained on numbers that are not pixels (--encoder=none), so no pictures "
        "can be made of what it draws; use --latents=FILE");
  }
};

}  // namespace

Tensor Encoder::encode_latents(const Tensor& raw,
                               const std::optional<at::Generator>& generator) const {
  return encode_latents(
      raw, [&](const Tensor& like) { return at::randn(like.sizes(), generator, like.options()); });
}

std::unique_ptr<Encoder> make_encoder(const EncoderOptions& options, EncoderSetup setup) {
  if (options.kind == EncoderOptions::Kind::rgb) return std::make_unique<StandardRgbEncoder>();
  if (options.kind == EncoderOptions::Kind::none) return std::make_unique<IdentityEncoder>();
  return std::make_unique<StabilityVaeEncoder>(options, std::move(setup));
}

EncoderOptions encoder_for_dataset(int64_t channels) {
  if (channels == 3) return {};
  if (channels == 8) return stability_vae_options();
  throw Error("--data: Unsupported channel count " + std::to_string(channels));
}

EncoderChoice parse_encoder(const std::string& name) {
  if (name == "auto") return EncoderChoice::automatic;
  if (name == "rgb") return EncoderChoice::rgb;
  if (name == "vae") return EncoderChoice::vae;
  if (name == "none") return EncoderChoice::none;
  throw UsageError("'" + name + "' is not one of 'auto', 'rgb', 'vae', 'none'.");
}

EncoderOptions choose_encoder(EncoderChoice choice, int64_t channels, c10::ScalarType type) {
  const bool bytes = type == at::kByte;
  const std::string what =
      std::to_string(channels) + (bytes ? " channels of bytes" : " channels of float32");
  const EncoderOptions vae = stability_vae_options();
  const auto latents = static_cast<int64_t>(vae.scale.size());
  EncoderOptions none;
  none.kind = EncoderOptions::Kind::none;
  switch (choice) {
    case EncoderChoice::rgb:
      if (channels > 4)
        throw Error("--encoder=rgb: the dataset has " + what + ", pictures have at most 4");
      return {};
    case EncoderChoice::vae:
      if (bytes || (channels != latents && channels != 2 * latents))
        throw Error("--encoder=vae: the dataset has " + what + ", latents of the VAE have " +
                    std::to_string(2 * latents) + " of float32 (mean and deviation) or " +
                    std::to_string(latents) + " (mean alone)");
      return vae;
    case EncoderChoice::none:
      return none;
    case EncoderChoice::automatic:
      break;
  }
  if (channels == 3 || (bytes && channels <= 4)) return {};
  if (!bytes && (channels == latents || channels == 2 * latents)) return vae;
  throw Error("--data: Unsupported channel count " + std::to_string(channels) + ": " + what +
              " are neither pixels nor latents of the known VAE; --encoder=none takes them as they "
              "are");
}

}  // namespace edm2
