/// What the beginning of a picture's file says of it, without decoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace edm2 {

/// What nearly all headers lie within. That of a JPEG may stand behind thumbnails and profiles.
constexpr size_t picture_header_bytes = 4096, longest_picture_header = size_t{1} << 18;

struct PictureHeader {
  int64_t width = 0, height = 0;
  bool animated = false;  ///< WebP
};

/// The sides that decode_image() will give, for PNG, JPEG, WebP and BMP; nothing for other formats,
/// and where the bytes do not reach so far.
std::optional<PictureHeader> read_picture_header(std::span<const std::byte> beginning);

/// More bytes may tell, such as those of a JPEG whose sides do not stand in these.
bool header_may_follow(std::span<const std::byte> beginning);

/// The uncompressed text (tEXt) of that keyword before the pixels of a PNG file, or its beginning
/// if the bytes end within it; "" if there is none.
std::string png_text_in_header(std::span<const std::byte> beginning, const std::string& keyword);

}  // namespace edm2
