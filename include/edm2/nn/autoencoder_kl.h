/// Stability's variational autoencoder (arXiv 2112.10752, Section 3.1), which maps pictures to
/// latents of an eighth of their width and height and back: `AutoencoderKL` of the diffusers
/// library, for inference.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/core/tensor.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {

/// What the `config.json` of a VAE says, by its names there. The defaults are those of
/// stabilityai/sd-vae-ft-mse.
struct AutoencoderOptions {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  int64_t latent_channels = 4;
  /// Widths of the levels, from full resolution to that of the latents, each half the one before.
  std::vector<int64_t> block_out_channels = {128, 256, 512, 512};
  int64_t layers_per_block = 2;  ///< residual blocks of a level; the decoder has one more
  int64_t norm_num_groups = 32;
  bool mid_block_add_attention = true;
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;

  /// Pixels of a picture for one of its latents, in width and in height.
  int64_t downscale() const { return int64_t{1} << (block_out_channels.size() - 1); }
  bool operator==(const AutoencoderOptions&) const = default;
};

/// Throws Error if no autoencoder can have these options, or none that fits into a computer.
void validate(const AutoencoderOptions& options);

/// The options in a config.json. Keys that do not change the network are ignored. Throws Error: a
/// wrong type, a missing key, block or activation types that are not implemented, impossible sizes.
AutoencoderOptions autoencoder_options_from_json(const nlohmann::json& config);
nlohmann::json to_json(const AutoencoderOptions& options);

/// Names (the current ones of diffusers) and shapes of all tensors.
std::vector<StateEntry> autoencoder_layout(const AutoencoderOptions& options);

/// An autoencoder as it lies on the disk.
struct AutoencoderWeights {
  AutoencoderOptions options;
  StateDict tensors;  ///< in the order and with the names of autoencoder_layout(), on the CPU
};

/// Where a VAE lies.
struct AutoencoderFiles {
  std::filesystem::path weights;                ///< or the .index.json of weights in several files
  std::optional<std::filesystem::path> config;  ///< none: the tensors' shapes tell the options
};

/// The files of an autoencoder. In a folder, the first of these that is there:
///   - `config.json` and `diffusion_pytorch_model.safetensors`, the same in several files with an
///     index, or `.bin`, a file of torch.save; if there are only variants (`....fp16.safetensors`),
///     the only one;
///   - what the sub-folder `vae` holds, as in the folder of a pipeline;
///   - what a revision holds, if it is the folder of a model in a cache of the Hugging Face hub:
///     the one that "main" stands for, or any that is complete;
///   - the only file of weights (.safetensors, .ckpt, .pt, .pth, .bin).
/// A file stands for itself, with, if there is one, the config.json of an autoencoder beside it.
/// Throws Error if the folder or the file is not there, something is missing in the folder, or it
/// is not certain which file is meant.
AutoencoderFiles find_autoencoder_files(const std::filesystem::path& path);

/// Reads an autoencoder by the names of diffusers, old and current, or of the latent-diffusion
/// code; also from within a checkpoint, safetensors or a file of torch.save. Names, shapes and
/// completeness are checked. Nothing in the files is executed. Throws Error: one sentence that
/// names the file and what is wrong, or which other kind of autoencoder it is.
AutoencoderWeights load_autoencoder(const AutoencoderFiles& files);
/// The same with the files that find_autoencoder_files() finds.
AutoencoderWeights load_autoencoder(const std::filesystem::path& path);

/// Computes in float32 whatever type the weights have.
///
/// Memory: convolutions that need much room work through their input in strips of rows, with the
/// statistics of group normalisation taken from the whole picture, so that the result is that of
/// the plain computation (to its last bits) while little more than a block's input and output is
/// held at a time. On the CPU the pictures of a batch are computed one by one: a picture does not
/// depend on the batch that it is in, and one alone keeps all cores busy.
class AutoencoderKL {
 public:
  /// Throws Error if names or shapes are not those of autoencoder_layout().
  explicit AutoencoderKL(AutoencoderWeights weights, c10::Device device = c10::kCPU);
  ~AutoencoderKL();
  AutoencoderKL(AutoencoderKL&&) noexcept;
  AutoencoderKL& operator=(AutoencoderKL&&) noexcept;

  /// Normal distribution of the latents of each picture: mean and deviation, [N,L,H/f,W/f] float32.
  struct Posterior {
    Tensor mean, std;
  };

  /// x[N,in,H,W] floating point; H and W multiples of f = options().downscale().
  Posterior encode(const Tensor& x) const;
  /// Mean and logarithm of the variance side by side, as the network gives them: [N,2L,H/f,W/f].
  Tensor moments(const Tensor& x) const;
  /// z[N,L,h,w] -> float32 [N,out,h*f,w*f], not clamped.
  Tensor decode(const Tensor& z) const;

  const AutoencoderOptions& options() const { return options_; }
  c10::Device device() const { return device_; }

  /// Temporary tensors that are larger than this are computed strip by strip. The default on the
  /// CPU fits into its caches, which makes it the fastest choice, too.
  int64_t strip_bytes = 0;

 private:
  struct Layers;
  /// Runs `network` on the whole batch, or on the CPU on one image after the other.
  template <class Network>
  Tensor for_each_image(const Tensor& x, Network network) const;

  AutoencoderOptions options_;
  c10::Device device_;
  std::unique_ptr<Layers> layers_;
};

}  // namespace edm2
