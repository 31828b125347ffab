/// Snapshots without their elements: what a file holds and where, for programs that work through
/// many large files in pieces; and how to write a file in pieces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// A tensor and the place of its elements.
struct StoredTensor {
  std::string name;
  at::ScalarType dtype = at::kHalf;
  std::vector<int64_t> shape;
  bool is_buffer = false;
  uint64_t offset = 0;  ///< of the first element in the file; elements follow each other in C order
  Tensor copy;          ///< defined if the file does not hold the elements in that way

  /// Number of elements, and their size in bytes.
  int64_t numel() const;
  uint64_t nbytes() const;
};

/// All tensors of a file, without their elements.
struct SnapshotIndex {
  /// In the network's own order; for plain state dicts in the order of the file.
  std::vector<StoredTensor> tensors;
  /// Everything but the tensors of an EDM2 network; none: a plain state dict (safetensors only).
  std::optional<Snapshot> network;
  /// Metadata of a plain state dict. "buffers", a JSON list of names, tells what is no parameter;
  /// tensors that hold no floating-point numbers are buffers anyway.
  std::map<std::string, std::string> metadata;
  SnapshotFormat format = SnapshotFormat::pickle;
};

/// Reads all of a snapshot but the elements of its tensors, with all the checks of load_snapshot;
/// also a safetensors file of any other network. Throws Error naming the file.
SnapshotIndex index_snapshot(const std::filesystem::path& path);

/// Indexes many snapshots of one network. Where a file has the bytes of the first everywhere but in
/// the elements of its tensors, as the snapshots of a run have, it is not parsed again. May be used
/// by several threads at once.
class SnapshotIndexer {
 public:
  /// Throws like index_snapshot.
  explicit SnapshotIndexer(const std::filesystem::path& first);
  ~SnapshotIndexer();
  /// The same as index_snapshot(path).
  SnapshotIndex index(const std::filesystem::path& path) const;

 private:
  struct First;
  std::unique_ptr<const First> first_;
};

/// A file in pieces: each is some bytes, then the elements of a tensor (its position in
/// `index.tensors`; none in the last piece).
struct FilePiece {
  std::string bytes;
  std::optional<size_t> tensor;
};

/// The file that save_snapshot() would write for such a network and such tensors, or a safetensors
/// file with the metadata of a plain state dict. Offsets and copies of `index` are not looked at.
/// Throws Error for a plain state dict as a pickle.
std::vector<FilePiece> snapshot_pieces(const SnapshotIndex& index, SnapshotFormat format);

}  // namespace edm2
