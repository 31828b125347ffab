/// Everything that determines an EDM2 network: the constructor arguments of the original's
/// Precond, UNet and Block, with its defaults.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

namespace edm2 {

/// The constructor arguments of the original's network, and what is derived from them.
struct NetworkOptions {
  // Precond.
  int64_t img_resolution = 64;  ///< height and width of images or latents, > 0
  int64_t img_channels = 3;     ///< channels of images or latents, > 0
  int64_t label_dim = 0;    ///< number of classes or length of the label vector; 0 = unconditional
  bool use_fp16 = true;     ///< float16 activations on CUDA
  double sigma_data = 0.5;  ///< expected standard deviation of the training data
  int64_t logvar_channels = 128;  ///< Fourier features of the uncertainty head
  /// There is an uncertainty head, which training's loss needs and sampling does not. The
  /// original's networks all have one; fine-tuned ones, such as by consistency tuning, may have
  /// lost it.
  bool has_logvar = true;

  // UNet.
  int64_t model_channels = 192;
  std::vector<int64_t> channel_mult = {1, 2, 3, 4};  ///< per level, from full resolution down
  std::optional<int64_t> channel_mult_noise;         ///< none: width of the first level
  std::optional<int64_t> channel_mult_emb;           ///< none: width of the widest level
  int64_t num_blocks = 3;                            ///< residual blocks per level
  std::vector<int64_t> attn_resolutions = {16, 8};   ///< resolutions with self-attention
  double label_balance = 0.5;                        ///< noise embedding (0) against label (1)
  double concat_balance = 0.5;                       ///< main path (0) against skip (1)

  // Block.
  std::vector<double> resample_filter = {1, 1};
  int64_t channels_per_head = 64;
  double dropout = 0;
  double res_balance = 0.3;              ///< main branch (0) against residual branch (1)
  double attn_balance = 0.3;             ///< main branch (0) against attention (1)
  std::optional<double> clip_act = 256;  ///< activations are clipped to +-clip_act; none = not

  bool operator==(const NetworkOptions&) const = default;
};

/// Throws Error with one sentence if no network can be built from these options (also what the
/// original finds out only at the first forward pass, such as channels that heads do not divide).
void validate(const NetworkOptions& options);

/// Keys are the original's argument names; values equal to the default are written too, but for
/// has_logvar, which is none of its arguments.
nlohmann::json to_json(const NetworkOptions& options);
/// Unknown keys are an Error; missing keys keep their default.
NetworkOptions network_options_from_json(const nlohmann::json& json);

}  // namespace edm2
