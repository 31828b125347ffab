/// One file into another: containers, precision, folding, and proof that nothing got lost.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/nn/snapshot_tools.h"
#include "edm2/nn/weights_file.h"

namespace edm2 {

/// Which file becomes which, and how.
struct ConvertOptions {
  std::filesystem::path input, output;
  WeightsOptions weights;                   ///< for inputs without a configuration
  std::optional<at::ScalarType> precision;  ///< none: as stored; folded weights: float32
  bool fold = false;
  /// Read the written file again and compare; convert it back to the input's container and compare
  /// again.
  bool check = false;
};

/// Reads, converts, writes (whole or not at all) and tells `progress` in lines of text. Throws
/// StateMismatch and Error as load_weights(); Error if values overflow in the new precision
/// (nothing is written then), or if the check finds a difference (the written file stays).
void convert_snapshot(const ConvertOptions& options, Progress& progress);

}  // namespace edm2
