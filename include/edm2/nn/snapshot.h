/// Network snapshots: what the original stores in `network-snapshot-*.pkl`, independent of the
/// container it came from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

/// How pixels become latents and back; the snapshot names it, src/data implements it.
struct EncoderOptions {
  enum class Kind { rgb, stability_vae } kind = Kind::rgb;
  // Stability VAE only:
  std::string vae_name = "stabilityai/sd-vae-ft-mse";
  std::vector<float> scale, bias;  ///< per latent channel
  int64_t batch_size = 8;

  bool operator==(const EncoderOptions&) const = default;
};

/// Where the network's training data came from (informative).
struct DatasetOptions {
  std::string path;
  bool use_labels = true;

  bool operator==(const DatasetOptions&) const = default;
};

/// Parameters of the training loss (arXiv 2312.02696, Eq. 14-16, 21).
struct LossOptions {
  double P_mean = -0.4;
  double P_std = 1.0;
  double sigma_data = 0.5;

  bool operator==(const LossOptions&) const = default;
};

struct Snapshot {
  NetworkOptions network;
  /// Parameters and buffers in state-dict order, on the CPU, usually float16.
  StateDict tensors;
  EncoderOptions encoder;
  std::optional<DatasetOptions> dataset;
  std::optional<LossOptions> loss;
};

enum class SnapshotFormat { pickle, safetensors };

/// Reads a snapshot of any supported container; the contents decide, not the extension. Names,
/// shapes and completeness are checked against the network that the options describe. Nothing in
/// the file is executed. Throws Error: not a snapshot, truncated, forbidden global, missing
/// parameter, ...
Snapshot load_snapshot(const std::filesystem::path& path);

/// Writes atomically. Pickles load in the original's Python tools; safetensors carry the
/// configuration in `__metadata__`.
void save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot,
                   SnapshotFormat format);

/// ".safetensors" (any case) -> safetensors, everything else -> pickle.
SnapshotFormat snapshot_format_for(const std::filesystem::path& path);

}  // namespace edm2
