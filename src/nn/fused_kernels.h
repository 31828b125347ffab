// The element-wise chains of the network in training, forward and backward, on raw memory and for
// several instruction sets, all of which give the same bits. Activations are in channels-last
// order: `pixels` times `channels` elements, float32 (float) or bfloat16 (Bf16). Each
// function works on the part of the tensor that its pointers begin; the caller splits the work.
//
// No torch headers: see vector_math.h.
#pragma once

#include <cstdint>

#include "core/bf16.h"

namespace edm2::fused_kernels {

/// Pixels of more channels are left to libtorch's operators.
constexpr int64_t max_channels = 4096;

/// Kernels for activations of type T. Gradients have the type of what they belong to.
template <class T>
struct ActivationKernels {
  /// normalized = x / (1e-4 + RMS over the channels), activated = mp_silu(normalized).
  void (*pixel_norm_silu)(const T* x, int64_t pixels, int64_t channels, T* normalized,
                          T* activated);
  /// grad_normalized may be null.
  void (*pixel_norm_silu_backward)(const T* x, const T* grad_normalized, const T* grad_activated,
                                   int64_t pixels, int64_t channels, T* grad_x);

  void (*silu)(const T* x, int64_t size, T* activated);
  /// grad_x = grad_beside + d mp_silu(x) grad_activated; grad_beside may be null.
  void (*silu_backward)(const T* x, const T* grad_beside, const T* grad_activated, int64_t size,
                        T* grad_x);

  /// joined = [weight_a a, weight_b b] along the channels, activated = mp_silu(joined).
  void (*cat_silu)(const T* a, const T* b, int64_t pixels, int64_t channels_a, int64_t channels_b,
                   float weight_a, float weight_b, T* joined, T* activated);
  void (*cat_silu_backward)(const T* a, const T* b, const T* grad_joined, const T* grad_activated,
                            int64_t pixels, int64_t channels_a, int64_t channels_b, float weight_a,
                            float weight_b, T* grad_a, T* grad_b);

  /// activated = mp_silu(y * c), c[channels] the same for all pixels.
  void (*modulated_silu)(const T* y, const float* c, int64_t pixels, int64_t channels,
                         T* activated);
  /// Adds the gradient of c over these pixels to grad_c[channels].
  void (*modulated_silu_backward)(const T* y, const float* c, const T* grad_activated,
                                  int64_t pixels, int64_t channels, T* grad_y, float* grad_c);

  /// sum = weight_a a + weight_b b, clipped to +-limit; true if anything was.
  bool (*sum_clip)(const T* a, const T* b, int64_t size, float weight_a, float weight_b,
                   float limit, T* sum);
  /// Nothing passes where |sum| has reached the limit; `sum` may be null if it has nowhere.
  void (*sum_clip_backward)(const T* sum, const T* grad, int64_t size, float weight_a,
                            float weight_b, float limit, T* grad_a, T* grad_b);

  /// Down: out[C] = scale times the sum of 2x2 pixels; rows_out rows of width_out pixels.
  void (*sum_2x2)(const T* x, int64_t rows_out, int64_t width_out, int64_t channels, float scale,
                  T* out);
  /// Up: each of rows x width pixels, times scale, four times.
  void (*spread_2x2)(const T* x, int64_t rows, int64_t width, int64_t channels, float scale,
                     T* out);

  /// qkv[pixels, heads, depth, 3] -> q, k, v[heads, pixels, depth] (`stride` pixels from head to
  /// head), each vector over the depth normalised, k times k_scale.
  void (*split_qkv)(const T* qkv, int64_t pixels, int64_t heads, int64_t depth, int64_t stride,
                    float k_scale, T* q, T* k, T* v);
  void (*split_qkv_backward)(const T* qkv, const T* grad_q, const T* grad_k, const T* grad_v,
                             int64_t pixels, int64_t heads, int64_t depth, int64_t stride,
                             float k_scale, T* grad_qkv);

  /// The weights that a layer multiplies with: rows of in_channels x taps floats, in memory as
  /// [in_channels][taps], are divided by divisor = 1e-4 + their RMS, multiplied by factor and
  /// written as [taps][in_channels]. With `force` the rows themselves are normalised first.
  void (*effective_weight)(float* weight, int64_t rows, int64_t in_channels, int64_t taps,
                           bool force, float factor, T* effective);
  /// The gradient of the rows, and each row's part of the factor's gradient. `transposed`:
  /// grad_effective is in the order of the effective weights; otherwise in that of `weight`.
  void (*effective_weight_backward)(const float* weight, const T* grad_effective, bool transposed,
                                    int64_t rows, int64_t in_channels, int64_t taps, float factor,
                                    float* grad_weight, float* grad_factor);
};

struct Kernels {
  static constexpr int64_t worth_a_thread = 8192;  ///< elements of a tensor
  ActivationKernels<float> f32;
  ActivationKernels<Bf16> bf16;
  /// What effective_weight() multiplies the elements of each row with: factor over its divisor.
  void (*row_factors)(const float* weight, int64_t rows, int64_t size, float factor,
                      float* row_factors);
  void (*row_factors_of_half)(const Half* weight, int64_t rows, int64_t size, float factor,
                              float* row_factors);
};

const Kernels& portable();
const Kernels& avx2();
const Kernels& avx512();

/// Those for this processor (and EDM2_CPU).
const Kernels& best();

}  // namespace edm2::fused_kernels
