/// Room on the disk for what need not stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace edm2 {

/// A file without a name, which is gone when the object is, whatever ends the program. read_at()
/// and write_at() may be called by several threads at once.
class ScratchFile {
 public:
  /// Throws Error if no file can be made in that folder.
  explicit ScratchFile(std::filesystem::path folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// Makes the file longer if need be. Throws Error (the disk is full, ...).
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// Fills `target`. Throws Error if that part was never written.
  void read_at(uint64_t offset, std::span<std::byte> target) const;

 private:
  std::filesystem::path folder_;
  int fd_ = -1;
};

}  // namespace edm2
