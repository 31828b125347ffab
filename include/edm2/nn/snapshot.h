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
  enum class Kind {
    rgb,            ///< bytes <-> [-1, 1]; RGB, or any other number of channels
    stability_vae,  ///< latents of a VAE
    none,           ///< numbers that the network sees as they are, and that no picture is made of
  } kind = Kind::rgb;
  // Stability VAE only:
  std::string vae_name = "stabilityai/sd-vae-ft-mse";
  std::vector<float> scale, bias;  ///< per latent channel
  int64_t batch_size = 8;

  bool operator==(const EncoderOptions&) const = default;
};

/// Stability's VAE with the original's mapping of its latents to mean 0 and deviation 0.5, measured
/// over ImageNet.
EncoderOptions stability_vae_options();

/// Where the network's training data came from, and what its labels are.
struct DatasetOptions {
  std::string path;
  bool use_labels = true;
  bool vector_labels = false;  ///< labels are vectors of numbers, not classes

  bool operator==(const DatasetOptions&) const = default;
};

/// Parameters of the training loss (arXiv 2312.02696, Eq. 14-16, 21).
struct LossOptions {
  double P_mean = -0.4;
  double P_std = 1.0;
  double sigma_data = 0.5;

  bool operator==(const LossOptions&) const = default;
};

/// A network with its weights and what belongs to it.
struct Snapshot {
  NetworkOptions network;
  /// Parameters and buffers in state-dict order, on the CPU, usually float16.
  StateDict tensors;
  EncoderOptions encoder;
  std::optional<DatasetOptions> dataset;
  std::optional<LossOptions> loss;
  /// The weights are those that the layers multiply with: normalisation and gains are baked in, and
  /// the gains are 1 (see fold()). Such a network runs, but cannot be trained on or averaged.
  bool folded = false;
  /// Sentences for whoever uses the file that this was read from: what is unusual about it, or was
  /// not kept. Not part of the snapshot: neither written nor compared.
  std::vector<std::string> notes;
};

/// Kinds of files that hold snapshots.
enum class SnapshotFormat { pickle, safetensors, torch };

/// "pickle", "safetensors", "torch".
const char* format_name(SnapshotFormat format);

/// Reads a snapshot of any supported container; the contents decide, not the extension. Names,
/// shapes and completeness are checked against the network that the options describe. Nothing in
/// the file is executed. Throws Error: not a snapshot, truncated, forbidden global, ...; or
/// StateMismatch (edm2/nn/state_report.h). For files without a configuration see
/// edm2/nn/weights_file.h.
Snapshot load_snapshot(const std::filesystem::path& path);

/// Writes atomically.
///
/// Pickles load in the original's Python tools. Safetensors carry the configuration as JSON in
/// `__metadata__`. Torch files are a plain state dict for `torch.load`; the configuration is the
/// zip entry `<stem>/edm2.json`, which torch passes over. Throws Error: tensors that do not fit the
/// options, a folded network as pickle (the original's tools would normalise it again), ...
void save_snapshot(const std::filesystem::path& path, const Snapshot& snapshot,
                   SnapshotFormat format);

/// By the extension in any case: .pkl, .safetensors, .pt or .pth. Throws UsageError otherwise.
SnapshotFormat snapshot_format_for(const std::filesystem::path& path);

}  // namespace edm2
