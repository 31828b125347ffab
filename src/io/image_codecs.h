// The decoders behind decode_image and decode_rgb.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "edm2/io/image.h"

namespace edm2 {

/// What the file holds, before any colour conversion.
struct StoredImage {
  /// grey_clipped: grey of 32 bits or floating point, in `image` as bytes from 0 to 255.
  enum class Kind { grey, grey16, grey_clipped, grey_alpha, palette, rgb, rgb_alpha, cmyk };
  Kind kind = Kind::rgb;
  Image image;                         ///< grey16: empty pixels, see `wide`
  std::vector<uint16_t> wide;          ///< grey16 only
  std::vector<uint8_t> palette;        ///< palette only: 256 RGB triples
  std::vector<uint8_t> palette_alpha;  ///< palette only: 256 values, or empty = opaque
  /// The palette's colours are the greys of their numbers: the indices are the picture.
  bool is_grey_ramp = false;
};

/// How much of a file is looked at.
enum class Part {
  whole,
  header,  ///< size, channels and kind, and the palette; `image` gets no pixels. The bytes may be
           ///< the beginning of the file: where it does not reach, decoders throw Error.
};

/// By the first bytes.
bool is_png(std::span<const std::byte> bytes);
bool is_jpeg(std::span<const std::byte> bytes);
bool is_webp(std::span<const std::byte> bytes);
bool is_gif(std::span<const std::byte> bytes);
bool is_bmp(std::span<const std::byte> bytes);
bool is_tiff(std::span<const std::byte> bytes);
bool is_pnm(std::span<const std::byte> bytes);
bool is_avif(std::span<const std::byte> bytes);
bool is_jpeg2000(std::span<const std::byte> bytes);

StoredImage decode_png(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_webp(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_gif(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_bmp(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_tiff(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_pnm(std::span<const std::byte> bytes, const std::string& name, Part part);
/// By libraries that a build may lack; then they throw Error, which says so.
StoredImage decode_avif(std::span<const std::byte> bytes, const std::string& name, Part part);
StoredImage decode_jpeg2000(std::span<const std::byte> bytes, const std::string& name, Part part);

/// Gives the picture `colors`, RGB triples of at most 256 entries. Indices beyond them are black,
/// as in Pillow. It opens some formats' pictures as grey if the colours are the greys of their
/// numbers
/// (`ramp_is_grey`): indices beyond them are greys then, too.
void set_palette(StoredImage& stored, std::span<const uint8_t> colors, bool ramp_is_grey);

/// a * b / 255, rounded, as Pillow's MULDIV255.
inline int multiply_255(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

/// Throws Error unless 1 <= width * height <= 178,956,970.
void check_pixel_count(int64_t width, int64_t height, const std::string& name);

}  // namespace edm2
