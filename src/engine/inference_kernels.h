// The element-wise passes between the convolutions of the network in inference, on raw memory and
// for several instruction sets, all of which give the same bits. Activations are in channels-last
// order, float32 (float) or bfloat16 (Bf16): `pixels` times `channels` elements. Each function
// works on the part of the tensor that its pointers begin; the caller splits the work.
//
// Clipping (the original's clip_act) is done by whoever reads a tensor next: `limit` is where its
// values end, infinity for none. Factors that the convolutions behind can take (mp_silu's 1/0.596,
// the weights of mp_sum) are in their weights, so that silu here is plain x sigmoid(x).
//
// No torch headers: see vector_math.h.
#pragma once

#include <cstdint>

#include "core/bf16.h"

namespace edm2::inference_kernels {

template <class T>
struct ActivationKernels {
  /// normalized = x / (1e-4 + RMS over the channels); kept = keep normalized, activated =
  /// silu(normalized).
  void (*pixel_norm_silu)(const T* x, int64_t pixels, int64_t channels, float limit, float keep,
                          T* kept, T* activated);
  /// kept = keep x (kept may be null), activated = silu(x).
  void (*silu)(const T* x, int64_t size, float limit, float keep, T* kept, T* activated);
  /// joined = [weight_a a, weight_b b] along the channels; kept = keep joined, activated =
  /// silu(joined).
  void (*cat_silu)(const T* a, const T* b, int64_t pixels, int64_t channels_a, int64_t channels_b,
                   float limit_a, float limit_b, float weight_a, float weight_b, float keep,
                   T* kept, T* activated);
  /// activated = silu(y c), c[channels] the same for all pixels; may work in place.
  void (*modulated_silu)(const T* y, const float* c, int64_t pixels, int64_t channels,
                         T* activated);
  /// The four phases of a convolution behind an upsampling, y[(rows + 1), (width + 1), 4 channels]
  /// with phase (py, px) of pixel (i, j) at (i + py, j + px), taken apart into activated[2 rows, 2
  /// width, channels], with c as in modulated_silu.
  void (*modulated_silu_of_phases)(const T* y, const float* c, int64_t rows, int64_t width,
                                   int64_t channels, T* activated);
  /// Down: out = scale times the sum of 2x2 pixels; rows_out rows of width_out pixels.
  void (*sum_2x2)(const T* x, int64_t rows_out, int64_t width_out, int64_t channels, float limit,
                  float scale, T* out);
  /// Up: each of rows x width pixels, times scale, four times.
  void (*spread_2x2)(const T* x, int64_t rows, int64_t width, int64_t channels, float limit,
                     float scale, T* out);
  /// In place.
  void (*clip)(T* x, int64_t size, float limit);
  /// qkv[pixels, 3, heads, depth], in place: each vector over the depth normalised, those of the
  /// keys times k_scale.
  void (*normalize_qkv)(T* qkv, int64_t pixels, int64_t heads, int64_t depth, float k_scale);
};

struct Kernels {
  static constexpr int64_t worth_a_thread = 16384;  ///< elements of a tensor
  ActivationKernels<float> f32;
  ActivationKernels<Bf16> bf16;
  /// out[r, o] = sum over i of x[r, i] w[o, i] for `outputs` rows of w; out has out_stride elements
  /// from row to row. A row of x gives the same bits whatever other rows there are.
  void (*linear)(const float* x, const float* w, int64_t rows, int64_t outputs, int64_t inputs,
                 int64_t out_stride, float* out);
  /// Winograd's F(4x4, 3x3): B^T d B of the tiles of `count` rows of tiles, from row of tiles
  /// `first` of x[height, width, channels] with a padding of 1. transformed[36, count * columns,
  /// channels] with columns = ceil(width / 4).
  void (*winograd_input)(const float* x, int64_t height, int64_t width, int64_t channels,
                         int64_t first, int64_t count, float* transformed);
  /// A^T m A of the 36 products m[p][count * columns, channels], likewise: with c[channels],
  /// out[height, width, channels] = silu(c times it), else it is added to out.
  void (*winograd_output)(const float* const* m, int64_t height, int64_t width, int64_t channels,
                          int64_t first, int64_t count, const float* c, float* out);
  /// out[rows, block] = compact[rows, block] times factors[block], block <= max_block.
  void (*expand_half)(const Half* compact, int64_t rows, int64_t block, const float* factors,
                      float* out);
  void (*expand_int8)(const int8_t* compact, int64_t rows, int64_t block, const float* factors,
                      float* out);
};

constexpr int64_t max_block = 64;

const Kernels& portable();
const Kernels& avx2();
const Kernels& avx512();

/// Those for this processor (and EDM2_CPU).
const Kernels& best();

}  // namespace edm2::inference_kernels
