#include "edm2/data/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/resize_kernels.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace {

using namespace resize_kernels;  // NOLINT

// Both passes must stay below this many pixels: a picture of 1x100000 pixels would otherwise ask
// for tens of gigabytes when its short side is scaled up.
constexpr int64_t max_pixels = int64_t{1} << 28;
double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Kernel {
  double (*weight)(double);
  double support;
};

Kernel kernel_of(ResizeFilter filter) {
  switch (filter) {
    case ResizeFilter::box:
      return {box, 0.5};
    case ResizeFilter::bicubic:
      return {bicubic, 2.0};
    default:
      return {lanczos, 3.0};
  }
}

/// One axis, with the memory that the kernels' plan points to.
struct Axis {
  std::vector<Window> windows;   // one per output sample
  std::vector<int32_t> weights;  // fixed point
  std::vector<int16_t> high, low;

  Plan plan() const {
    return {windows.data(), static_cast<int64_t>(windows.size()), weights.data(), high.data(),
            low.data()};
  }

  void add_weight(int32_t weight) {
    weights.push_back(weight);
    high.push_back(static_cast<int16_t>(weight >> low_bits));
    low.push_back(static_cast<int16_t>(weight & ((1 << low_bits) - 1)));
  }
};

/// `out` samples from [begin, end) of an axis of `in` samples. (Pillow has the box as floats.)
Axis plan_axis(int64_t in, float begin, float end, int64_t out, ResizeFilter filter) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(end - begin) / static_cast<double>(out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = kernel.support * filter_scale, inverse = 1.0 / filter_scale;
  Axis axis;
  std::vector<double> exact;
  for (int64_t i = 0; i < out; ++i) {
    const double center = begin + (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in);
    exact.clear();
    double sum = 0;
    for (int64_t j = first; j < last; ++j) {
      exact.push_back(kernel.weight((static_cast<double>(j) - center + 0.5) * inverse));
      sum += exact.back();
    }
    axis.windows.push_back(
        {static_cast<int32_t>(first), static_cast<int32_t>(last - first), axis.weights.size()});
    for (double weight : exact) {
      if (sum != 0.0) weight /= sum;
      weight *= 1 << precision;
      axis.add_weight(static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5));
    }
    while (axis.weights.size() % group != 0) axis.add_weight(0);
  }
  return axis;
}

struct Kernels {
  Horizontal horizontal;
  Vertical vertical;
};

Kernels kernels_for(CpuLevel level) {
#if defined(__x86_64__)
  if (level >= CpuLevel::avx2) return {horizontal_avx2, vertical_avx2};
#endif
  (void)level;
  return {horizontal_portable, vertical_portable};
}

/// Rows [first, first + rows) only.
Image resize_horizontally(const Image& image, const Axis& axis, int64_t first, int64_t rows,
                          Horizontal kernel) {
  const auto width = static_cast<int64_t>(axis.windows.size());
  Image result{width, rows, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(width * rows * image.channels));
  kernel(image.pixels.data() + first * image.width * image.channels, image.width,
         result.pixels.data(), rows, static_cast<int>(image.channels), axis.plan());
  return result;
}

Image resize_vertically(const Image& image, const Axis& axis, Vertical kernel) {
  const auto height = static_cast<int64_t>(axis.windows.size());
  const int64_t row = image.width * image.channels;
  Image result{image.width, height, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(row * height));
  for (int64_t y = 0; y < height; ++y)
    kernel(image.pixels.data(), row, result.pixels.data() + y * row,
           axis.windows[static_cast<size_t>(y)], axis.plan());
  return result;
}

/// Both passes, the horizontal one only over the rows that the other one looks at.
Image horizontal_then_vertical(const Image& image, const Axis& columns, Axis rows,
                               const Kernels& kernels) {
  const int32_t first = rows.windows.front().first;
  const int32_t end = rows.windows.back().first + rows.windows.back().count;
  for (Window& window : rows.windows) window.first -= first;
  return resize_vertically(
      resize_horizontally(image, columns, first, end - first, kernels.horizontal), rows,
      kernels.vertical);
}

void check_sizes(const Image& image, int64_t width, int64_t height, const ResizeBox& box) {
  const bool inside = box.left >= 0 && box.top >= 0 && box.left < box.right &&
                      box.top < box.bottom && box.right <= static_cast<float>(image.width) &&
                      box.bottom <= static_cast<float>(image.height);
  if (image.width < 1 || image.height < 1 || image.channels < 1 || image.channels > 4 ||
      width < 1 || height < 1 || width > max_pixels / std::max(height, image.height) || !inside)
    throw Error("cannot resize a picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " to " + std::to_string(width) + "x" +
                std::to_string(height) + " pixels");
}

}  // namespace

Image crop(const Image& image, int64_t left, int64_t top, int64_t width, int64_t height) {
  Image result{width, height, image.channels, {}};
  for (int64_t y = top; y < top + height; ++y) {
    const auto row = image.pixels.begin() + (y * image.width + left) * image.channels;
    result.pixels.insert(result.pixels.end(), row, row + width * image.channels);
  }
  return result;
}

Image resize(const Image& image, int64_t width, int64_t height, const ResizeOptions& options) {
  const auto in_width = static_cast<float>(image.width);
  const auto in_height = static_cast<float>(image.height);
  const ResizeBox box = options.box.value_or(ResizeBox{0, 0, in_width, in_height});
  check_sizes(image, width, height, box);
  // A box of the same size on pixel borders.
  if (box.left == std::floor(box.left) && box.top == std::floor(box.top) &&
      box.right - box.left == static_cast<float>(width) &&
      box.bottom - box.top == static_cast<float>(height))
    return crop(image, static_cast<int64_t>(box.left), static_cast<int64_t>(box.top), width,
                height);

  const Kernels kernels = kernels_for(options.level);
  const Axis columns = plan_axis(image.width, box.left, box.right, width, options.filter);
  const Axis rows = plan_axis(image.height, box.top, box.bottom, height, options.filter);
  const bool same_width = width == image.width && box.left == 0 && box.right == in_width;
  const bool same_height = height == image.height && box.top == 0 && box.bottom == in_height;
  if (same_width) return resize_vertically(image, rows, kernels.vertical);
  if (same_height) return resize_horizontally(image, columns, 0, image.height, kernels.horizontal);
  const bool vertical_first = options.pillow == PillowVersion::v13 && image.height > height &&
                              image.height - height > 2 * (image.width - width);
  if (!vertical_first) return horizontal_then_vertical(image, columns, rows, kernels);
  const Image narrow = resize_vertically(image, rows, kernels.vertical);
  return resize_horizontally(narrow, columns, 0, height, kernels.horizontal);
}

}  // namespace edm2
