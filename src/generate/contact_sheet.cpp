#include "generate/contact_sheet.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace edm2 {
namespace {
constexpr int64_t gap = 2;
}

ContactSheet::ContactSheet(int64_t count, int64_t columns) : count_(count), columns_(columns) {
  if (columns_ <= 0)
    columns_ = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  columns_ = std::min(columns_, count);
}

void ContactSheet::add(const Tensor& images) {
  const int64_t h = images.size(2), w = images.size(3);
  if (!sheet_.defined()) {
    const int64_t rows = (count_ + columns_ - 1) / columns_;
    sheet_ = at::full({3, rows * (h + gap) + gap, columns_ * (w + gap) + gap}, 255, at::kByte);
  }
  for (int64_t i = 0; i < images.size(0); ++i, ++filled_) {
    const int64_t top = gap + filled_ / columns_ * (h + gap);
    const int64_t left = gap + filled_ % columns_ * (w + gap);
    sheet_.narrow(1, top, h).narrow(2, left, w).copy_(images[i]);
  }
}

Image ContactSheet::image() const { return to_image(sheet_); }

}  // namespace edm2
