/// Which snapshots of a run can be deleted: what `edm2 thin` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "edm2/ema/snapshot_name.h"
#include "edm2/plot/figure.h"

namespace edm2 {

/// Which snapshots are looked at, and what must remain possible.
struct ThinOptions {
  SnapshotFilter filter;
  /// How many files to keep, >= 1; or how large the loss of any length may become (0.01 = 1 % of
  /// the profile's norm). One of the two.
  std::optional<int64_t> keep;
  std::optional<double> max_loss;
  /// EMA lengths that are wanted later, at the latest time; none: 0.010, 0.015, ... 0.250.
  std::vector<double> stds;
};

/// Which snapshots can go, and what that costs.
struct ThinPlan {
  std::filesystem::path folder;
  std::vector<SnapshotFile> keep, remove;
  uint64_t keep_bytes = 0, remove_bytes = 0;
  std::vector<double> stds;
  std::vector<double> errors_before, errors_after;  ///< expected error of each length
  /// Losses with 1, 2, ... files kept (see ThinningStep); the last are 0.
  std::vector<double> rms_losses, largest_losses;

  double rms_loss() const { return rms_losses[keep.size() - 1]; }
  double largest_loss() const { return largest_losses[keep.size() - 1]; }
};

/// Reads names and sizes of files, not their contents. The snapshots are those that Snapshots
/// takes; those of time 0 can go in any case. Throws Error, UsageError.
ThinPlan plan_thinning(const std::filesystem::path& folder, const ThinOptions& options);

/// Losses over the number of files kept, and errors over the EMA length before and after.
plot::Figure thinning_figure(const ThinPlan& plan);

/// Deletes plan.remove, after a look at every file of plan.keep: if one of them cannot be used,
/// nothing is deleted and an Error names it.
void carry_out(const ThinPlan& plan);

}  // namespace edm2
