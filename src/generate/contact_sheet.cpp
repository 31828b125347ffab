#include "generate/contact_sheet.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstring>

namespace edm2 {

Image to_image(const Tensor& image) {
  const Tensor hwc = image.to(at::kCPU).permute({1, 2, 0}).contiguous();
  Image result;
  result.height = hwc.size(0);
  result.width = hwc.size(1);
  result.channels = hwc.size(2);
  result.pixels.resize(static_cast<size_t>(hwc.numel()));
  std::memcpy(result.pixels.data(), hwc.data_ptr(), result.pixels.size());
  return result;
}

Image contact_sheet(const Tensor& images, int64_t columns) {
  constexpr int64_t gap = 2;
  const int64_t n = images.size(0), h = images.size(2), w = images.size(3);
  if (columns <= 0) columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(n))));
  columns = std::min(columns, n);
  const int64_t rows = (n + columns - 1) / columns;
  Tensor sheet = at::full({3, rows * (h + gap) + gap, columns * (w + gap) + gap}, 255, at::kByte);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t top = gap + i / columns * (h + gap), left = gap + i % columns * (w + gap);
    sheet.narrow(1, top, h).narrow(2, left, w).copy_(images[i]);
  }
  return to_image(sheet);
}

}  // namespace edm2
