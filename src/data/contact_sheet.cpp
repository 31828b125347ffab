#include "data/contact_sheet.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "edm2/core/error.h"

namespace edm2 {
namespace {
constexpr int64_t gap = 2;
}

Tensor to_rgb(const Tensor& images) {
  const int64_t channels = images.size(1);
  if (channels == 3) return images;
  if (channels < 1 || channels > 4)
    throw Error("images of " + std::to_string(channels) + " channels are no pictures");
  const bool has_alpha = channels % 2 == 0;
  Tensor colours = images.narrow(1, 0, has_alpha ? channels - 1 : channels);
  if (has_alpha) {
    const Tensor alpha = images.narrow(1, channels - 1, 1).to(at::kInt);
    colours =
        (colours.to(at::kInt) * alpha + (255 - alpha) * 255 + 127).div_(255, "floor").to(at::kByte);
  }
  return colours.expand({-1, 3, -1, -1});
}

ContactSheet::ContactSheet(int64_t count, int64_t columns) : count_(count), columns_(columns) {
  if (columns_ <= 0)
    columns_ = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  columns_ = std::min(columns_, count);
}

void ContactSheet::begin(int64_t height, int64_t width) {
  const int64_t rows = (count_ + columns_ - 1) / columns_;
  height_ = height;
  width_ = width;
  sheet_ = {columns_ * (width + gap) + gap, rows * (height + gap) + gap, 3, {}};
  constexpr int64_t most_pixels = int64_t{1} << 31, longest_side = 1'000'000;
  if (sheet_.width > longest_side || sheet_.height > longest_side ||
      sheet_.width > most_pixels / sheet_.height)
    throw Error("a sheet of all " + std::to_string(count_) + " pictures would have " +
                std::to_string(sheet_.width) + "x" + std::to_string(sheet_.height) +
                " pixels, which is too large for one picture; draw fewer at once");
  sheet_.pixels.assign(static_cast<size_t>(3 * sheet_.width * sheet_.height), 255);
}

void ContactSheet::add(const Tensor& images) {
  add_pixels(to_rgb(images).cpu().permute({0, 2, 3, 1}).contiguous());
}

void ContactSheet::add_pixels(const Tensor& pixels) {
  const int64_t n = pixels.size(0), h = pixels.size(1), w = pixels.size(2);
  if (sheet_.pixels.empty()) begin(h, w);
  if (h != height_ || w != width_ || pixels.size(3) != 3 || n > count_ - filled_)
    throw Error("a contact sheet needs pictures of one size, not more than announced");
  const auto* source = pixels.const_data_ptr<uint8_t>();
  for (const int64_t end = filled_ + n; filled_ < end; ++filled_) {
    const int64_t top = gap + filled_ / columns_ * (h + gap);
    const int64_t left = gap + filled_ % columns_ * (w + gap);
    for (int64_t y = 0; y < h; ++y, source += 3 * w)
      std::memcpy(sheet_.pixels.data() + 3 * ((top + y) * sheet_.width + left), source,
                  static_cast<size_t>(3 * w));
  }
}

}  // namespace edm2
