#include "ema/weighted_sum_kernels.h"

#include <c10/util/Half.h>

#include <cstring>

namespace edm2::weighted_sum {

void from_half_portable(const void* in, float* out, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    out[i] = c10::detail::fp16_ieee_to_fp32_value(bits);
  }
}

void to_half_portable(const float* in, void* out, size_t count) {
  auto* bytes = static_cast<unsigned char*>(out);
  for (size_t i = 0; i < count; ++i) {
    const uint16_t bits = c10::detail::fp16_ieee_from_fp32_value(in[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof bits);
  }
}

void add_scaled_half_portable(const void* in, float weight, float* sum, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    sum[i] += weight * c10::detail::fp16_ieee_to_fp32_value(bits);
  }
}

void add_scaled_portable(const float* in, size_t stride, const float* weights, size_t terms,
                         float* sum, size_t count) {
  for (size_t k = 0; k < terms; ++k)
    for (size_t i = 0; i < count; ++i) sum[i] += weights[k] * in[k * stride + i];
}

}  // namespace edm2::weighted_sum
