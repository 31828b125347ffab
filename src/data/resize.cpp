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

Axis plan_axis(int64_t in, int64_t out, ResizeFilter filter) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = kernel.support * filter_scale, inverse = 1.0 / filter_scale;
  Axis axis;
  std::vector<double> exact;
  for (int64_t i = 0; i < out; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
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

Image resize_horizontally(const Image& image, int64_t width, ResizeFilter filter,
                          Horizontal kernel) {
  const Axis axis = plan_axis(image.width, width, filter);
  Image result{width, image.height, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(width * image.height * image.channels));
  kernel(image.pixels.data(), image.width, result.pixels.data(), image.height,
         static_cast<int>(image.channels), axis.plan());
  return result;
}

Image resize_vertically(const Image& image, int64_t height, ResizeFilter filter, Vertical kernel) {
  const Axis axis = plan_axis(image.height, height, filter);
  const int64_t row = image.width * image.channels;
  Image result{image.width, height, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(row * height));
  for (int64_t y = 0; y < height; ++y)
    kernel(image.pixels.data(), row, result.pixels.data() + y * row,
           axis.windows[static_cast<size_t>(y)], axis.plan());
  return result;
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height, ResizeFilter filter) {
  return resize(image, width, height, filter, cpu_level());
}

Image resize(const Image& image, int64_t width, int64_t height, ResizeFilter filter,
             CpuLevel level) {
  if (image.width < 1 || image.height < 1 || image.channels < 1 || image.channels > 4 ||
      width < 1 || height < 1 || width > max_pixels / std::max(height, image.height))
    throw Error("cannot resize a picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " to " + std::to_string(width) + "x" +
                std::to_string(height) + " pixels");
  if (width == image.width && height == image.height) return image;
  const Kernels kernels = kernels_for(level);
  if (width == image.width) return resize_vertically(image, height, filter, kernels.vertical);
  Image result = resize_horizontally(image, width, filter, kernels.horizontal);
  return height == image.height ? result
                                : resize_vertically(result, height, filter, kernels.vertical);
}

}  // namespace edm2
