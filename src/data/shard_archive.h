// Tar shards, plain or packed by gzip.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "edm2/io/tar.h"

namespace edm2 {

/// read() may be called by several threads at once.
class ShardArchive {
 public:
  virtual ~ShardArchive() = default;
  virtual const TarDirectory& directory() const = 0;
  virtual std::vector<std::byte> read(size_t entry) const = 0;
};

/// What gzip files hold, in memory: of the few that were wanted last, so that going through many of
/// them in order unpacks each once.
class UnpackedFiles {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  /// Throws Error: damaged, or packed as only files are that are made to fill the memory.
  Bytes get(const std::string& path);

 private:
  std::mutex mutex_;
  std::list<std::pair<std::string, Bytes>> last_;
};

/// Looks at the contents, not at the name. Throws Error: no tar archive (saying what it is
/// instead), damaged, truncated.
std::unique_ptr<ShardArchive> open_shard(const std::string& path,
                                         const std::shared_ptr<UnpackedFiles>& unpacked);

/// Throws Error, which says what it is instead, unless the contents of the gzip file begin as tar
/// archives do.
void check_unpacked_tar(std::span<const std::byte> bytes, const std::string& path);
/// The file begins as gzip files do; false for what cannot be read.
bool is_gzip_file(const std::string& path);
/// A name that tar archives have, packed or not: ".tar", ".tar.gz", ".tgz", ".tar.zst", ...
bool has_tar_extension(const std::string& name);
/// The name without folders and that extension.
std::string shard_stem(const std::string& path);

}  // namespace edm2
