#include "io/picture_header.h"

#include <string_view>

#include "edm2/core/error.h"
#include "io/byte_reader.h"
#include "io/image_codecs.h"
#include "io/image_outline.h"

namespace edm2 {
namespace {

using HeaderBytes = std::span<const std::byte>;

std::string_view text_of(HeaderBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_in_usual_format(HeaderBytes bytes) {
  return is_png(bytes) || is_jpeg(bytes) || is_webp(bytes) || is_bmp(bytes);
}

/// By the flags of the extended format.
bool is_animated_webp(HeaderBytes bytes) {
  constexpr size_t flags = 20;
  return is_webp(bytes) && bytes.size() > flags && text_of(bytes).substr(12, 4) == "VP8X" &&
         (bytes[flags] & std::byte{2}) != std::byte{0};
}

}  // namespace

std::optional<PictureHeader> read_picture_header(HeaderBytes beginning) {
  if (!is_in_usual_format(beginning)) return std::nullopt;
  try {
    const ImageOutline outline = outline_image(beginning, "");
    return PictureHeader{outline.width, outline.height, is_animated_webp(beginning)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool header_may_follow(HeaderBytes beginning) {
  return is_in_usual_format(beginning) && !read_picture_header(beginning);
}

std::string png_text_in_header(HeaderBytes beginning, const std::string& keyword) {
  if (!is_png(beginning)) return "";
  constexpr size_t before_data = 8, behind_data = 4;  // length and type; CRC
  for (size_t at = 8; at + before_data <= beginning.size();) {
    const auto length = big_endian(beginning.subspan(at, 4));
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
