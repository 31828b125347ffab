// The directory at the end of a zip archive.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/core/platform.h"

namespace edm2 {

/// What the directory says of one entry. Nothing of it has been compared with the entry itself.
struct ZipRecord {
  std::string name;  ///< UTF-8
  uint64_t size = 0;
  uint64_t packed_size = 0;
  uint64_t offset = 0;  ///< of the entry's own header within the file, bytes in front included
  uint32_t crc = 0;
  uint16_t method = 0;  ///< 0 stored, 8 deflated
  bool encrypted = false;
};

struct ZipDirectory {
  std::vector<ZipRecord> records;  ///< in the order of the directory
  uint64_t start = 0;              ///< of the directory; all entries lie before it
  std::string comment;             ///< of the archive as a whole
};

/// Reads the directory of an archive, zip64 or not, with a comment behind it or not, with other
/// bytes in front of it (as in self-extracting archives) or not. Throws Error: no archive,
/// truncated, damaged, in several parts.
ZipDirectory read_zip_directory(const RandomAccessFile& file);

}  // namespace edm2
