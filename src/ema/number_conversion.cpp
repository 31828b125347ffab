#include "ema/number_conversion.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <vector>

namespace edm2::weighted_sum {
namespace {

void copy_bytes(const void* in, void* out, size_t size) {
  if (size > 0) std::memcpy(out, in, size);  // neither may be null
}

/// Calls body(T{}) with the type of such numbers, but for half and float, which have ways of their
/// own.
template <class Body>
void for_float_type(c10::ScalarType dtype, const Body& body) {
  switch (dtype) {
    case c10::kBFloat16:
      return body(c10::BFloat16());
    case c10::kDouble:
      return body(double());
    case c10::kFloat8_e4m3fn:
      return body(c10::Float8_e4m3fn());
    case c10::kFloat8_e5m2:
      return body(c10::Float8_e5m2());
    case c10::kFloat8_e4m3fnuz:
      return body(c10::Float8_e4m3fnuz());
    case c10::kFloat8_e5m2fnuz:
      return body(c10::Float8_e5m2fnuz());
    default:
      TORCH_CHECK(false, "no floating-point numbers: ", dtype);
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
  if (dtype == c10::kHalf) return kernels.from_half(in, out, count);
  if (dtype == c10::kFloat) return copy_bytes(in, out, count * sizeof(float));
  const auto* bytes = static_cast<const unsigned char*>(in);
  for_float_type(dtype, [&](auto value) {
    for (size_t i = 0; i < count; ++i) {
      std::memcpy(&value, bytes + i * sizeof value, sizeof value);
      out[i] = static_cast<float>(value);
    }
  });
}

void from_float(const Kernels& kernels, c10::ScalarType dtype, const float* in, void* out,
                size_t count) {
  if (dtype == c10::kHalf) return kernels.to_half(in, out, count);
  if (dtype == c10::kFloat) return copy_bytes(in, out, count * sizeof(float));
  auto* bytes = static_cast<unsigned char*>(out);
  for_float_type(dtype, [&](auto value) {
    for (size_t i = 0; i < count; ++i) {
      value = static_cast<decltype(value)>(in[i]);
      std::memcpy(bytes + i * sizeof value, &value, sizeof value);
    }
  });
}

void convert(const Kernels& kernels, c10::ScalarType from, const void* in, c10::ScalarType to,
             void* out, size_t count) {
  if (from == to) return copy_bytes(in, out, count * c10::elementSize(from));
  std::vector<float> numbers(count);
  to_float(kernels, from, in, numbers.data(), count);
  from_float(kernels, to, numbers.data(), out, count);
}

}  // namespace edm2::weighted_sum
