// The texts of a PNG file, read chunk by chunk (PNG specification, third edition, 5.3 and 11.3.3).
#include <zlib.h>

#include <cstring>
#include <optional>
#include <string_view>

#include "edm2/core/error.h"
#include "io/byte_reader.h"
#include "io/image_codecs.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

uint32_t chunk_number(std::string_view bytes) {
  return static_cast<uint32_t>(big_endian(std::as_bytes(std::span(bytes.substr(0, 4)))));
}

std::string latin1_to_utf8(std::string_view text) {
  std::string utf8;
  for (const char c : text) append_utf8(utf8, static_cast<uint8_t>(c));
  return utf8;
}

/// The text up to the next zero byte, which goes with it.
std::optional<std::string_view> take_field(std::string_view& data) {
  const size_t zero = data.find('\0');
  if (zero == std::string_view::npos) return std::nullopt;
  const std::string_view field = data.substr(0, zero);
  data.remove_prefix(zero + 1);
  return field;
}

/// Adds the text of a chunk, unless it is compressed. False if the chunk is malformed.
bool add_text(std::string_view type, std::string_view data, PngText& text) {
  const auto keyword = take_field(data);
  if (!keyword) return false;
  if (type == "tEXt") {
    text[latin1_to_utf8(*keyword)] = latin1_to_utf8(data);
    return true;
  }
  if (data.size() < 2) return false;
  const bool compressed = data[0] != 0;
  data.remove_prefix(2);                                     // compression flag and method
  if (!take_field(data) || !take_field(data)) return false;  // language, translated keyword
  if (!compressed) text[latin1_to_utf8(*keyword)] = std::string(data);
  return true;
}

}  // namespace

PngText read_png_text(std::span<const std::byte> bytes, const std::string& name) {
  if (!is_png(bytes)) throw Error("'" + name + "' is not a PNG picture");
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  rest.remove_prefix(8);
  PngText text;
  while (true) {
    constexpr size_t frame = 12;  // length, type, CRC
    const uint32_t length = rest.size() < frame ? 0 : chunk_number(rest);
    if (rest.size() < frame || length > rest.size() - frame)
      throw Error("'" + name + "' is truncated: its last chunk is missing");
    const std::string_view type = rest.substr(4, 4), data = rest.substr(8, length);
    if (type == "IEND") return text;
    if (type == "tEXt" || type == "iTXt") {
      const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(type.data()), length + 4);
      if (crc != chunk_number(rest.substr(8 + length)) || !add_text(type, data, text))
        throw Error("'" + name + "' is damaged: a text in it cannot be read");
    }
    rest.remove_prefix(frame + length);
  }
}

}  // namespace edm2
