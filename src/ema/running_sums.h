// Weighted sums of snapshots that come one after the other.
#pragma once

#include "edm2/core/scratch_file.h"
#include "ema/snapshot_sum.h"
#include "ema/weighted_sum_kernels.h"

namespace edm2 {

/// What sum_snapshots() computes, bit for bit, with one snapshot at a time. The sums stand in a
/// nameless file as float32, so that memory depends neither on the size of the network nor on the
/// number of sums.
class RunningSums {
 public:
  /// `folder`: for the sums. `plan.order` is not looked at.
  RunningSums(const SnapshotIndex& network, SumPlan plan, const std::filesystem::path& folder);

  /// The next one, of the same network. Throws Error, Interrupted.
  void add(const OpenSnapshot& snapshot);

  /// Hands the sums over, tensors in that order; buffers come from `last`, the snapshot that was
  /// added last. Call once. Throws what the receiver throws.
  void finish(SumReceiver& receiver, const std::vector<size_t>& order, const OpenSnapshot& last);

 private:
  size_t output_count() const { return plan_.coefficients.size(); }
  uint64_t place(size_t output, const TensorSpan& span) const;

  std::vector<StoredTensor> tensors_;
  SumPlan plan_;
  std::vector<uint64_t> starts_;  // elements of parameters before each tensor
  uint64_t total_ = 0;            // of all tensors
  size_t added_ = 0;
  ScratchFile file_;
  weighted_sum::Kernels kernels_;
};

}  // namespace edm2
