/// Pictures in memory, and PNG and JPEG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace edm2 {

/// 8-bit picture, rows from top to bottom, channels of a pixel side by side ([height, width,
/// channels] in C order).
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels =
      0;  ///< 1 grey or palette indices, 2 grey + alpha, 3 RGB, 4 RGB + alpha or CMYK
  std::vector<uint8_t> pixels;
};

/// Decodes a PNG or JPEG file as it is stored, the way Pillow opens it: no colour conversion
/// (palette pictures give their indices, CMYK JPEGs four channels with 255 = full ink), 1-, 2- and
/// 4-bit grey scaled to 0...255, 16-bit colour cut to the high byte. Orientation, profiles and
/// gamma are ignored. `name` is for messages. Throws Error naming it: another format, damaged,
/// truncated, more than 178,956,970 pixels (Pillow's limit), 16-bit grey.
Image decode_image(std::span<const std::byte> bytes, const std::string& name);

/// Decodes to 3 channels by the rules of Pillow's convert("RGB"): alpha and transparency are
/// dropped, palettes are looked up, 16-bit grey is clipped at 255 (not scaled), CMYK is multiplied
/// out. Otherwise as decode_image.
Image decode_rgb(std::span<const std::byte> bytes, const std::string& name);

/// A PNG file of an image with 1 to 4 channels; compression_level 0 (stored) to 9. Not interlaced.
std::vector<std::byte> encode_png(const Image& image, int compression_level = 6);

}  // namespace edm2
