// Numbers out of a file in memory, never beyond its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "edm2/core/error.h"

namespace edm2 {

/// Of at most 8 bytes.
inline uint64_t big_endian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | static_cast<uint64_t>(byte);
  return value;
}

class ByteReader {
 public:
  /// `what` begins the message of the Error that reading beyond the end throws.
  ByteReader(std::span<const std::byte> bytes, std::string what)
      : bytes_(bytes), what_(std::move(what)) {}

  size_t position() const { return position_; }
  size_t size() const { return bytes_.size(); }
  size_t left() const { return bytes_.size() - position_; }
  void seek(size_t position) {
    if (position > bytes_.size()) truncated();
    position_ = position;
  }
  std::span<const std::byte> take(size_t count) {
    if (count > left()) truncated();
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }
  uint8_t u8() { return static_cast<uint8_t>(take(1)[0]); }
  /// Little-endian.
  uint16_t u16() { return static_cast<uint16_t>(number(2)); }
  uint32_t u32() { return number(4); }
  int32_t i32() { return static_cast<int32_t>(number(4)); }

  [[noreturn]] void fail(const std::string& why) const { throw Error(what_ + ": " + why); }

 private:
  [[noreturn]] void truncated() const { fail("the file is truncated"); }
  uint32_t number(size_t count) {
    const auto raw = take(count);
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= static_cast<uint32_t>(raw[i]) << (8 * i);
    return value;
  }

  std::span<const std::byte> bytes_;
  std::string what_;
  size_t position_ = 0;
};

}  // namespace edm2
