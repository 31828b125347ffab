/// Zip archives: datasets, .npz files, torch files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "edm2/io/atomic_file.h"

namespace edm2 {

/// The file begins as archives do; false for what cannot be read.
bool is_zip_file(const std::filesystem::path& path);

/// Reads an archive: stored and deflated entries, any order, zip64. All methods may be called from
/// several threads at once, which read and unpack side by side. Archives come from elsewhere: sizes
/// are checked against the size of the file before memory is taken, contents against their CRC-32.
class ZipReader {
 public:
  /// A file of the archive.
  struct Entry {
    std::string name;          ///< UTF-8, as in the archive ("00000/img00000000.png")
    uint64_t size = 0;         ///< bytes after decompression
    uint64_t packed_size = 0;  ///< bytes in the archive
  };

  /// Throws Error if the file cannot be opened or is not a zip archive.
  explicit ZipReader(std::filesystem::path path);
  ~ZipReader();
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In archive order. A name may stand twice; contains() and read() then mean the last one.
  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return index_.contains(name); }
  /// Of the archive as a whole; "" for none. Any bytes.
  const std::string& comment() const;

  /// The contents of one entry. Throws Error naming archive and entry: no such entry, larger than
  /// max_bytes, damaged, encrypted, an unknown compression, bytes shared with another entry.
  std::vector<std::byte> read(const std::string& name, uint64_t max_bytes = default_limit) const;
  std::vector<std::byte> read(size_t index, uint64_t max_bytes = default_limit) const;

  /// The first bytes of an entry, at most `size`; nothing is compared with its CRC-32.
  std::vector<std::byte> read_beginning(size_t index, uint64_t size) const;

  static constexpr uint64_t default_limit = uint64_t{16} << 30;

 private:
  struct Contents;

  void find_overlaps();
  uint64_t check_entry(size_t index, uint64_t max_bytes) const;
  std::vector<std::byte> unpack(size_t index, uint64_t max_bytes, uint64_t size,
                                bool beginning) const;

  std::filesystem::path path_;
  std::unique_ptr<Contents> contents_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

/// Writes an archive of stored (uncompressed) entries, one after the other, in bounded memory.
/// The file appears under its name only with finish(); without it the temporary file is removed.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& target) : file_(target) {}

  /// Appends an entry. `name`: UTF-8, '/' between folders, shorter than 64 KiB. `alignment`: the
  /// contents begin at a multiple of it within the archive (a power of two, at most 4096).
  void add(std::string_view name, std::span<const std::byte> contents, unsigned alignment = 1);
  void add(std::string_view name, std::string_view contents, unsigned alignment = 1);
  /// An entry whose contents come later and in pieces: room for `size` bytes is left. Several may
  /// be open at once. Returns its number for fill().
  size_t reserve(std::string_view name, uint64_t size, unsigned alignment = 1);
  /// The next bytes of a reserved entry.
  void fill(size_t entry, std::span<const std::byte> bytes);
  /// Of the archive as a whole, at most 65535 bytes.
  void set_comment(std::string comment) { comment_ = std::move(comment); }
  /// Writes the directory and renames the file to its final name.
  void finish();

 private:
  struct Record {
    std::string name;
    uint32_t crc = 0;
    uint64_t size = 0;
    uint64_t offset = 0;      ///< of the local header
    uint64_t data_start = 0;  ///< of the contents
    uint64_t filled = 0;      ///< bytes of the contents that have been written
    bool crc_is_late = false;
  };

  void put(std::string_view bytes);
  Record& begin_entry(std::string_view name, uint64_t size, uint32_t crc, unsigned alignment);

  AtomicFile file_;
  uint64_t position_ = 0;
  std::vector<Record> records_;
  std::string comment_;
};

}  // namespace edm2
