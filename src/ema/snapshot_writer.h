// Snapshot files that are written while their elements are computed.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "edm2/io/atomic_file.h"
#include "ema/snapshot_sum.h"

namespace edm2 {

/// A network to be reconstructed: everything but the elements, with the types that they get.
/// EDM2 networks become float16, as the original writes them; other networks keep the types of the
/// first snapshot. The record (encoder, dataset, loss, metadata) is that of the first.
SnapshotIndex describe_result(std::span<const OpenSnapshot> snapshots);

/// The plan of the sums of these snapshots into files or memory described by `result`.
SumPlan plan_sums(const SnapshotIndex& result, std::vector<std::vector<double>> coefficients);

/// Writes each sum into a file of its own. Files appear, whole, with finish().
class SnapshotFilesReceiver : public SumReceiver {
 public:
  /// Changes the order of `plan` to that of the files.
  SnapshotFilesReceiver(const SnapshotIndex& result, SnapshotFormat format,
                        const std::vector<std::filesystem::path>& paths, SumPlan& plan);

  void receive(size_t output, size_t tensor, std::span<const std::byte> elements) override;
  void finish();

 private:
  struct Output {
    std::unique_ptr<AtomicFile> file;
    size_t begun = 0;      // pieces; the last one's tensor is being written
    uint64_t missing = 0;  // bytes of that tensor
  };

  // Writes on until elements are needed.
  void advance(Output& output);

  std::vector<FilePiece> pieces_;
  std::vector<uint64_t> sizes_;  // of the tensors, in bytes
  std::vector<Output> outputs_;
};

/// Keeps one sum in memory.
class StateDictReceiver : public SumReceiver {
 public:
  explicit StateDictReceiver(const SnapshotIndex& result);

  void receive(size_t output, size_t tensor, std::span<const std::byte> elements) override;
  StateDict take() { return std::move(tensors_); }

 private:
  StateDict tensors_;
  std::vector<uint64_t> received_;  // bytes
};

}  // namespace edm2
