#include "ema/weighted_sum_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace edm2::weighted_sum {
namespace {

constexpr size_t lanes = 8;
constexpr size_t line = 32;  // half-precision numbers in a line of the cache

// Numbers come in short pieces of many files, and the processor by itself looks ahead within a page
// of memory only.
void ask_for_next_page(const unsigned char* place) {
  constexpr size_t page = 4096;
  _mm_prefetch(reinterpret_cast<const char*>(place + page), _MM_HINT_T0);
}

__m256 load_half(const unsigned char* place) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(place)));
}

// sum + weight * x, the product rounded.
void add_product(__m256 weight, __m256 x, float* sum) {
  _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), _mm256_mul_ps(weight, x)));
}

}  // namespace

void from_half_avx2(const void* in, float* out, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  size_t i = 0;
  for (; i + line <= count; i += line) {
    ask_for_next_page(bytes + 2 * i);
    for (size_t k = i; k < i + line; k += lanes)
      _mm256_storeu_ps(out + k, load_half(bytes + 2 * k));
  }
  for (; i + lanes <= count; i += lanes) _mm256_storeu_ps(out + i, load_half(bytes + 2 * i));
  from_half_portable(bytes + 2 * i, out + i, count - i);
}

void add_scaled_half_avx2(const void* in, float weight, float* sum, size_t count) {
  const auto* bytes = static_cast<const unsigned char*>(in);
  const __m256 factor = _mm256_set1_ps(weight);
  size_t i = 0;
  for (; i + line <= count; i += line) {
    ask_for_next_page(bytes + 2 * i);
    for (size_t k = i; k < i + line; k += lanes)
      add_product(factor, load_half(bytes + 2 * k), sum + k);
  }
  add_scaled_half_portable(bytes + 2 * i, weight, sum + i, count - i);
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

void add_scaled_avx2(const float* in, size_t stride, const float* weights, size_t terms, float* sum,
                     size_t count) {
  // Several sums at a time stay in registers until all terms are in them.
  constexpr size_t vectors = 4;
  size_t i = 0;
  for (; i + vectors * lanes <= count; i += vectors * lanes) {
    __m256 total[vectors];
    for (size_t v = 0; v < vectors; ++v) total[v] = _mm256_loadu_ps(sum + i + v * lanes);
    for (size_t k = 0; k < terms; ++k) {
      const __m256 weight = _mm256_set1_ps(weights[k]);
      const float* term = in + k * stride + i;
      for (size_t v = 0; v < vectors; ++v)
        total[v] =
            _mm256_add_ps(total[v], _mm256_mul_ps(weight, _mm256_loadu_ps(term + v * lanes)));
    }
    for (size_t v = 0; v < vectors; ++v) _mm256_storeu_ps(sum + i + v * lanes, total[v]);
  }
  add_scaled_portable(in + i, stride, weights, terms, sum + i, count - i);
}

}  // namespace edm2::weighted_sum
#endif
