/// Networks from files that say less than a snapshot: state dicts of bare tensors, and training
/// states.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "edm2/nn/snapshot.h"

namespace edm2 {

/// A configuration as far as it is known.
struct PartialConfig {
  NetworkOptions network;
  std::set<std::string> known;  ///< names of the members of `network` that are meant
  std::optional<EncoderOptions> encoder;
  std::optional<DatasetOptions> dataset;
  std::optional<LossOptions> loss;
  bool folded = false;
};

/// All that a snapshot knows, to be used for another file.
PartialConfig config_of(const Snapshot& snapshot);

/// Reads JSON: what `edm2 info --json` prints of a snapshot, training_options.json of a run, or an
/// object of network options alone. Throws Error naming the file.
PartialConfig read_config_file(const std::filesystem::path& path);

/// What the user says of a file that does not say it itself.
struct WeightsOptions {
  /// For files without a configuration. None: training_options.json beside a training state is
  /// read; what then still is not known, and tensors do not tell, gets its default.
  std::optional<PartialConfig> config;
  /// Of a training state: the moving average of that width, such as 0.05. None: the weights that
  /// are being trained.
  std::optional<double> ema_std;
  /// Of a state dict: only tensors whose names begin so, without it ("ema."). None: what stands in
  /// front of all names ("module.", "_orig_mod.", ...) is found by itself.
  std::optional<std::string> prefix;
};

/// A network from any file, and what had to be assumed.
struct LoadedWeights {
  Snapshot snapshot;
  SnapshotFormat format = SnapshotFormat::pickle;  ///< of the file
  std::vector<std::string> notes;  ///< sentences for the user: what was assumed or left out
};

/// Reads a snapshot as load_snapshot() does, or the network in a safetensors or torch file of bare
/// tensors (plain, or nested as {"ema": {...}}), or in a training state.
///
/// Throws StateMismatch if the tensors do not fit the known or inferred configuration. Throws
/// Error: nothing of the kind in the file, several networks without a `prefix`, options that do not
/// belong to such a file, a configuration that neither tensors nor `config` tell.
LoadedWeights load_weights(const std::filesystem::path& path, const WeightsOptions& options = {});

}  // namespace edm2
