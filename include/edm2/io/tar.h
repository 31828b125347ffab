/// Tar archives: shards of datasets. Read at any position, written in one go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {

/// The bytes begin as tar archives do.
bool is_tar(std::span<const std::byte> bytes);
/// So does the file; false for what cannot be read.
bool is_tar_file(const std::filesystem::path& path);

/// A regular file within a tar archive; folders, links and devices are left out.
struct TarEntry {
  std::string name;     ///< as in the archive, without "./" in front
  uint64_t offset = 0;  ///< of the contents within the archive
  uint64_t size = 0;
};

/// What an archive holds.
struct TarDirectory {
  std::vector<TarEntry> entries;  ///< in the order of the archive
  /// Members that are no regular files, but folders: "NAME (a hard link)".
  std::vector<std::string> left_out;
  /// Behind the end of the archive there is something that is neither zeros nor another archive.
  bool has_more_behind_end = false;
};

/// Reads an archive in the old format, ustar, GNU's or POSIX's (pax). read() may be called from
/// several threads at once. Headers are checked by their sums, sizes against that of the archive.
/// Archives that were joined are read as one.
class TarReader {
 public:
  /// Throws Error: not a tar archive, truncated, damaged.
  explicit TarReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  /// In the order of the archive.
  const std::vector<TarEntry>& entries() const { return directory_.entries; }
  const TarDirectory& directory() const { return directory_; }
  std::vector<std::byte> read(size_t index) const;

 private:
  RandomAccessFile file_;
  TarDirectory directory_;
};

/// The same for an archive in memory.
TarDirectory read_tar_contents(std::span<const std::byte> archive, const std::string& name);
/// Its regular files alone.
std::vector<TarEntry> read_tar_directory(std::span<const std::byte> archive,
                                         const std::string& name);

/// Writes an archive in the ustar format (pax headers where a name or size does not fit), without
/// times and owners, so that it is reproducible. The file appears under its name only with
/// finish().
class TarWriter {
 public:
  explicit TarWriter(const std::filesystem::path& target) : file_(target) {}

  /// Appends a file. Throws Error naming the archive.
  void add(const std::string& name, std::span<const std::byte> contents);
  void add(const std::string& name, std::string_view contents);
  /// Ends the archive and gives it its name.
  void finish();

 private:
  void put(char type, const std::string& name, std::span<const std::byte> contents);

  AtomicFile file_;
};

}  // namespace edm2
