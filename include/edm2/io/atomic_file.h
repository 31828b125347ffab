/// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace edm2 {

/// Writes to a temporary name beside the target; commit() flushes, fsyncs, renames and fsyncs the
/// folder. Without commit() the temporary file is removed. Throws Error naming the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. Throws Error naming the file, e.g. if the disk is full.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Leaves a hole of that many bytes (zeros until write_at fills them).
  void skip(uint64_t bytes);
  /// Writes somewhere into what has been written or skipped; write() goes on at the end.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// The temporary file, for libraries that write by themselves.
  const std::filesystem::path& temporary_path() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  std::FILE* file_ = nullptr;
  uint64_t held_back_ = 0;  // bytes since the system was last told to put them to disk
  bool committed_ = false;
};

/// One call for a file whose contents are in memory.
void write_file(const std::filesystem::path& target, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& target, std::string_view text);

/// Makes the folder if need be and proves that files can be written there. Throws Error that
/// advises another `option`.
void prepare_output_folder(const std::filesystem::path& folder,
                           const std::string& option = "--outdir");

/// The whole file as text. Throws Error if it cannot be read or is larger than max_bytes.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes = size_t{64} << 20);

}  // namespace edm2
