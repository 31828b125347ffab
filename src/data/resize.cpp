#include "edm2/data/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

// Both passes must stay below this many pixels: a picture of 1x100000 pixels would otherwise ask
// for tens of gigabytes when its short side is scaled up.
constexpr int64_t max_pixels = int64_t{1} << 28;
constexpr int precision = 22;  // fractional bits of the weights: 32 - 8 - 2

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

/// Where one output sample comes from: the inputs [first, first + count) with weights from
/// `weights`.
struct Window {
  int64_t first = 0;
  int64_t count = 0;
  size_t weights = 0;
};

struct Plan {
  std::vector<Window> windows;   // one per output sample
  std::vector<int32_t> weights;  // fixed point
};

Plan plan_axis(int64_t in, int64_t out, ResizeFilter filter) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double filter_scale = std::max(scale, 1.0);
  const double support = kernel.support * filter_scale, inverse = 1.0 / filter_scale;
  Plan plan;
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
    plan.windows.push_back({first, last - first, plan.weights.size()});
    for (double weight : exact) {
      if (sum != 0.0) weight /= sum;
      weight *= 1 << precision;
      plan.weights.push_back(static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5));
    }
  }
  return plan;
}

uint8_t round_to_byte(int32_t fixed) {
  return static_cast<uint8_t>(std::clamp(fixed >> precision, 0, 255));
}

template <int channels>
void resize_row(const uint8_t* in, uint8_t* out, const Plan& plan) {
  for (const Window& window : plan.windows) {
    int32_t sums[channels];
    std::fill_n(sums, channels, 1 << (precision - 1));
    const uint8_t* pixel = in + window.first * channels;
    const int32_t* weight = plan.weights.data() + window.weights;
    for (int64_t j = 0; j < window.count; ++j, pixel += channels)
      for (int c = 0; c < channels; ++c) sums[c] += pixel[c] * weight[j];
    for (int c = 0; c < channels; ++c) *out++ = round_to_byte(sums[c]);
  }
}

Image resize_horizontally(const Image& image, int64_t width, ResizeFilter filter) {
  const Plan plan = plan_axis(image.width, width, filter);
  constexpr decltype(&resize_row<1>) row_functions[] = {resize_row<1>, resize_row<2>, resize_row<3>,
                                                        resize_row<4>};
  Image result{width, image.height, image.channels, {}};
  result.pixels.resize(static_cast<size_t>(width * image.height * image.channels));
  for (int64_t y = 0; y < image.height; ++y)
    row_functions[image.channels - 1](image.pixels.data() + y * image.width * image.channels,
                                      result.pixels.data() + y * width * image.channels, plan);
  return result;
}

Image resize_vertically(const Image& image, int64_t height, ResizeFilter filter) {
  const Plan plan = plan_axis(image.height, height, filter);
  const auto row = static_cast<size_t>(image.width * image.channels);
  Image result{image.width, height, image.channels, {}};
  result.pixels.reserve(row * static_cast<size_t>(height));
  std::vector<int32_t> sums(row);
  for (const Window& window : plan.windows) {
    std::fill(sums.begin(), sums.end(), 1 << (precision - 1));
    for (int64_t j = 0; j < window.count; ++j) {
      const int32_t weight = plan.weights[window.weights + static_cast<size_t>(j)];
      const uint8_t* in = image.pixels.data() + static_cast<size_t>(window.first + j) * row;
      for (size_t x = 0; x < row; ++x) sums[x] += in[x] * weight;
    }
    for (const int32_t sum : sums) result.pixels.push_back(round_to_byte(sum));
  }
  return result;
}

}  // namespace

Image resize(const Image& image, int64_t width, int64_t height, ResizeFilter filter) {
  if (image.width < 1 || image.height < 1 || image.channels < 1 || image.channels > 4 ||
      width < 1 || height < 1 || width > max_pixels / std::max(height, image.height))
    throw Error("cannot resize a picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " to " + std::to_string(width) + "x" +
                std::to_string(height) + " pixels");
  if (width == image.width && height == image.height) return image;
  if (width == image.width) return resize_vertically(image, height, filter);
  Image result = resize_horizontally(image, width, filter);
  return height == image.height ? result : resize_vertically(result, height, filter);
}

}  // namespace edm2
