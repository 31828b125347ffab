/// Training that starts from the weights of another network.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/nn/network.h"
#include "edm2/nn/weights_file.h"
#include "edm2/train/train_options.h"

namespace edm2 {

/// What became of the tensors, one line each and grouped.
struct InitReport {
  int64_t loaded = 0, total = 0;  ///< tensors of the network
  int64_t loaded_weights = 0;     ///< of those, weight matrices of the U-Net
  std::vector<std::string> partly;
  std::vector<std::string> unfitting;  ///< another shape there
  std::vector<std::string> missing;    ///< not there; they start at random
  std::vector<std::string> reset;      ///< gains whose weights were not loaded; they start at 0
  std::vector<std::string> unused;     ///< there, but not here
  std::string by_level;                ///< how names were matched, if resolutions differ

  /// For the log.
  std::vector<std::string> lines() const;
};

/// Copies every tensor of `source` that fits the network by name and shape.
///
/// Between resolutions, layers are matched by level: "64x64_block0" of a network of 64x64 images is
/// "32x32_block0" of one of 32x32, since convolutions do not depend on the resolution. A network
/// that knows more classes gets the embeddings of those that the source knows, by number; the
/// others start at random. If it knows fewer, they are taken for other classes, and all start at
/// random. A gain is copied only with its weight.
///
/// Throws Error if no weight of the U-Net fits, or if the source is folded.
InitReport initialize_from(Precond& network, const Snapshot& source);
/// The same without copying: options that say enough.
InitReport plan_initialization(const NetworkOptions& target, const Snapshot& source);

/// The structure of `source` for images of another resolution: attention stays at its levels.
/// Resolution, channels and labels are those of `target`.
NetworkOptions structure_for(const NetworkOptions& target, const NetworkOptions& source);

/// Resolves options.init_from (downloading if need be), loads it, and checks that something of it
/// fits. Throws Error that begins with "--init-from".
LoadedWeights load_init_weights(TrainOptions& options, Progress& progress);
/// The same for use before the network's options are known: nothing is checked.
LoadedWeights read_init_weights(TrainOptions& options, Progress& progress);

}  // namespace edm2
