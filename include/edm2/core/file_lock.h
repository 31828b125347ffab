/// Keeping two processes from doing the same work at once.
#pragma once

#include <filesystem>
#include <memory>

namespace edm2 {

/// An advisory lock on a file of its own. It ends with the object or with the process, however
/// that ends.
class FileLock {
 public:
  /// Makes the file if need be; none if another process, or another FileLock of this one, holds
  /// the lock. Throws Error if the file cannot be made.
  static std::unique_ptr<FileLock> try_acquire(const std::filesystem::path& path);
  /// Removes the file.
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// False on file systems without locks (some network file systems): others are not kept out.
  bool is_effective() const { return effective_; }

 private:
  FileLock(std::filesystem::path path, int descriptor, bool effective);
  std::filesystem::path path_;
  int descriptor_;
  bool effective_;
};

}  // namespace edm2
