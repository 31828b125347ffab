// The two passes of resampling on raw memory, for several instruction sets. All of them give the
// same bytes. No other headers than these, because one of the users is compiled for AVX2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace edm2::resize_kernels {

constexpr int precision = 22;  // fractional bits of the weights: 32 - 8 - 2
constexpr int low_bits = 11;   // weight = high << low_bits + low, for 16-bit multiplications
constexpr int group = 4;       // windows of the split weights are padded to a multiple of this

/// One output sample is the weighted sum of the inputs [first, first + count).
struct Window {
  int32_t first;
  int32_t count;
  size_t weights;  // where its weights begin
};

/// One axis. Weights of a window are followed by zeros up to a multiple of `group`.
struct Plan {
  const Window* windows;
  int64_t size;            // windows
  const int32_t* weights;  // fixed point
  const int16_t* high;     // weights >> low_bits
  const int16_t* low;      // weights & (2^low_bits - 1)
};

/// Rows [0, rows) of `channels` interleaved samples; in_width pixels each -> plan.size pixels.
using Horizontal = void (*)(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows,
                            int channels, const Plan& plan);
/// One output row of `samples` bytes from the rows that `window` names.
using Vertical = void (*)(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                          const Plan& plan);

void horizontal_portable(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows,
                         int channels, const Plan& plan);
void vertical_portable(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                       const Plan& plan);
#if defined(__x86_64__)
void horizontal_avx2(const uint8_t* in, int64_t in_width, uint8_t* out, int64_t rows, int channels,
                     const Plan& plan);
void vertical_avx2(const uint8_t* in, int64_t samples, uint8_t* out, const Window& window,
                   const Plan& plan);
#endif

}  // namespace edm2::resize_kernels
