// Sixteen floats at once, for kernels that are compiled once for each instruction set (files
// *_avx2.cpp, *_avx512.cpp and a portable twin). The sums are the same, in the same order, whatever
// the set, so that results do not depend on it. Everything has internal linkage, because each of
// these files must keep its own copy; no torch headers for the same reason.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/bf16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edm2 {
namespace {

constexpr int64_t lanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using Shorts = uint16_t __attribute__((vector_size(32)));
using Bytes = int8_t __attribute__((vector_size(16)));

#define EDM2_INLINE [[gnu::always_inline]] inline

#if defined(__AVX2__) && !defined(__AVX512F__)
EDM2_INLINE Floats joined(const __m256 (&halves)[2]) {
  Floats v;
  std::memcpy(&v, halves, sizeof v);
  return v;
}
#endif

EDM2_INLINE Floats broadcast(float value) { return value - Floats{}; }

EDM2_INLINE Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
EDM2_INLINE void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }

EDM2_INLINE Floats load(const Bf16* p) {
#if defined(__AVX512BW__)
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return reinterpret_cast<Floats>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
#else
  Shorts v;
  std::memcpy(&v, p, sizeof v);
  return reinterpret_cast<Floats>(__builtin_convertvector(v, Ints) << 16);
#endif
}
/// Rounds to nearest, ties to even; NaN stays NaN.
EDM2_INLINE void store(Bf16* p, Floats v) {
  const Ints bits = reinterpret_cast<Ints>(v);
  const Ints rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Ints result = v == v ? rounded : Ints{} + 0x7fc0;
#if defined(__AVX512BW__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(result)));
#else
  const Shorts narrow = __builtin_convertvector(result, Shorts);
  std::memcpy(p, &narrow, sizeof narrow);
#endif
}

EDM2_INLINE Floats load(const Half* p) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__AVX2__)  // comes with F16C here
  __m256 halves[2];
  for (int i = 0; i < 2; ++i)
    halves[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i));
  return joined(halves);
#else
  Shorts narrow;
  std::memcpy(&narrow, p, sizeof narrow);
  const Ints bits = __builtin_convertvector(narrow, Ints);
  constexpr float two_to_112 =
      5192296858534827628530496329220096.f;  // between the exponents' zeros
  const Floats magnitude = reinterpret_cast<Floats>((bits & 0x7fff) << 13) * two_to_112;
  // Infinities and NaN, quiet ones as the instruction makes them.
  const Ints infinite = (bits & 0x7c00) == 0x7c00, nan = (bits & 0x7fff) > 0x7c00;
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(magnitude) | (infinite & 0x7f800000) |
                                  (nan & 0x7fc00000) | (bits & 0x8000) << 16);
#endif
}

EDM2_INLINE Floats load(const int8_t* p) {
#if defined(__AVX512F__)
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v));
#elif defined(__AVX2__)
  __m256 halves[2];
  for (int i = 0; i < 2; ++i)
    halves[i] = _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i))));
  return joined(halves);
#else
  Bytes narrow;
  std::memcpy(&narrow, p, sizeof narrow);
  return __builtin_convertvector(narrow, Floats);
#endif
}

/// The first `count` < lanes elements; the others are read as 0 and not written.
template <class T>
EDM2_INLINE Floats load_some(const T* p, int64_t count) {
  T buffer[lanes] = {};
  std::memcpy(buffer, p, static_cast<size_t>(count) * sizeof(T));
  return load(buffer);
}
template <class T>
EDM2_INLINE void store_some(T* p, Floats v, int64_t count) {
  T buffer[lanes];
  store(buffer, v);
  std::memcpy(p, buffer, static_cast<size_t>(count) * sizeof(T));
}

/// a * b + c with one rounding.
EDM2_INLINE Floats fused_multiply_add(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  __m256 x[2], y[2], z[2];
  std::memcpy(x, &a, sizeof a);
  std::memcpy(y, &b, sizeof b);
  std::memcpy(z, &c, sizeof c);
  for (int i = 0; i < 2; ++i) z[i] = _mm256_fmadd_ps(x[i], y[i], z[i]);
  return joined(z);
#else
  Floats r;
  for (int i = 0; i < lanes; ++i) r[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return r;
#endif
}

EDM2_INLINE Floats square_root(Floats x) {
#if defined(__AVX512F__)
  return _mm512_sqrt_ps(x);
#elif defined(__AVX2__)
  __m256 halves[2];
  std::memcpy(halves, &x, sizeof x);
  for (__m256& half : halves) half = _mm256_sqrt_ps(half);
  return joined(halves);
#else
  Floats r;
  for (int i = 0; i < lanes; ++i) r[i] = __builtin_sqrtf(x[i]);
  return r;
#endif
}

/// The sum of all lanes, by halves.
EDM2_INLINE float sum(Floats v) {
  float p[lanes];
  store(p, v);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) p[i] += p[i + width];
  return p[0];
}

/// e^x to 2 units in the last place for x <= 88; 0 < result for very negative x. NaN stays NaN.
EDM2_INLINE Floats exponential(Floats x) {
  x = x > 88.f ? broadcast(88.f) : x;
  x = x < -87.f ? broadcast(-87.f) : x;
  constexpr float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = x * 1.44269504f + magic;
  const Floats n = shifted - magic;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + (r + 1.f);
  const Ints exponent = (reinterpret_cast<Ints>(shifted) - 0x4b400000 + 127) << 23;
  return p * reinterpret_cast<Floats>(exponent);
}

EDM2_INLINE Floats sigmoid(Floats x) { return 1.f / (1.f + exponential(-x)); }

/// at::lerp(a, b, t): computed from the nearer end.
EDM2_INLINE Floats lerp(Floats a, Floats b, float t) {
  return t < 0.5f ? fused_multiply_add(broadcast(t), b - a, a)
                  : fused_multiply_add(broadcast(t - 1), b - a, b);
}

}  // namespace
}  // namespace edm2
