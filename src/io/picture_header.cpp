#include "io/picture_header.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "io/image_codecs.h"

namespace edm2 {
namespace {

using HeaderBytes = std::span<const std::byte>;

int64_t byte_of(HeaderBytes bytes, size_t at) { return std::to_integer<int64_t>(bytes[at]); }

int64_t big_number(HeaderBytes bytes, size_t at, size_t size) {
  int64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | byte_of(bytes, at + i);
  return value;
}
int64_t little_number(HeaderBytes bytes, size_t at, size_t size) {
  int64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | byte_of(bytes, at + i);
  return value;
}

std::string_view text_of(HeaderBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<PictureHeader> png_header(HeaderBytes bytes) {
  if (bytes.size() < 24 || text_of(bytes).substr(12, 4) != "IHDR") return std::nullopt;
  return PictureHeader{big_number(bytes, 16, 4), big_number(bytes, 20, 4)};
}

/// ITU-T T.81, B.2.2: the frame header behind any number of other segments.
std::optional<PictureHeader> jpeg_header(HeaderBytes bytes) {
  for (size_t at = 2; at + 9 <= bytes.size();) {
    if (byte_of(bytes, at) != 0xff) return std::nullopt;
    const int64_t marker = byte_of(bytes, at + 1);
    if (marker == 0xff) {  // a byte to fill up
      ++at;
      continue;
    }
    const bool is_frame =
        marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (is_frame) return PictureHeader{big_number(bytes, at + 7, 2), big_number(bytes, at + 5, 2)};
    if (marker == 0xd9 || marker == 0xda) return std::nullopt;
    const bool stands_alone = marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    at += stands_alone ? 2 : static_cast<size_t>(2 + big_number(bytes, at + 2, 2));
  }
  return std::nullopt;
}

std::optional<PictureHeader> webp_header(HeaderBytes bytes) {
  if (bytes.size() < 30) return std::nullopt;
  const std::string_view chunk = text_of(bytes).substr(12, 4);
  if (chunk == "VP8X")
    return PictureHeader{little_number(bytes, 24, 3) + 1, little_number(bytes, 27, 3) + 1,
                         (byte_of(bytes, 20) & 2) != 0};
  if (chunk == "VP8 ")
    return PictureHeader{little_number(bytes, 26, 2) & 0x3fff,
                         little_number(bytes, 28, 2) & 0x3fff};
  if (chunk == "VP8L") {
    const int64_t bits = little_number(bytes, 21, 4);
    return PictureHeader{(bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1};
  }
  return std::nullopt;
}

std::optional<PictureHeader> bmp_header(HeaderBytes bytes) {
  constexpr int64_t smallest_modern = 40;
  if (bytes.size() < 26 || little_number(bytes, 14, 4) < smallest_modern) return std::nullopt;
  // Negative heights mean rows from the top.
  return PictureHeader{little_number(bytes, 18, 4),
                       std::abs(int64_t{static_cast<int32_t>(little_number(bytes, 22, 4))})};
}

}  // namespace

std::optional<PictureHeader> read_picture_header(HeaderBytes beginning) {
  std::optional<PictureHeader> header;
  if (is_png(beginning))
    header = png_header(beginning);
  else if (is_jpeg(beginning))
    header = jpeg_header(beginning);
  else if (is_webp(beginning))
    header = webp_header(beginning);
  else if (is_bmp(beginning))
    header = bmp_header(beginning);
  return header && header->width > 0 && header->height > 0 ? header : std::nullopt;
}

bool header_may_follow(HeaderBytes beginning) {
  return is_jpeg(beginning) && !read_picture_header(beginning);
}

std::string png_text_in_header(HeaderBytes beginning, const std::string& keyword) {
  if (!is_png(beginning)) return "";
  constexpr size_t before_data = 8, behind_data = 4;  // length and type; CRC
  for (size_t at = 8; at + before_data <= beginning.size();) {
    const auto length = static_cast<size_t>(big_number(beginning, at, 4));
    const std::string_view type = text_of(beginning).substr(at + 4, 4);
    if (type == "IDAT" || type == "IEND") return "";
    const std::string_view data = text_of(beginning).substr(at + before_data).substr(0, length);
    if (type == "tEXt" && data.size() > keyword.size() && data.starts_with(keyword) &&
        data[keyword.size()] == '\0')
      return std::string(data.substr(keyword.size() + 1));
    at += before_data + length + behind_data;
  }
  return "";
}

}  // namespace edm2
