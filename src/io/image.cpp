#include "edm2/io/image.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "io/foreign_content.h"
#include "io/image_codecs.h"
#include "io/image_outline.h"
#include "io/other_pictures.h"

namespace edm2 {
namespace {

using Kind = StoredImage::Kind;

struct Format {
  bool (*recognize)(std::span<const std::byte>);
  StoredImage (*decode)(std::span<const std::byte>, const std::string&, Part);
};

constexpr Format formats[] = {
    {is_png, decode_png}, {is_jpeg, decode_jpeg}, {is_webp, decode_webp},
    {is_gif, decode_gif}, {is_bmp, decode_bmp},   {is_tiff, decode_tiff},
    {is_pnm, decode_pnm}, {is_avif, decode_avif}, {is_jpeg2000, decode_jpeg2000},
};

[[noreturn]] void refuse_format(std::span<const std::byte> bytes, const std::string& name) {
  if (const std::string format = unread_picture_format(bytes, name); !format.empty())
    throw Error("'" + name + "' is a picture in the format " + format +
                ", which this program does not read; convert it to PNG first");
  const std::string found = bytes.empty() ? "empty" : describe_content(bytes);
  throw Error("'" + name +
              "' is no picture that can be read (PNG, JPEG, WebP, AVIF, JPEG 2000, GIF, BMP, TIFF, "
              "PBM, PGM, PPM)" +
              in_brackets(found));
}

StoredImage decode_stored(std::span<const std::byte> bytes, const std::string& name,
                          Part part = Part::whole) {
  for (const Format& format : formats)
    if (format.recognize(bytes)) return format.decode(bytes, name, part);
  refuse_format(bytes, name);
}

ImageOutline::Kind outline_kind(const StoredImage& stored) {
  switch (stored.kind) {
    case Kind::grey:
      return ImageOutline::Kind::grey;
    case Kind::grey16:
    case Kind::grey_clipped:
      return ImageOutline::Kind::grey_deep;
    case Kind::grey_alpha:
      return ImageOutline::Kind::grey_alpha;
    case Kind::palette:
      return stored.is_grey_ramp ? ImageOutline::Kind::grey_ramp : ImageOutline::Kind::palette;
    case Kind::rgb_alpha:
      return ImageOutline::Kind::rgb_alpha;
    case Kind::cmyk:
      return ImageOutline::Kind::cmyk;
    default:
      return ImageOutline::Kind::rgb;
  }
}

void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb) {
  const int light = 255 - cmyk[3];
  for (int c = 0; c < 3; ++c)
    rgb[c] = static_cast<uint8_t>(std::clamp(light - multiply_255(cmyk[c], light), 0, 255));
}

void to_rgb(const StoredImage& stored, size_t pixel, uint8_t* rgb) {
  const uint8_t* in =
      stored.image.pixels.data() + pixel * static_cast<size_t>(stored.image.channels);
  switch (stored.kind) {
    case Kind::grey:
    case Kind::grey_clipped:
    case Kind::grey_alpha:
      std::fill_n(rgb, 3, in[0]);
      break;
    case Kind::grey16:
      std::fill_n(rgb, 3, static_cast<uint8_t>(std::min<int>(stored.wide[pixel], 255)));
      break;
    case Kind::palette:
      std::copy_n(stored.palette.data() + 3 * size_t{in[0]}, 3, rgb);
      break;
    case Kind::rgb:
    case Kind::rgb_alpha:
      std::copy_n(in, 3, rgb);
      break;
    case Kind::cmyk:
      cmyk_to_rgb(in, rgb);
      break;
  }
}

/// Channels of the picture as Channels::keep has it.
int64_t kept_channels(const StoredImage& stored) {
  switch (stored.kind) {
    case Kind::grey:
    case Kind::grey16:
    case Kind::grey_clipped:
      return 1;
    case Kind::grey_alpha:
      return 2;
    case Kind::palette:
      return stored.palette_alpha.empty() ? 3 : 4;
    case Kind::rgb_alpha:
      return 4;
    default:
      return 3;
  }
}

}  // namespace

void check_pixel_count(int64_t width, int64_t height, const std::string& name) {
  constexpr int64_t max_pixels = 178'956'970;
  if (width < 1 || height < 1 || width > max_pixels / height)
    throw Error("'" + name + "' claims " + std::to_string(width) + "x" + std::to_string(height) +
                " pixels, which is not between 1 and " + std::to_string(max_pixels));
}

Image to_image(const Tensor& image) {
  const Tensor hwc = image.to(at::kCPU).permute({1, 2, 0}).contiguous();
  const auto* pixels = hwc.const_data_ptr<uint8_t>();
  return {hwc.size(1), hwc.size(0), hwc.size(2), {pixels, pixels + hwc.numel()}};
}

void write_png(const std::filesystem::path& path, const Tensor& image, const PngText& text) {
  write_file(path, encode_png(to_image(image), png_for_photographs, text));
}

void set_palette(StoredImage& stored, std::span<const uint8_t> colors, bool ramp_is_grey) {
  constexpr size_t all = size_t{3} * 256;
  colors = colors.first(std::min(colors.size(), all));
  stored.is_grey_ramp = true;
  for (size_t i = 0; i < colors.size(); ++i)
    stored.is_grey_ramp = stored.is_grey_ramp && colors[i] == i / 3;
  stored.palette.assign(colors.begin(), colors.end());
  stored.palette.resize(all);
  if (stored.is_grey_ramp && ramp_is_grey)
    for (size_t i = 0; i < all; ++i) stored.palette[i] = static_cast<uint8_t>(i / 3);
}

ImageOutline outline_image(std::span<const std::byte> beginning, const std::string& name) {
  const StoredImage stored = decode_stored(beginning, name, Part::header);
  return {outline_kind(stored), stored.image.width, stored.image.height};
}

namespace {

/// The picture as bytes of the channels that the file has.
Image as_stored(StoredImage stored, const std::string& name) {
  if (stored.kind == Kind::grey16 || stored.kind == Kind::grey_clipped)
    throw Error("'" + name + "' has " + (stored.kind == Kind::grey16 ? "16" : "more than 16") +
                " bits per pixel; convert the dataset with 'edm2 dataset convert' first");
  return std::move(stored.image);
}

Image as_rgb(StoredImage stored) {
  if (stored.kind == Kind::rgb) return std::move(stored.image);
  const size_t count = static_cast<size_t>(stored.image.width * stored.image.height);
  Image rgb{stored.image.width, stored.image.height, 3, std::vector<uint8_t>(3 * count)};
  for (size_t pixel = 0; pixel < count; ++pixel)
    to_rgb(stored, pixel, rgb.pixels.data() + 3 * pixel);
  return rgb;
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
  return as_stored(decode_stored(bytes, name), name);
}

Image decode_rgb(std::span<const std::byte> bytes, const std::string& name) {
  return as_rgb(decode_stored(bytes, name));
}

Image decode_for_training(std::span<const std::byte> bytes, const std::string& name,
                          bool ramps_are_grey) {
  StoredImage stored = decode_stored(bytes, name);
  const bool colors = stored.kind == Kind::palette && !(stored.is_grey_ramp && ramps_are_grey);
  if (colors || stored.kind == Kind::cmyk) return as_rgb(std::move(stored));
  return as_stored(std::move(stored), name);
}

Image decode_picture(std::span<const std::byte> bytes, const std::string& name, Channels channels) {
  if (channels == Channels::rgb) return decode_rgb(bytes, name);
  StoredImage stored = decode_stored(bytes, name);
  const int64_t kept = kept_channels(stored);
  if (stored.kind != Kind::grey16 && stored.kind != Kind::palette && stored.kind != Kind::cmyk)
    return std::move(stored.image);
  const auto count = static_cast<size_t>(stored.image.width * stored.image.height);
  Image image{stored.image.width, stored.image.height, kept,
              std::vector<uint8_t>(static_cast<size_t>(kept) * count)};
  for (size_t pixel = 0; pixel < count; ++pixel) {
    uint8_t* out = image.pixels.data() + pixel * static_cast<size_t>(kept);
    if (kept == 1)
      *out = static_cast<uint8_t>(stored.wide[pixel] >> 8);
    else
      to_rgb(stored, pixel, out);
    if (kept == 4) out[3] = stored.palette_alpha[stored.image.pixels[pixel]];
  }
  return image;
}

}  // namespace edm2
