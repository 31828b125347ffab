/// Pictures in memory and in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"

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

/// Decodes a PNG, JPEG, WebP, AVIF, JPEG 2000, GIF, BMP, TIFF or PNM file (the first frame) as it
/// is stored, the way Pillow opens it: no colour conversion (palette pictures give their indices,
/// CMYK JPEGs four channels with 255 = full ink), 1-, 2- and 4-bit grey scaled to 0...255, 16-bit
/// colour cut to the high byte. Orientation, profiles and gamma are ignored. `name` is for
/// messages. Throws Error naming it: another format, damaged, truncated, more than 178,956,970
/// pixels (Pillow's limit), 16-bit grey.
Image decode_image(std::span<const std::byte> bytes, const std::string& name);

/// Decodes to 3 channels by the rules of Pillow's convert("RGB"): alpha and transparency are
/// dropped, palettes are looked up, 16-bit grey is clipped at 255 (not scaled), CMYK is multiplied
/// out. Otherwise as decode_image.
Image decode_rgb(std::span<const std::byte> bytes, const std::string& name);

/// Which channels a picture has after decoding.
enum class Channels {
  rgb,   ///< three, as decode_rgb
  keep,  ///< those of the file: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha
};

/// With Channels::keep palettes are looked up (four channels if entries are transparent), CMYK
/// becomes RGB, and of 16-bit samples, grey ones too, the high byte is taken. Otherwise as
/// decode_image.
Image decode_picture(std::span<const std::byte> bytes, const std::string& name, Channels channels);

/// [C,H,W] uint8 on any device -> pixels.
Image to_image(const Tensor& image);

/// Texts that a PNG file carries, by keyword (1 to 79 bytes); values are UTF-8.
using PngText = std::map<std::string, std::string>;

/// Instead of a compression level: only run lengths and Huffman codes behind libpng's filters.
/// Photographs become as small as with level 6, in a third to a tenth of its time; drawings larger.
constexpr int png_for_photographs = -1;

/// A PNG file of an image with 1 to 4 channels; compression_level 0 (stored) to 9, or
/// png_for_photographs. Not interlaced. Texts that are ASCII go into tEXt chunks, others into iTXt,
/// before the pixels.
std::vector<std::byte> encode_png(const Image& image, int compression_level = 6,
                                  const PngText& text = {});

/// Writes [3,H,W] (or [1,H,W]) uint8 as a PNG file, atomically.
void write_png(const std::filesystem::path& path, const Tensor& image, const PngText& text = {});

/// The uncompressed texts (tEXt, iTXt) of a PNG file, without decoding its pixels; compressed ones
/// are left out. The last of several with one keyword counts. Throws Error: no PNG file, damaged.
PngText read_png_text(std::span<const std::byte> bytes, const std::string& name);

/// An animated WebP file, lossless, that repeats forever.
class WebpAnimation {
 public:
  /// Sides of all frames, 1 to 16383. Throws Error otherwise.
  WebpAnimation(int64_t width, int64_t height);
  ~WebpAnimation();
  WebpAnimation(const WebpAnimation&) = delete;
  WebpAnimation& operator=(const WebpAnimation&) = delete;

  static constexpr int64_t longest_side = 16383;

  /// A frame of 3 channels that is shown for that long.
  void add(const Image& frame, int milliseconds);
  /// The whole file, after the last frame.
  std::vector<std::byte> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edm2
