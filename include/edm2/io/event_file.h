/// Event files of TensorBoard: numbers and pictures over steps.
///
/// A file is a sequence of records (length, checksum, bytes, checksum: the framing of TFRecord),
/// each of them one Event message of Protocol Buffers. Field numbers are those of TensorFlow's
/// event.proto and summary.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "edm2/io/image.h"

namespace edm2 {

/// CRC-32C (Castagnoli), as in iSCSI (RFC 3720).
uint32_t crc32c(std::string_view bytes);
/// The checksum as TFRecord stores it: rotated and shifted, so that a checksum of data that holds
/// checksums is still a good one.
uint32_t masked_crc32c(std::string_view bytes);

/// Writes a new file for one start of a run. What has been flushed stays readable whatever happens
/// to the program. All functions throw Error if the file cannot be written.
class EventFile {
 public:
  /// Creates FOLDER/events.out.tfevents.SECONDS.edm2 with a name that comes after those of the
  /// files that are there, because readers take them in the order of their names. Whatever earlier
  /// files say of steps >= first_step is out of date from now on: a session of the run begins.
  EventFile(const std::filesystem::path& folder, int64_t first_step, double wall_time);

  /// Numbers, all at one step. wall_time: Unix seconds.
  void add_scalars(int64_t step, double wall_time,
                   const std::vector<std::pair<std::string, double>>& values);
  /// A picture of 1, 3 or 4 channels, from the bytes of a PNG file.
  void add_image(int64_t step, double wall_time, const std::string& tag, const Image& image,
                 std::span<const std::byte> png);
  /// Hands everything to the system.
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void add_record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace edm2
