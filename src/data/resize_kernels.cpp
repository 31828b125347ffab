#include "data/resize_kernels.h"

#include <algorithm>

namespace edm2::resize_kernels {
namespace {

uint8_t round_to_byte(uint32_t fixed) {
  return static_cast<uint8_t>(std::clamp(static_cast<int32_t>(fixed) >> precision, 0, 255));
}

// Sums are unsigned: with thousands of weights parts of them may leave 32 bits on the way to a
// result that does not.
constexpr uint32_t half = uint32_t{1} << (precision - 1);

template <int channels>
void resize_row(const uint8_t* in, uint8_t* out, const Plan& plan) {
  for (int64_t i = 0; i < plan.size; ++i) {
    const Window& window = plan.windows[i];
    uint32_t sums[channels];
    std::fill_n(sums, channels, half);
    const uint8_t* pixel = in + int64_t{window.first} * channels;
    const int32_t* weight = plan.weights + window.weights;
    for (int64_t j = 0; j < window.count; ++j, pixel += channels)
      for (int c = 0; c < channels; ++c) sums[c] += static_cast<uint32_t>(pixel[c] * weight[j]);
    for (int c = 0; c < channels; ++c) *out++ = round_to_byte(sums[c]);
  }
}

}  // namespace

void horizontal_portable(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows,
                         int channels, const Plan& plan) {
  constexpr decltype(&resize_row<1>) by_channels[] = {resize_row<1>, resize_row<2>, resize_row<3>,
                                                      resize_row<4>};
  for (int64_t y = 0; y < rows; ++y)
    by_channels[channels - 1](in + y * in_width * channels, out + y * plan.size * channels, plan);
}

void vertical_portable(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                       const Plan& plan) {
  const int32_t* weights = plan.weights + window.weights;
  const uint8_t* column = in + int64_t{window.first} * samples;
  constexpr int64_t block = 64;  // sums stay in the nearest cache
  for (int64_t x = 0; x < samples; x += block) {
    const int64_t count = std::min(block, samples - x);
    uint32_t sums[block];
    std::fill_n(sums, block, half);
    for (int64_t j = 0; j < window.count; ++j) {
      const uint8_t* row = column + j * samples + x;
      for (int64_t k = 0; k < count; ++k) sums[k] += static_cast<uint32_t>(row[k] * weights[j]);
    }
    for (int64_t k = 0; k < count; ++k) out[x + k] = round_to_byte(sums[k]);
  }
}

}  // namespace edm2::resize_kernels
