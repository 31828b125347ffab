#include "ema/number_conversion.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <vector>

namespace edm2::weighted_sum {
namespace {

template <class T>
void read_as(const void* in, float* out, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof value, sizeof value);
    out[i] = static_cast<float>(value);
  }
}

template <class T>
void write_as(const float* in, void* out, size_t count) {
  auto* bytes = static_cast<unsigned char*>(out);
  for (size_t i = 0; i < count; ++i) {
    const auto value = static_cast<T>(in[i]);
    std::memcpy(bytes + i * sizeof value, &value, sizeof value);
  }
}

}  // namespace

Kernels kernels_for(CpuLevel level) {
#if defined(__x86_64__)
  if (level >= CpuLevel::avx2)
    return {from_half_avx2, to_half_avx2, add_scaled_avx2, add_scaled_half_avx2};
#endif
  (void)level;
  return {from_half_portable, to_half_portable, add_scaled_portable, add_scaled_half_portable};
}

void to_float(const Kernels& kernels, c10::ScalarType dtype, const void* in, float* out,
              size_t count) {
  switch (dtype) {
    case c10::kHalf:
      return kernels.from_half(in, out, count);
    case c10::kFloat:
      if (count > 0) std::memcpy(out, in, count * sizeof(float));
      return;
    case c10::kBFloat16:
      return read_as<c10::BFloat16>(in, out, count);
    case c10::kDouble:
      return read_as<double>(in, out, count);
    case c10::kFloat8_e4m3fn:
      return read_as<c10::Float8_e4m3fn>(in, out, count);
    case c10::kFloat8_e5m2:
      return read_as<c10::Float8_e5m2>(in, out, count);
    case c10::kFloat8_e4m3fnuz:
      return read_as<c10::Float8_e4m3fnuz>(in, out, count);
    case c10::kFloat8_e5m2fnuz:
      return read_as<c10::Float8_e5m2fnuz>(in, out, count);
    default:
      TORCH_CHECK(false, "no floating-point numbers: ", dtype);
  }
}

void from_float(const Kernels& kernels, c10::ScalarType dtype, const float* in, void* out,
                size_t count) {
  switch (dtype) {
    case c10::kHalf:
      return kernels.to_half(in, out, count);
    case c10::kFloat:
      if (count > 0) std::memcpy(out, in, count * sizeof(float));
      return;
    case c10::kBFloat16:
      return write_as<c10::BFloat16>(in, out, count);
    case c10::kDouble:
      return write_as<double>(in, out, count);
    case c10::kFloat8_e4m3fn:
      return write_as<c10::Float8_e4m3fn>(in, out, count);
    case c10::kFloat8_e5m2:
      return write_as<c10::Float8_e5m2>(in, out, count);
    case c10::kFloat8_e4m3fnuz:
      return write_as<c10::Float8_e4m3fnuz>(in, out, count);
    case c10::kFloat8_e5m2fnuz:
      return write_as<c10::Float8_e5m2fnuz>(in, out, count);
    default:
      TORCH_CHECK(false, "no floating-point numbers: ", dtype);
  }
}

void convert(const Kernels& kernels, c10::ScalarType from, const void* in, c10::ScalarType to,
             void* out, size_t count) {
  if (from == to) {
    if (count > 0) std::memcpy(out, in, count * c10::elementSize(from));
    return;
  }
  std::vector<float> numbers(count);
  to_float(kernels, from, in, numbers.data(), count);
  from_float(kernels, to, numbers.data(), out, count);
}

}  // namespace edm2::weighted_sum
