// The kernel itself, written so that compilers turn its loops into vector code: included once for
// each instruction set.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "toy/mixture_kernels.h"

namespace edm2::toy::mixture_kernels {
namespace {

// exp(x) for x <= 0, within 2 units in the last place; 0 where the result would be subnormal.
inline float exp_of_negative(float x) {
  constexpr float round_to_int = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fraction
  const float clamped = x < -87.0f ? -87.0f : x;
  const float n = (clamped * 1.44269504f + round_to_int) - round_to_int;
  float r = clamped - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const auto bits = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  const float result = p * std::bit_cast<float>(bits);
  return x < -87.0f ? 0.0f : result;
}

// 1 / sqrt(v) for normal v > 0: a first guess from the bits, then Newton's method.
inline float inverse_sqrt(float v) {
  float y = std::bit_cast<float>(0x5f375a86u - (std::bit_cast<uint32_t>(v) >> 1));
  const float half = 0.5f * v;
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  return y;
}

inline float largest(const float* values, int64_t count) {
  float best[lanes];
  for (int64_t l = 0; l < lanes; ++l) best[l] = values[l];
  for (int64_t j = lanes; j < count; j += lanes)
    for (int64_t l = 0; l < lanes; ++l) best[l] = values[j + l] > best[l] ? values[j + l] : best[l];
  float result = best[0];
  for (int64_t l = 1; l < lanes; ++l) result = best[l] > result ? best[l] : result;
  return result;
}

inline double sum(const float* values, int64_t count) {
  float sums[lanes] = {};
  for (int64_t j = 0; j < count; j += lanes)
    for (int64_t l = 0; l < lanes; ++l) sums[l] += values[j + l];
  double result = 0;
  for (int64_t l = 0; l < lanes; ++l) result += static_cast<double>(sums[l]);
  return result;
}

void density(const Components& c, const float* x, const float* sigma, int64_t n, float* log_density,
             float* score) {
  // w_j = weight / sqrt(L0 L1) * exp(e_j), e_j = -(u0^2 / L0 + u1^2 / L1) / 2, u = axes * (mean -
  // x)
  float* const exponent = c.scratch;
  float* const w = exponent + c.count;
  float* const wx = w + c.count;
  float* const wy = wx + c.count;
  for (int64_t i = 0; i < n; ++i) {
    const float px = x[2 * i], py = x[2 * i + 1], heat = sigma[i] * sigma[i];
    for (int64_t j = 0; j < c.count; ++j) {
      const float dx = c.x[j] - px, dy = c.y[j] - py;
      const float precision0 = 1.0f / (c.variance0[j] + heat);
      const float precision1 = 1.0f / (c.variance1[j] + heat);
      const float u0 = c.axis0_x[j] * dx + c.axis0_y[j] * dy;
      const float u1 = c.axis1_x[j] * dx + c.axis1_y[j] * dy;
      const float v0 = u0 * precision0, v1 = u1 * precision1;
      exponent[j] = -0.5f * (u0 * v0 + u1 * v1);
      const float product = precision0 * precision1;
      w[j] = c.weight[j] * product * inverse_sqrt(product);
      wx[j] = c.axis0_x[j] * v0 + c.axis1_x[j] * v1;
      wy[j] = c.axis0_y[j] * v0 + c.axis1_y[j] * v1;
    }
    const float top = largest(exponent, c.count);
    for (int64_t j = 0; j < c.count; ++j) {
      w[j] *= exp_of_negative(exponent[j] - top);
      wx[j] *= w[j];
      wy[j] *= w[j];
    }
    const double total = sum(w, c.count);
    log_density[i] = static_cast<float>(static_cast<double>(top) + std::log(total));
    score[2 * i] = static_cast<float>(sum(wx, c.count) / total);
    score[2 * i + 1] = static_cast<float>(sum(wy, c.count) / total);
  }
}

}  // namespace
}  // namespace edm2::toy::mixture_kernels
