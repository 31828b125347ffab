// Weighted sums on raw memory, for several instruction sets. All of them give the same bits. No
// other headers than these, because one of the users is compiled for AVX2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edm2::weighted_sum {

/// Half-precision numbers, at any address, to float.
using FromHalf = void (*)(const void* in, float* out, size_t count);
/// Rounds to the nearest, ties to even.
using ToHalf = void (*)(const float* in, void* out, size_t count);
/// sum += weights[0] * in[0 ...] + weights[1] * in[stride ...] + ..., `terms` of them, one after
/// the other, each product rounded before it is added.
using AddScaled = void (*)(const float* in, size_t stride, const float* weights, size_t terms,
                           float* sum, size_t count);
/// sum += weight * in for half-precision numbers, the product rounded before it is added.
using AddScaledHalf = void (*)(const void* in, float weight, float* sum, size_t count);

struct Kernels {
  FromHalf from_half;
  ToHalf to_half;
  AddScaled add_scaled;
  AddScaledHalf add_scaled_half;
};

void from_half_portable(const void* in, float* out, size_t count);
void to_half_portable(const float* in, void* out, size_t count);
void add_scaled_half_portable(const void* in, float weight, float* sum, size_t count);
void add_scaled_portable(const float* in, size_t stride, const float* weights, size_t terms,
                         float* sum, size_t count);
#if defined(__x86_64__)
void from_half_avx2(const void* in, float* out, size_t count);
void to_half_avx2(const float* in, void* out, size_t count);
void add_scaled_half_avx2(const void* in, float weight, float* sum, size_t count);
void add_scaled_avx2(const float* in, size_t stride, const float* weights, size_t terms, float* sum,
                     size_t count);
#endif

}  // namespace edm2::weighted_sum
