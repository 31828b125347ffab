#include "ema/weighted_sum_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace edm2::weighted_sum {
namespace {

constexpr size_t lanes = 8;

}  // namespace

void from_half_avx2(const void* in, float* out, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto* place = reinterpret_cast<const __m128i*>(bytes + 2 * i);
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(place)));
  }
  from_half_portable(bytes + 2 * i, out + i, count - i);
}

void to_half_avx2(const float* in, void* out, size_t count) {
  auto* bytes = static_cast<unsigned char*>(out);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto* place = reinterpret_cast<__m128i*>(bytes + 2 * i);
    _mm_storeu_si128(place, _mm256_cvtps_ph(_mm256_loadu_ps(in + i),
                                            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  to_half_portable(in + i, bytes + 2 * i, count - i);
}

void add_scaled_avx2(const float* in, float weight, float* sum, size_t count) {
  const __m256 factor = _mm256_set1_ps(weight);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const __m256 product = _mm256_mul_ps(factor, _mm256_loadu_ps(in + i));
    _mm256_storeu_ps(sum + i, _mm256_add_ps(_mm256_loadu_ps(sum + i), product));
  }
  add_scaled_portable(in + i, weight, sum + i, count - i);
}

}  // namespace edm2::weighted_sum
#endif
