// The crops of the original's dataset tool.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "edm2/core/error.h"
#include "edm2/data/resize.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

constexpr std::pair<Transform, const char*> names[] = {
    {Transform::center_crop, "center-crop"},
    {Transform::center_crop_wide, "center-crop-wide"},
    {Transform::center_crop_dhariwal, "center-crop-dhariwal"},
    {Transform::fit, "fit"},
    {Transform::pad, "pad"},
};

int64_t round_half_even(double x) { return std::llrint(x); }

/// Resamples as Pillow does: colours count by their opacity, so that those of transparent pixels
/// do not bleed into others. Alpha is the last of an even number of channels.
Image scale(const Image& image, int64_t width, int64_t height, const ResizeOptions& options) {
  const auto channels = static_cast<size_t>(image.channels);
  const ResizeBox whole{0, 0, static_cast<float>(image.width), static_cast<float>(image.height)};
  const ResizeBox box = options.box.value_or(whole);
  const bool same = width == image.width && height == image.height && box == whole;
  if (channels % 2 != 0 || same) return resize(image, width, height, options);
  Image premultiplied = image;
  auto& in = premultiplied.pixels;
  for (size_t i = 0; i < in.size(); i += channels)
    for (size_t c = 0; c + 1 < channels; ++c)
      in[i + c] = static_cast<uint8_t>(multiply_255(in[i + c], in[i + channels - 1]));
  Image result = resize(premultiplied, width, height, options);
  auto& out = result.pixels;
  for (size_t i = 0; i < out.size(); i += channels) {
    const int alpha = out[i + channels - 1];
    if (alpha == 0 || alpha == 255) continue;
    for (size_t c = 0; c + 1 < channels; ++c)
      out[i + c] = static_cast<uint8_t>(std::min(255 * out[i + c] / alpha, 255));
  }
  return result;
}

/// As Pillow's ImageOps.fit: the largest centred part of the resolution's aspect, scaled.
Image fit(const Image& image, Resolution size, PillowVersion pillow) {
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  const double aspect = static_cast<double>(size.width) / static_cast<double>(size.height);
  double part_width = width, part_height = height;
  if (width / height > aspect) part_width = aspect * height;
  if (width / height < aspect) part_height = width / aspect;
  const double left = (width - part_width) * 0.5, top = (height - part_height) * 0.5;
  const ResizeBox box{static_cast<float>(left), static_cast<float>(top),
                      static_cast<float>(left + part_width), static_cast<float>(top + part_height)};
  return scale(image, size.width, size.height, {.box = box, .pillow = pillow});
}

/// `image` on a larger canvas of zeros.
Image on_canvas(const Image& image, int64_t width, int64_t height, int64_t left, int64_t top) {
  Image canvas{width, height, image.channels, {}};
  canvas.pixels.resize(static_cast<size_t>(width * height * image.channels));
  const int64_t row = image.width * image.channels;
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.pixels.begin() + y * row, row,
                canvas.pixels.begin() + ((top + y) * width + left) * image.channels);
  return canvas;
}

/// As Pillow's ImageOps.pad: the whole picture, scaled, in the middle of a black canvas.
Image pad(const Image& image, Resolution size, PillowVersion pillow) {
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  const double ratio = width / height;
  const double aspect = static_cast<double>(size.width) / static_cast<double>(size.height);
  Resolution inner = size;
  if (ratio > aspect)
    inner.height = round_half_even(height / width * static_cast<double>(size.width));
  if (ratio < aspect)
    inner.width = round_half_even(width / height * static_cast<double>(size.height));
  inner = {std::max<int64_t>(inner.width, 1), std::max<int64_t>(inner.height, 1)};
  const Image scaled = scale(image, inner.width, inner.height, {.pillow = pillow});
  return on_canvas(scaled, size.width, size.height,
                   round_half_even(static_cast<double>(size.width - inner.width) * 0.5),
                   round_half_even(static_cast<double>(size.height - inner.height) * 0.5));
}

Image center_crop(const Image& image, Resolution size, PillowVersion pillow) {
  const int64_t side = std::min(image.width, image.height);
  const Image square = crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
  return scale(square, size.width, size.height, {.pillow = pillow});
}

std::optional<Image> center_crop_wide(const Image& image, Resolution size, PillowVersion pillow) {
  const int64_t band =
      round_half_even(static_cast<double>(size.width) * static_cast<double>(image.height) /
                      static_cast<double>(image.width));
  if (image.width < size.width || band < size.height) return std::nullopt;
  const Image scaled = scale(crop(image, 0, (image.height - band) / 2, image.width, band),
                             size.width, size.height, {.pillow = pillow});
  return on_canvas(scaled, size.width, size.width, 0, (size.width - size.height) / 2);
}

Image center_crop_dhariwal(const Image& source, int64_t side, PillowVersion pillow) {
  Image image = source;
  while (std::min(image.width, image.height) >= 2 * side)
    image = scale(image, image.width / 2, image.height / 2,
                  {.filter = ResizeFilter::box, .pillow = pillow});
  const double factor =
      static_cast<double>(side) / static_cast<double>(std::min(image.width, image.height));
  image = scale(image, round_half_even(static_cast<double>(image.width) * factor),
                round_half_even(static_cast<double>(image.height) * factor),
                {.filter = ResizeFilter::bicubic, .pillow = pillow});
  return crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
}

}  // namespace

Transform parse_transform(const std::string& name) {
  if (name.empty()) return Transform::none;
  for (const auto& [transform, text] : names)
    if (name == text) return transform;
  throw UsageError("'" + name +
                   "' is not one of 'center-crop', 'center-crop-wide', 'center-crop-dhariwal', "
                   "'fit', 'pad'.");
}

std::string transform_name(Transform transform) {
  for (const auto& [known, text] : names)
    if (known == transform) return text;
  return "none";
}

PillowVersion parse_pillow_version(const std::string& text) {
  if (text == "13") return PillowVersion::v13;
  if (text == "10" || text == "11" || text == "12") return PillowVersion::before_13;
  throw UsageError("'" + text + "' is not one of '10', '11', '12', '13'.");
}

Resolution parse_resolution(const std::string& text) {
  constexpr int64_t max_side = 65536;
  const auto number = [&](std::string_view digits) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < 1 ||
        value > max_side)
      throw Error("cannot parse tuple " + text);
    return value;
  };
  const size_t separator = text.find_first_of("x,");
  if (separator == std::string::npos) throw Error("cannot parse tuple " + text);
  const std::string_view view = text;
  return {number(view.substr(0, separator)), number(view.substr(separator + 1))};
}

void check_transform(Transform transform, const std::optional<Resolution>& resolution) {
  if (transform == Transform::none) return;
  const std::string suffix = " when using " + transform_name(transform) + " transform";
  if (!resolution) throw Error("must specify --resolution=WxH" + suffix);
  if (transform == Transform::center_crop_dhariwal && resolution->width != resolution->height)
    throw Error("width and height must match in --resolution=WxH" + suffix);
  if (transform == Transform::center_crop_wide && resolution->height > resolution->width)
    throw Error("the height must not exceed the width in --resolution=WxH" + suffix);
}

std::optional<Image> apply_transform(const Image& image, Transform transform,
                                     const std::optional<Resolution>& resolution,
                                     PillowVersion pillow) {
  const Resolution size = resolution.value_or(Resolution{image.width, image.height});
  switch (transform) {
    case Transform::none:
      return scale(image, size.width, size.height, {.pillow = pillow});
    case Transform::center_crop:
      return center_crop(image, size, pillow);
    case Transform::center_crop_wide:
      return center_crop_wide(image, size, pillow);
    case Transform::center_crop_dhariwal:
      return center_crop_dhariwal(image, size.width, pillow);
    case Transform::fit:
      return fit(image, size, pillow);
    case Transform::pad:
      return pad(image, size, pillow);
  }
  return std::nullopt;
}

}  // namespace edm2
