// Two 16-bit multiplications a weight instead of one of 32 bits: _mm256_madd_epi16 multiplies and
// adds two neighbours at once. The high and low sums meet at the end; all arithmetic is modulo
// 2^32, so the result is that of the portable twin.
#include "data/resize_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace edm2::resize_kernels {
namespace {

inline __m256i load_bytes(const uint8_t* p) {  // 16 bytes in both halves
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

/// Four weights -> (w0, w1) in each lane of the lower half, (w2, w3) in those of the upper one.
inline __m256i load_weights(const int16_t* p) {
  const __m256i four = _mm256_castsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return _mm256_permutevar8x32_epi32(four, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

/// high << low_bits + low, rounded and shifted down; still 32 bits a sample.
inline __m256i combine(__m256i high, __m256i low) {
  const __m256i half = _mm256_set1_epi32(1 << (precision - 1));
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, low_bits), low);
  return _mm256_srai_epi32(_mm256_add_epi32(sum, half), precision);
}

/// Sums of both halves, as bytes: one pixel of up to four channels.
inline uint32_t to_pixel(__m256i high, __m256i low) {
  const __m128i h = _mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  const __m128i l = _mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  __m128i sum = _mm_add_epi32(_mm_slli_epi32(h, low_bits), l);
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(1 << (precision - 1))), precision);
  sum = _mm_packs_epi32(sum, sum);
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(sum, sum)));
}

template <int channels>
inline __m256i pair_shuffle() {
  // From four pixels: lane c of the lower half holds channel c of pixels 0 and 1 as two 16-bit
  // numbers, the upper half that of pixels 2 and 3.
  constexpr char z = -1;
  if constexpr (channels == 3)
    return _mm256_setr_epi8(0, z, 3, z, 1, z, 4, z, 2, z, 5, z, z, z, z, z,  //
                            6, z, 9, z, 7, z, 10, z, 8, z, 11, z, z, z, z, z);
  else
    return _mm256_setr_epi8(0, z, 4, z, 1, z, 5, z, 2, z, 6, z, 3, z, 7, z,  //
                            8, z, 12, z, 9, z, 13, z, 10, z, 14, z, 11, z, 15, z);
}

template <int channels>
inline void store_pixel(uint8_t* out, uint32_t pixel) {
  for (int c = 0; c < channels; ++c) out[c] = static_cast<uint8_t>(pixel >> (8 * c));
}

/// `rows` rows side by side, so that weights are loaded once for all.
template <int channels, int rows>
void resize_rows(const uint8_t* in, int64_t in_stride, uint8_t* out, int64_t out_stride,
                 const Plan& plan, int64_t begin, int64_t end) {
  const __m256i pairs = pair_shuffle<channels>();
  for (int64_t i = begin; i < end; ++i) {
    const Window& window = plan.windows[i];
    const uint8_t* pixel = in + int64_t{window.first} * channels;
    __m256i high[rows], low[rows];
    for (int r = 0; r < rows; ++r) high[r] = low[r] = _mm256_setzero_si256();
    for (int64_t j = 0; j < window.count; j += group, pixel += group * channels) {
      const __m256i weight_high = load_weights(plan.high + window.weights + j);
      const __m256i weight_low = load_weights(plan.low + window.weights + j);
      for (int r = 0; r < rows; ++r) {
        const __m256i values = _mm256_shuffle_epi8(load_bytes(pixel + r * in_stride), pairs);
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(values, weight_high));
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(values, weight_low));
      }
    }
    for (int r = 0; r < rows; ++r)
      store_pixel<channels>(out + r * out_stride + i * channels, to_pixel(high[r], low[r]));
  }
}

/// Windows are read in groups of four pixels, with up to 4 bytes more. In the last rows of the
/// picture that may lie behind its end: how many windows from the left are safe there.
template <int channels>
int64_t safe_windows(int64_t in_width, const Plan& plan) {
  int64_t i = plan.size;
  while (i > 0) {
    const Window& window = plan.windows[i - 1];
    const int64_t groups = (window.count + group - 1) / group;
    const int64_t bytes = (int64_t{window.first} + (groups - 1) * group) * channels + 16;
    if (bytes <= in_width * channels) break;
    --i;
  }
  return i;
}

template <int channels>
void resize_all_rows(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows,
                     const Plan& plan) {
  const int64_t in_stride = in_width * channels, out_stride = plan.size * channels;
  const int64_t safe = safe_windows<channels>(in_width, plan);
  // A group reads at most 16 pixels' worth past its window, so rows of fewer pixels end rows early.
  const int64_t rows_behind = 1 + (group * channels + 4) / in_stride;
  int64_t y = 0;
  for (; y + 4 + rows_behind <= rows; y += 4)
    resize_rows<channels, 4>(in + y * in_stride, in_stride, out + y * out_stride, out_stride, plan,
                             0, plan.size);
  for (; y < rows; ++y) {
    const bool last = y + rows_behind >= rows;
    resize_rows<channels, 1>(in + y * in_stride, in_stride, out + y * out_stride, out_stride, plan,
                             0, last ? safe : plan.size);
    if (!last) continue;
    Plan rest = plan;
    rest.windows += safe;
    rest.size -= safe;
    horizontal_portable(in + y * in_stride, in_width, out + y * out_stride + safe * channels, 1,
                        channels, rest);
  }
}

/// 16 columns of one output row.
inline void column_block(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                         const int16_t* high, const int16_t* low) {
  __m256i sum_high[2], sum_low[2];
  for (int k = 0; k < 2; ++k) sum_high[k] = sum_low[k] = _mm256_setzero_si256();
  for (int64_t j = 0; j < window.count; j += 2) {
    const auto* row = reinterpret_cast<const __m128i*>(in + j * samples);
    const auto* next = reinterpret_cast<const __m128i*>(in + (j + 1) * samples);
    const __m128i a = _mm_loadu_si128(row);
    const __m128i b = j + 1 < window.count ? _mm_loadu_si128(next) : _mm_setzero_si128();
    const __m256i values[2] = {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)),
                               _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b))};
    int32_t two_high, two_low;  // weights of both rows; zero behind the last
    __builtin_memcpy(&two_high, high + j, 4);
    __builtin_memcpy(&two_low, low + j, 4);
    for (int k = 0; k < 2; ++k) {
      sum_high[k] =
          _mm256_add_epi32(sum_high[k], _mm256_madd_epi16(values[k], _mm256_set1_epi32(two_high)));
      sum_low[k] =
          _mm256_add_epi32(sum_low[k], _mm256_madd_epi16(values[k], _mm256_set1_epi32(two_low)));
    }
  }
  // packs works within halves; the permutation puts the quarters in order again.
  const __m256i words =
      _mm256_packs_epi32(combine(sum_high[0], sum_low[0]), combine(sum_high[1], sum_low[1]));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

}  // namespace

void horizontal_avx2(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows, int channels,
                     const Plan& plan) {
  if (channels == 3)
    resize_all_rows<3>(in, in_width, out, rows, plan);
  else if (channels == 4)
    resize_all_rows<4>(in, in_width, out, rows, plan);
  else
    horizontal_portable(in, in_width, out, rows, channels, plan);
}

void vertical_avx2(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                   const Plan& plan) {
  if (samples < 16) return vertical_portable(in, samples, out, window, plan);
  const uint8_t* top = in + int64_t{window.first} * samples;
  const int16_t* high = plan.high + window.weights;
  const int16_t* low = plan.low + window.weights;
  for (int64_t x = 0; x < samples; x += 16) {
    if (x + 16 > samples) x = samples - 16;  // the last block overlaps the one before
    column_block(top + x, samples, out + x, window, high, low);
  }
}

}  // namespace edm2::resize_kernels
#endif
