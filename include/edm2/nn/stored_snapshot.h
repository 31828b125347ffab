/// Snapshots whose weights are read one by one.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "edm2/nn/snapshot.h"

namespace edm2 {

/// A snapshot whose weights are still in their file and are read when they are asked for (but for
/// torch files, which are archives with checksums and are read at once). Making a network of it
/// (make_denoiser()) is faster and takes less memory than with all of them read before. Movable.
class StoredSnapshot {
 public:
  /// The snapshot in a file, checked as load_snapshot() does, which throws the same. The file stays
  /// open: another may take its name meanwhile, but its contents must not change.
  explicit StoredSnapshot(const std::filesystem::path& path);
  /// One that is in memory already.
  StoredSnapshot(Snapshot snapshot);  // NOLINT(google-explicit-constructor): it takes its place
  ~StoredSnapshot();
  StoredSnapshot(StoredSnapshot&&) noexcept;
  StoredSnapshot& operator=(StoredSnapshot&&) noexcept;

  /// All but the weights: those that are in the file are tensors on the meta device, with shapes
  /// and types but no numbers. Those that were taken are undefined.
  const Snapshot& description() const;

  /// The tensor of that name, in its stored shape, on the CPU, which can be taken once. Several
  /// threads may take different ones at once. Throws Error: there is none (any more), or the file
  /// has become shorter or cannot be read.
  Tensor take(const std::string& name);

  /// All of it. Throws Error as take() does.
  Snapshot load() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edm2
