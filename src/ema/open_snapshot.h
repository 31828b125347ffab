// Snapshots of one network, opened to be read in pieces.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "edm2/core/platform.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/nn/snapshot_index.h"

namespace edm2 {

/// In the order of the files.
std::vector<EmaProfile> profiles_of(std::span<const SnapshotFile> files);

/// How elements get into memory.
enum class FileAccess {
  read,    ///< copied by reads: fast from the disk
  mapped,  ///< the system's own copy is used: fast if the same elements are wanted again
};

struct OpenSnapshot {
  RandomAccessFile file;
  SnapshotIndex index;
  std::unique_ptr<MappedFile> map;  ///< with FileAccess::mapped

  explicit OpenSnapshot(const std::filesystem::path& path)
      : OpenSnapshot(path, index_snapshot(path), FileAccess::read) {}
  OpenSnapshot(const std::filesystem::path& path, SnapshotIndex contents, FileAccess access)
      : file(path), index(std::move(contents)) {
    if (access == FileAccess::mapped) map = std::make_unique<MappedFile>(path);
  }
};

/// Opens and checks the first `count` of them. Throws Error naming the file: damaged, truncated, or
/// of another network than the first.
std::vector<OpenSnapshot> open_snapshots(const std::filesystem::path& folder,
                                         const std::vector<SnapshotFile>& files, size_t count,
                                         FileAccess access = FileAccess::read);

/// Throws Error, naming both files, unless they are snapshots of the same network.
void check_same_network(const OpenSnapshot& first, const OpenSnapshot& other);

}  // namespace edm2
