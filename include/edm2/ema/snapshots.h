/// The snapshots of a training run as one thing: a network for every EMA length.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/ema/posthoc.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// Reconstructs the weights of any EMA length in memory, bit for bit those that `edm2 reconstruct`
/// writes (arXiv 2312.02696, Section 3.2).
///
///     Snapshots run("runs/photos");
///     Snapshot sharp = run.reconstruct(0.05), smooth = run.reconstruct(0.15);
///
/// Files are opened, checked and mapped once. What the system still holds of them is not read
/// again, and the memory needed is that of the result. The files must not be written over meanwhile
/// (they may be replaced or deleted). Not for several threads at once.
class Snapshots {
 public:
  /// Finds the snapshots in a folder (not below it). If there are several prefixes and the filter
  /// chooses none, those of training ("network-snapshot") count. Throws Error: no such folder, no
  /// snapshots, several prefixes, two files of the same time and EMA length.
  explicit Snapshots(const std::filesystem::path& folder, SnapshotFilter filter = {});
  ~Snapshots();
  Snapshots(Snapshots&&) noexcept;
  Snapshots& operator=(Snapshots&&) noexcept;

  /// Sorted by time, then width, without those of time 0, which no reconstruction uses.
  const std::vector<SnapshotFile>& files() const;
  /// Remarks for the user, such as files that were left out.
  const std::vector<std::string>& notes() const;
  int64_t latest() const { return files().back().nimg; }

  /// Coefficients of the files up to the time `nimg` (none: the latest) for the relative width
  /// `std`, and the expected error. Remembered. Throws Error if no file is of that time.
  const PostHocSolution& solve(double std, std::optional<int64_t> nimg = {});

  /// The network of that EMA length at that time, float16. Throws Error also for damaged files,
  /// files of different networks and state dicts of networks that are not EDM2's.
  Snapshot reconstruct(double std, std::optional<int64_t> nimg = {});

  /// The weights alone, of any network: float16 for EDM2's, otherwise of the types in the files.
  StateDict reconstruct_tensors(double std, std::optional<int64_t> nimg = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edm2
