// The crops of the original's dataset tool.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "edm2/core/error.h"
#include "edm2/data/resize.h"

namespace edm2 {
namespace {

constexpr std::pair<Transform, const char*> names[] = {
    {Transform::center_crop, "center-crop"},
    {Transform::center_crop_wide, "center-crop-wide"},
    {Transform::center_crop_dhariwal, "center-crop-dhariwal"},
};

int64_t round_half_even(double x) { return std::llrint(x); }

Image center_crop(const Image& image, Resolution size, PillowVersion pillow) {
  const int64_t side = std::min(image.width, image.height);
  const Image square = crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
  return resize(square, size.width, size.height,
                {.filter = ResizeFilter::lanczos, .pillow = pillow});
}

std::optional<Image> center_crop_wide(const Image& image, Resolution size, PillowVersion pillow) {
  const int64_t band =
      round_half_even(static_cast<double>(size.width) * static_cast<double>(image.height) /
                      static_cast<double>(image.width));
  if (image.width < size.width || band < size.height) return std::nullopt;
  const Image scaled =
      resize(crop(image, 0, (image.height - band) / 2, image.width, band), size.width, size.height,
             {.filter = ResizeFilter::lanczos, .pillow = pillow});
  Image canvas{size.width, size.width, image.channels, {}};
  canvas.pixels.resize(static_cast<size_t>(size.width * size.width * image.channels));
  std::copy(scaled.pixels.begin(), scaled.pixels.end(),
            canvas.pixels.begin() + (size.width - size.height) / 2 * size.width * image.channels);
  return canvas;
}

Image center_crop_dhariwal(const Image& source, int64_t side, PillowVersion pillow) {
  Image image = source;
  while (std::min(image.width, image.height) >= 2 * side)
    image = resize(image, image.width / 2, image.height / 2,
                   {.filter = ResizeFilter::box, .pillow = pillow});
  const double scale =
      static_cast<double>(side) / static_cast<double>(std::min(image.width, image.height));
  image = resize(image, round_half_even(static_cast<double>(image.width) * scale),
                 round_half_even(static_cast<double>(image.height) * scale),
                 {.filter = ResizeFilter::bicubic, .pillow = pillow});
  return crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
}

}  // namespace

Transform parse_transform(const std::string& name) {
  if (name.empty()) return Transform::none;
  for (const auto& [transform, text] : names)
    if (name == text) return transform;
  throw UsageError("'" + name +
                   "' is not one of 'center-crop', 'center-crop-wide', 'center-crop-dhariwal'.");
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
      return resize(image, size.width, size.height,
                    {.filter = ResizeFilter::lanczos, .pillow = pillow});
    case Transform::center_crop:
      return center_crop(image, size, pillow);
    case Transform::center_crop_wide:
      return center_crop_wide(image, size, pillow);
    case Transform::center_crop_dhariwal:
      return center_crop_dhariwal(image, size.width, pillow);
  }
  return std::nullopt;
}

}  // namespace edm2
