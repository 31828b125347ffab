#include "edm2/io/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "edm2/core/error.h"

namespace edm2 {

namespace {

/// What the last four bytes say of the unpacked size (modulo 2^32): a hint, as files lie.
size_t claimed_size(std::span<const std::byte> bytes) {
  size_t size = 0;
  if (bytes.size() >= 4)
    for (size_t i = 0; i < 4; ++i)
      size |= static_cast<size_t>(bytes[bytes.size() - 4 + i]) << (8 * i);
  return size;
}

}  // namespace

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(std::span<const std::byte> bytes, uint64_t max_bytes,
                              const std::string& name) {
  constexpr int gzip_only = MAX_WBITS + 16;
  z_stream stream = {};
  if (inflateInit2(&stream, gzip_only) != Z_OK)
    throw Error("there is no memory to unpack '" + name + "'");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, inflateEnd);
  const auto fail = [&](const std::string& why) {
    throw Error("cannot unpack the gzip file '" + name + "': " + why);
  };

  const size_t expected = claimed_size(bytes) + 1;  // one more, so that it is not full at the end
  std::vector<std::byte> result;
  size_t filled = 0;
  while (true) {
    if (stream.avail_in == 0) {  // zlib counts with 32 bits
      const size_t part = std::min<size_t>(bytes.size(), size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(part);
      bytes = bytes.subspan(part);
      if (part == 0) fail("it is truncated");
    }
    if (filled == result.size()) {  // grows with what has been unpacked, not with what is claimed
      const size_t doubled = std::min(std::max(2 * filled, size_t{1} << 16), max_bytes + 1);
      result.resize(expected > filled ? std::min(doubled, expected) : doubled);
    }
    const size_t room = std::min<size_t>(result.size() - filled, size_t{1} << 30);
    stream.next_out = reinterpret_cast<Bytef*>(result.data() + filled);
    stream.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream, Z_NO_FLUSH);
    filled += room - stream.avail_out;
    if (filled > max_bytes) fail("it holds more than " + std::to_string(max_bytes) + " bytes");
    if (status == Z_STREAM_END) {
      if (stream.avail_in == 0 && bytes.empty()) break;
      if (stream.avail_in > 0 && *stream.next_in != 0x1f) break;  // padding
      inflateReset(&stream);
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      fail(stream.msg != nullptr ? stream.msg : "it is damaged");
    }
  }
  result.resize(filled);
  return result;
}

}  // namespace edm2
