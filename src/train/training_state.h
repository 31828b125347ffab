// training-state-*.pt: everything that a run needs to continue bit for bit.
#pragma once

#include <filesystem>
#include <optional>

#include "edm2/ema/power_function.h"
#include "edm2/nn/network.h"
#include "edm2/train/optimizer.h"

namespace edm2 {

struct RunProgress {
  int64_t cur_nimg = 0;
  double total_elapsed_time = 0;  // seconds, as of the last status line
};

/// "training-state-0001048.pt" for 1048 kimg.
std::string training_state_name(int64_t cur_nimg);
/// The file of that name pattern with the largest number, if any.
std::optional<std::filesystem::path> newest_training_state(const std::filesystem::path& folder);

/// The original's layout, with plain types so that torch.load(weights_only=True) reads it.
void save_training_state(const std::filesystem::path& path, const RunProgress& progress,
                         Precond& network, const LossOptions& loss, double lr,
                         const Adam& optimizer, const PowerFunctionEma& ema);
/// Copies the saved values in; loss, EMA widths and optimizer options are replaced by the saved
/// ones. Throws Error naming the file.
RunProgress load_training_state(const std::filesystem::path& path, Precond& network,
                                LossOptions& loss, Adam& optimizer, PowerFunctionEma& ema);

}  // namespace edm2
