// The kernels of inference_kernels.h, once for all instruction sets: each of
// inference_kernels_*.cpp includes this file and makes a table of it.
#pragma once

#include <algorithm>
#include <numeric>

#include "engine/inference_kernels.h"
#include "nn/vector_loops.h"

namespace edm2::inference_kernels {
namespace {

EDM2_INLINE Floats plain_silu(Floats x) { return x * sigmoid(x); }

/// NaN stays NaN.
EDM2_INLINE Floats clipped(Floats v, float limit) {
  v = v > limit ? broadcast(limit) : v;
  return v < -limit ? broadcast(-limit) : v;
}

template <class T>
void pixel_norm_silu(const T* x, int64_t pixels, int64_t channels, float limit, float keep, T* kept,
                     T* activated) {
  for (int64_t p = 0; p < pixels; ++p) {
    Floats squares{};
    vectors(channels, [&](auto get, auto) {
      const Floats v = clipped(get(x), limit);
      squares += v * v;
    });
    const float inverse = 1 / divisor_of(sum(squares), channels);
    vectors(channels, [&](auto get, auto put) {
      const Floats v = clipped(get(x), limit) * inverse;
      put(kept, v * keep);
      put(activated, plain_silu(v));
    });
    x += channels, kept += channels, activated += channels;
  }
}

template <class T>
void silu(const T* x, int64_t size, float limit, float keep, T* kept, T* activated) {
  vectors(size, [&](auto get, auto put) {
    const Floats v = clipped(get(x), limit);
    if (kept != nullptr) put(kept, v * keep);
    put(activated, plain_silu(v));
  });
}

template <class T>
void cat_silu(const T* a, const T* b, int64_t pixels, int64_t channels_a, int64_t channels_b,
              float limit_a, float limit_b, float weight_a, float weight_b, float keep, T* kept,
              T* activated) {
  const auto part = [&](const T*& from, int64_t channels, float limit, float weight) {
    vectors(channels, [&](auto get, auto put) {
      const Floats v = clipped(get(from), limit) * weight;
      put(kept, v * keep);
      put(activated, plain_silu(v));
    });
    from += channels, kept += channels, activated += channels;
  };
  for (int64_t p = 0; p < pixels; ++p) {
    part(a, channels_a, limit_a, weight_a);
    part(b, channels_b, limit_b, weight_b);
  }
}

template <class T>
void modulated_silu(const T* y, const float* c, int64_t pixels, int64_t channels, T* activated) {
  for (int64_t p = 0; p < pixels; ++p) {
    vectors(channels, [&](auto get, auto put) { put(activated, plain_silu(get(y) * get(c))); });
    y += channels, activated += channels;
  }
}

template <class T>
void modulated_silu_of_phases(const T* y, const float* c, int64_t rows, int64_t width,
                              int64_t channels, T* activated) {
  const int64_t pixel = 4 * channels, row = (width + 1) * pixel;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t py = 0; py < 2; ++py)
      for (int64_t j = 0; j < width; ++j)
        for (int64_t px = 0; px < 2; ++px) {
          const T* from = y + (i + py) * row + (j + px) * pixel + (2 * py + px) * channels;
          vectors(channels,
                  [&](auto get, auto put) { put(activated, plain_silu(get(from) * get(c))); });
          activated += channels;
        }
}

template <class T>
void sum_2x2(const T* x, int64_t rows_out, int64_t width_out, int64_t channels, float limit,
             float scale, T* out) {
  const int64_t row = 2 * width_out * channels;
  for (int64_t y = 0; y < rows_out; ++y, x += row)
    for (int64_t i = 0; i < width_out; ++i, x += 2 * channels, out += channels)
      vectors(channels, [&](auto get, auto put) {
        const auto at = [&](int64_t offset) { return clipped(get(x + offset), limit); };
        put(out, ((at(0) + at(channels)) + (at(row) + at(row + channels))) * scale);
      });
}

template <class T>
void spread_2x2(const T* x, int64_t rows, int64_t width, int64_t channels, float limit, float scale,
                T* out) {
  const int64_t row = 2 * width * channels;
  for (int64_t y = 0; y < rows; ++y, out += row)
    for (int64_t i = 0; i < width; ++i, x += channels, out += 2 * channels)
      vectors(channels, [&](auto get, auto put) {
        const Floats v = clipped(get(x), limit) * scale;
        put(out, v);
        put(out + channels, v);
        put(out + row, v);
        put(out + row + channels, v);
      });
}

template <class T>
void clip(T* x, int64_t size, float limit) {
  // Values beyond the limit are rare, and memory that is not written needs not be written back.
  vectors(size, [&](auto get, auto put) {
    const Floats v = get(x);
    const Ints beyond = (v > limit) | (v < -limit);
    int32_t any = 0;
    for (int i = 0; i < lanes; ++i) any |= beyond[i];
    if (any != 0) put(x, clipped(v, limit));
  });
}

template <class T>
void normalize_qkv(T* qkv, int64_t pixels, int64_t heads, int64_t depth, float k_scale) {
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t v = 0; v < 3 * heads; ++v, qkv += depth) {
      const bool is_key = v >= heads && v < 2 * heads;
      const float scale = (is_key ? k_scale : 1) / divisor_of(sum_of_squares(qkv, depth), depth);
      vectors(depth, [&](auto get, auto put) { put(qkv, get(qkv) * scale); });
    }
}

template <class T>
constexpr ActivationKernels<T> activation_kernels() {
  return {pixel_norm_silu<T>,
          silu<T>,
          cat_silu<T>,
          modulated_silu<T>,
          modulated_silu_of_phases<T>,
          sum_2x2<T>,
          spread_2x2<T>,
          clip<T>,
          normalize_qkv<T>};
}

void linear(const float* x, const float* w, int64_t rows, int64_t outputs, int64_t inputs,
            int64_t out_stride, float* out) {
  for (int64_t o = 0; o < outputs; ++o, w += inputs)
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x + r * inputs;
      Floats sums[2] = {};  // two chains of additions, so that one need not wait for the other
      int64_t i = 0;
      for (; i + 2 * lanes <= inputs; i += 2 * lanes)
        for (int chain = 0; chain < 2; ++chain)
          sums[chain] = fused_multiply_add(load(row + i + chain * lanes),
                                           load(w + i + chain * lanes), sums[chain]);
      for (; i < inputs; i += lanes) {
        const int64_t count = std::min(lanes, inputs - i);
        sums[0] = fused_multiply_add(load_some(row + i, count), load_some(w + i, count), sums[0]);
      }
      out[r * out_stride + o] = sum(sums[0] + sums[1]);
    }
}

/// B^T d of six values (arXiv 1509.09308, Section 4.2; here the points 0, 1, -1, 2, -2).
EDM2_INLINE void winograd_in(const Floats* d, Floats* out, int stride_in, int stride_out) {
  const Floats d0 = d[0], d1 = d[stride_in], d2 = d[2 * stride_in], d3 = d[3 * stride_in],
               d4 = d[4 * stride_in], d5 = d[5 * stride_in];
  const Floats even = d4 - 4.f * d2, odd = d3 - 4.f * d1;
  const Floats even2 = d4 - d2, odd2 = 2.f * (d3 - d1);
  out[0] = 4.f * d0 - 5.f * d2 + d4;
  out[stride_out] = even + odd;
  out[2 * stride_out] = even - odd;
  out[3 * stride_out] = even2 + odd2;
  out[4 * stride_out] = even2 - odd2;
  out[5 * stride_out] = 4.f * d1 - 5.f * d3 + d5;
}

/// A^T m of six values.
EDM2_INLINE void winograd_out(const Floats* m, Floats* out, int stride_in, int stride_out) {
  const Floats m0 = m[0], m1 = m[stride_in], m2 = m[2 * stride_in], m3 = m[3 * stride_in],
               m4 = m[4 * stride_in], m5 = m[5 * stride_in];
  const Floats a = m1 + m2, b = m1 - m2, e = m3 + m4, f = m3 - m4;
  out[0] = m0 + a + e;
  out[stride_out] = b + 2.f * f;
  out[2 * stride_out] = a + 4.f * e;
  out[3 * stride_out] = b + 8.f * f + m5;
}

void winograd_input(const float* x, int64_t height, int64_t width, int64_t channels, int64_t first,
                    int64_t count, float* transformed) {
  const int64_t columns = (width + 3) / 4, position = count * columns * channels;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < columns; ++j, transformed += channels) {
      const int64_t top = 4 * (first + i) - 1, left = 4 * j - 1;
      for (int64_t c = 0; c < channels; c += lanes) {
        const int64_t size = std::min(lanes, channels - c);
        Floats d[36], half[36];
        for (int64_t y = 0; y < 6; ++y)
          for (int64_t z = 0; z < 6; ++z) {
            const int64_t row = top + y, column = left + z;
            const bool inside = row >= 0 && row < height && column >= 0 && column < width;
            const float* from = x + (row * width + column) * channels + c;
            d[6 * y + z] = !inside ? Floats{} : size == lanes ? load(from) : load_some(from, size);
          }
        for (int z = 0; z < 6; ++z) winograd_in(d + z, half + z, 6, 6);
        for (int y = 0; y < 6; ++y) winograd_in(half + 6 * y, d + 6 * y, 1, 1);
        for (int64_t p = 0; p < 36; ++p) {
          float* to = transformed + p * position + c;
          if (size == lanes)
            store(to, d[p]);
          else
            store_some(to, d[p], size);
        }
      }
    }
}

void winograd_output(const float* const* m, int64_t height, int64_t width, int64_t channels,
                     int64_t first, int64_t count, const float* modulation, float* out) {
  const int64_t columns = (width + 3) / 4;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t top = 4 * (first + i), left = 4 * j, at = (i * columns + j) * channels;
      const int64_t rows = std::min<int64_t>(4, height - top),
                    used = std::min<int64_t>(4, width - left);
      for (int64_t c = 0; c < channels; c += lanes) {
        const int64_t size = std::min(lanes, channels - c);
        const auto get = [&](const float* p) {
          return size == lanes ? load(p) : load_some(p, size);
        };
        Floats products[36], half[24], result[16];
        for (int64_t p = 0; p < 36; ++p) products[p] = get(m[p] + at + c);
        for (int z = 0; z < 6; ++z) winograd_out(products + z, half + z, 6, 6);
        for (int y = 0; y < 4; ++y) winograd_out(half + 6 * y, result + 4 * y, 1, 1);
        for (int64_t y = 0; y < rows; ++y)
          for (int64_t z = 0; z < used; ++z) {
            float* to = out + ((top + y) * width + left + z) * channels + c;
            Floats v = result[4 * y + z];
            v = modulation != nullptr ? plain_silu(v * get(modulation + c)) : get(to) + v;
            if (size == lanes)
              store(to, v);
            else
              store_some(to, v, size);
          }
      }
    }
}

template <class T>
void expand(const T* compact, int64_t rows, int64_t block, const float* factors, float* out) {
  // Factors that vectors can be multiplied with: they repeat after `period`.
  const int64_t period = std::lcm(block, lanes);
  float repeated[max_block * lanes];
  for (int64_t i = 0; i < period; ++i) repeated[i] = factors[i % block];
  const int64_t size = rows * block;
  int64_t i = 0;
  for (; i + period <= size; i += period)
    for (int64_t k = 0; k < period; k += lanes)
      store(out + i + k, load(compact + i + k) * load(repeated + k));
  for (int64_t k = 0; i < size; i += lanes, k += lanes) {
    const int64_t rest = std::min(lanes, size - i);
    const Floats v = (rest == lanes ? load(compact + i) : load_some(compact + i, rest));
    store_some(out + i, v * load(repeated + k), rest);
  }
}

constexpr Kernels all_kernels = {activation_kernels<float>(),
                                 activation_kernels<Bf16>(),
                                 linear,
                                 winograd_input,
                                 winograd_output,
                                 expand<Half>,
                                 expand<int8_t>};

}  // namespace
}  // namespace edm2::inference_kernels
