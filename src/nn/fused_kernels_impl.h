// The kernels of fused_kernels.h, once for all instruction sets: each of fused_kernels_*.cpp
// includes this file and makes a table of it.
#pragma once

#include <algorithm>
#include <cmath>

#include "nn/fused_kernels.h"
#include "nn/vector_loops.h"

namespace edm2::fused_kernels {
namespace {

constexpr float silu_scale = 1.f / 0.596f;

EDM2_INLINE Floats mp_silu(Floats x) { return x * sigmoid(x) * silu_scale; }
EDM2_INLINE Floats mp_silu_slope(Floats x) {
  const Floats s = sigmoid(x);
  return s * (1.f + x * (1.f - s)) * silu_scale;
}

/// What the gradient of a normalised vector takes off along the vector x itself:
/// grad_x = g / divisor - x * (projection(...) * <g, x>).
EDM2_INLINE float projection(float squares, float divisor, int64_t size) {
  if (squares == 0) return 0;
  return 1 / (std::sqrt(squares) * std::sqrt(static_cast<float>(size)) * divisor * divisor);
}

template <class T>
void pixel_norm_silu(const T* x, int64_t pixels, int64_t channels, T* normalized, T* activated) {
  for (int64_t p = 0; p < pixels; ++p) {
    const float inverse = 1 / divisor_of(sum_of_squares(x, channels), channels);
    vectors(channels, [&](auto get, auto put) {
      const Floats v = get(x) * inverse;
      put(normalized, v);
      put(activated, mp_silu(v));
    });
    x += channels, normalized += channels, activated += channels;
  }
}

template <class T>
void pixel_norm_silu_backward(const T* x, const T* grad_normalized, const T* grad_activated,
                              int64_t pixels, int64_t channels, T* grad_x) {
  for (int64_t p = 0; p < pixels; ++p) {
    const float squares = sum_of_squares(x, channels);
    const float divisor = divisor_of(squares, channels), inverse = 1 / divisor;
    const auto gradient = [&](auto get, Floats v) {
      Floats g = mp_silu_slope(v * inverse) * get(grad_activated);
      if (grad_normalized != nullptr) g += get(grad_normalized);
      return g;
    };
    float kept[max_channels];
    Floats products{};
    vectors(channels, [&](auto get, auto put) {
      const Floats v = get(x), g = gradient(get, v);
      products += g * v;
      put(kept, g);
    });
    const float along = sum(products) * projection(squares, divisor, channels);
    vectors(channels,
            [&](auto get, auto put) { put(grad_x, get(kept) * inverse - get(x) * along); });
    x += channels, grad_activated += channels, grad_x += channels;
    if (grad_normalized != nullptr) grad_normalized += channels;
  }
}

template <class T>
void silu(const T* x, int64_t size, T* activated) {
  vectors(size, [&](auto get, auto put) { put(activated, mp_silu(get(x))); });
}

template <class T>
void silu_backward(const T* x, const T* grad_beside, const T* grad_activated, int64_t size,
                   T* grad_x) {
  vectors(size, [&](auto get, auto put) {
    Floats g = mp_silu_slope(get(x)) * get(grad_activated);
    if (grad_beside != nullptr) g += get(grad_beside);
    put(grad_x, g);
  });
}

template <class T>
void cat_silu(const T* a, const T* b, int64_t pixels, int64_t channels_a, int64_t channels_b,
              float weight_a, float weight_b, T* joined, T* activated) {
  const auto part = [&](const T*& from, int64_t channels, float weight) {
    vectors(channels, [&](auto get, auto put) {
      const Floats v = get(from) * weight;
      put(joined, v);
      put(activated, mp_silu(v));
    });
    from += channels, joined += channels, activated += channels;
  };
  for (int64_t p = 0; p < pixels; ++p) {
    part(a, channels_a, weight_a);
    part(b, channels_b, weight_b);
  }
}

template <class T>
void cat_silu_backward(const T* a, const T* b, const T* grad_joined, const T* grad_activated,
                       int64_t pixels, int64_t channels_a, int64_t channels_b, float weight_a,
                       float weight_b, T* grad_a, T* grad_b) {
  const auto part = [&](const T*& from, T*& grad, int64_t channels, float weight) {
    vectors(channels, [&](auto get, auto put) {
      Floats g = mp_silu_slope(get(from) * weight) * get(grad_activated);
      if (grad_joined != nullptr) g += get(grad_joined);
      put(grad, g * weight);
    });
    from += channels, grad += channels, grad_activated += channels;
    if (grad_joined != nullptr) grad_joined += channels;
  };
  for (int64_t p = 0; p < pixels; ++p) {
    part(a, grad_a, channels_a, weight_a);
    part(b, grad_b, channels_b, weight_b);
  }
}

template <class T>
void modulated_silu(const T* y, const float* c, int64_t pixels, int64_t channels, T* activated) {
  for (int64_t p = 0; p < pixels; ++p) {
    vectors(channels, [&](auto get, auto put) { put(activated, mp_silu(get(y) * get(c))); });
    y += channels, activated += channels;
  }
}

template <class T>
void modulated_silu_backward(const T* y, const float* c, const T* grad_activated, int64_t pixels,
                             int64_t channels, T* grad_y, float* grad_c) {
  for (int64_t p = 0; p < pixels; ++p) {
    vectors(channels, [&](auto get, auto put) {
      const Floats v = get(y), by = get(c);
      const Floats g = mp_silu_slope(v * by) * get(grad_activated);
      put(grad_y, g * by);
      put(grad_c, get(grad_c) + g * v);
    });
    y += channels, grad_activated += channels, grad_y += channels;
  }
}

template <class T>
bool sum_clip(const T* a, const T* b, int64_t size, float weight_a, float weight_b, float limit,
              T* out) {
  Ints reached{};
  vectors(size, [&](auto get, auto put) {
    Floats v = get(a) * weight_a + get(b) * weight_b;
    reached |= (v >= limit) | (v <= -limit);
    v = v > limit ? broadcast(limit) : v;
    v = v < -limit ? broadcast(-limit) : v;
    put(out, v);
  });
  int32_t any = 0;
  for (int i = 0; i < lanes; ++i) any |= reached[i];
  return any != 0;
}

template <class T>
void sum_clip_backward(const T* out, const T* grad, int64_t size, float weight_a, float weight_b,
                       float limit, T* grad_a, T* grad_b) {
  vectors(size, [&](auto get, auto put) {
    Floats g = get(grad);
    if (out != nullptr) {
      const Floats v = get(out);
      g = (v >= limit) | (v <= -limit) ? Floats{} : g;
    }
    put(grad_a, g * weight_a);
    put(grad_b, g * weight_b);
  });
}

template <class T>
void sum_2x2(const T* x, int64_t rows_out, int64_t width_out, int64_t channels, float scale,
             T* out) {
  const int64_t row = 2 * width_out * channels;
  for (int64_t y = 0; y < rows_out; ++y, x += row)
    for (int64_t i = 0; i < width_out; ++i, x += 2 * channels, out += channels)
      vectors(channels, [&](auto get, auto put) {
        put(out, ((get(x) + get(x + channels)) + (get(x + row) + get(x + row + channels))) * scale);
      });
}

template <class T>
void spread_2x2(const T* x, int64_t rows, int64_t width, int64_t channels, float scale, T* out) {
  const int64_t row = 2 * width * channels;
  for (int64_t y = 0; y < rows; ++y, out += row)
    for (int64_t i = 0; i < width; ++i, x += channels, out += 2 * channels)
      vectors(channels, [&](auto get, auto put) {
        const Floats v = get(x) * scale;
        put(out, v);
        put(out + channels, v);
        put(out + row, v);
        put(out + row + channels, v);
      });
}

EDM2_INLINE float get_float(const float* p) { return *p; }
EDM2_INLINE float get_float(const Bf16* p) {
  const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// [depth][3] -> [3][depth].
template <class T>
EDM2_INLINE void deinterleave(const T* qkv, int64_t depth, float* out) {
  for (int64_t i = 0; i < depth; ++i)
    for (int64_t s = 0; s < 3; ++s) out[s * depth + i] = get_float(qkv + 3 * i + s);
}

template <class T>
void split_qkv(const T* qkv, int64_t pixels, int64_t heads, int64_t depth, int64_t stride,
               float k_scale, T* q, T* k, T* v) {
  T* const targets[3] = {q, k, v};
  float parts[3 * max_channels];
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t h = 0; h < heads; ++h, qkv += 3 * depth) {
      deinterleave(qkv, depth, parts);
      for (int64_t s = 0; s < 3; ++s) {
        const float* part = parts + s * depth;
        const float scale = (s == 1 ? k_scale : 1) / divisor_of(sum_of_squares(part, depth), depth);
        T* target = targets[s] + (h * stride + p) * depth;
        vectors(depth, [&](auto get, auto put) { put(target, get(part) * scale); });
      }
    }
}

template <class T>
void split_qkv_backward(const T* qkv, const T* grad_q, const T* grad_k, const T* grad_v,
                        int64_t pixels, int64_t heads, int64_t depth, int64_t stride, float k_scale,
                        T* grad_qkv) {
  const T* const sources[3] = {grad_q, grad_k, grad_v};
  float parts[3 * max_channels], grads[3 * max_channels];
  T narrow[3 * max_channels];
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t h = 0; h < heads; ++h, qkv += 3 * depth, grad_qkv += 3 * depth) {
      deinterleave(qkv, depth, parts);
      for (int64_t s = 0; s < 3; ++s) {
        const float* part = parts + s * depth;
        const T* source = sources[s] + (h * stride + p) * depth;
        const float squares = sum_of_squares(part, depth), divisor = divisor_of(squares, depth);
        const float k = s == 1 ? k_scale : 1, scale = k / divisor;
        Floats products{};
        vectors(depth, [&](auto get, auto) { products += get(source) * get(part); });
        const float along = sum(products) * k * projection(squares, divisor, depth);
        float* grad = grads + s * depth;
        vectors(depth,
                [&](auto get, auto put) { put(grad, get(source) * scale - get(part) * along); });
      }
      vectors(3 * depth, [&](auto get, auto put) { put(narrow, get(grads)); });
      for (int64_t i = 0; i < depth; ++i)
        for (int64_t s = 0; s < 3; ++s) grad_qkv[3 * i + s] = narrow[s * depth + i];
    }
}

/// out[j][i] = x[i][j] * scale for x[rows][columns].
template <class From, class To>
EDM2_INLINE void transpose(const From* x, int64_t rows, int64_t columns, float scale, To* out) {
  for (int64_t j = 0; j < columns; ++j) {
    const auto some = [&](int64_t i, int64_t count) {
      float v[lanes] = {};
      for (int64_t l = 0; l < count; ++l) v[l] = get_float(x + (i + l) * columns + j);
      return load(v) * scale;
    };
    int64_t i = 0;
    for (; i + lanes <= rows; i += lanes) store(out + j * rows + i, some(i, lanes));
    if (i < rows) store_some(out + j * rows + i, some(i, rows - i), rows - i);
  }
}

template <class T>
void effective_weight(float* weight, int64_t rows, int64_t in_channels, int64_t taps, bool force,
                      float factor, T* effective) {
  const int64_t size = in_channels * taps;
  for (int64_t r = 0; r < rows; ++r, weight += size, effective += size) {
    float squares = sum_of_squares(weight, size);
    if (force) {
      const float divisor = divisor_of(squares, size);
      Floats sums{};
      vectors(size, [&](auto get, auto put) {
        const Floats v = get(weight) / divisor;
        put(weight, v);
        sums += v * v;
      });
      squares = sum(sums);
    }
    const float scale = factor / divisor_of(squares, size);
    if (taps == 1)
      vectors(size, [&](auto get, auto put) { put(effective, get(weight) * scale); });
    else
      transpose(weight, in_channels, taps, scale, effective);
  }
}

template <class T>
void effective_weight_backward(const float* weight, const T* grad_effective, bool transposed,
                               int64_t rows, int64_t in_channels, int64_t taps, float factor,
                               float* grad_weight, float* grad_factor) {
  const int64_t size = in_channels * taps;
  // g: the gradient of the effective weights in the weight's order.
  const auto one_row = [&](const auto* g, int64_t r) {
    Floats squares{}, products{};
    vectors(size, [&](auto get, auto) {
      const Floats v = get(weight);
      squares += v * v;
      products += v * get(g);
    });
    const float square = sum(squares), product = sum(products);
    const float divisor = divisor_of(square, size), scale = factor / divisor;
    const float along = factor * product * projection(square, divisor, size);
    vectors(size,
            [&](auto get, auto put) { put(grad_weight, get(g) * scale - get(weight) * along); });
    grad_factor[r] = product / divisor;
  };
  for (int64_t r = 0; r < rows; ++r, weight += size, grad_effective += size, grad_weight += size) {
    if (!transposed) {
      one_row(grad_effective, r);
      continue;
    }
    transpose(grad_effective, taps, in_channels, 1, grad_weight);
    one_row(grad_weight, r);
  }
}

template <class T>
constexpr ActivationKernels<T> activation_kernels() {
  return {pixel_norm_silu<T>,
          pixel_norm_silu_backward<T>,
          silu<T>,
          silu_backward<T>,
          cat_silu<T>,
          cat_silu_backward<T>,
          modulated_silu<T>,
          modulated_silu_backward<T>,
          sum_clip<T>,
          sum_clip_backward<T>,
          sum_2x2<T>,
          spread_2x2<T>,
          split_qkv<T>,
          split_qkv_backward<T>,
          effective_weight<T>,
          effective_weight_backward<T>};
}

template <class T>
void row_factors(const T* weight, int64_t rows, int64_t size, float factor, float* factors) {
  for (int64_t r = 0; r < rows; ++r)
    factors[r] = factor / divisor_of(sum_of_squares(weight + r * size, size), size);
}

constexpr Kernels all_kernels = {activation_kernels<float>(), activation_kernels<Bf16>(),
                                 row_factors<float>, row_factors<Half>};

}  // namespace
}  // namespace edm2::fused_kernels
