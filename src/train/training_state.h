// training-state-*.pt: everything that a run needs to continue bit for bit.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/ema/power_function.h"
#include "edm2/io/pickle.h"
#include "edm2/nn/network.h"
#include "edm2/train/optimizer.h"

namespace edm2 {

struct RunProgress {
  int64_t cur_nimg = 0;
  double total_elapsed_time = 0;  // seconds, as of the last status line
  /// What else must go on and the original's file has no place for, by the part it belongs to; null
  /// in the original's files.
  nlohmann::json more;
};

/// "training-state-0001048.pt" for 1048 kimg.
std::string training_state_name(int64_t cur_nimg);

/// The original's layout, with plain types so that torch.load(weights_only=True) reads it.
/// `progress.more` becomes an entry of the zip that torch.load passes over.
void save_training_state(const std::filesystem::path& path, const RunProgress& progress,
                         Precond& network, const LossOptions& loss, double lr,
                         const Adam& optimizer, const PowerFunctionEma& ema);
/// Copies the saved values in; loss, EMA widths and optimizer options are replaced by the saved
/// ones. Throws Error naming the file.
RunProgress load_training_state(const std::filesystem::path& path, Precond& network,
                                LossOptions& loss, Adam& optimizer, PowerFunctionEma& ema);
/// The same where the file has been read: `root` is what load_torch_file() gave.
RunProgress load_training_state(const std::filesystem::path& path, const PickleValue& root,
                                Precond& network, LossOptions& loss, Adam& optimizer,
                                PowerFunctionEma& ema);

}  // namespace edm2
