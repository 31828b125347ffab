// The element-wise chains of the network, each one operator with its own gradient.
//
// On the CPU, where a gradient is wanted and activations are float32 or bfloat16, they run as one
// pass over memory forward and one backward, in channels-last order, and save nothing but their
// inputs (fused_kernels.h). Elsewhere, and in inference, they are the plain operators of layers.h,
// whose results they agree with up to rounding.
//
// Results do not depend on the number of threads.
#pragma once

#include <optional>
#include <utility>

#include "edm2/core/tensor.h"
#include "edm2/nn/layers.h"

namespace edm2 {

/// Whether this activation goes through the fused kernels.
bool is_fused(const Tensor& x);

/// A tensor that goes on in the main branch and what enters the residual branch, mp_silu of it.
using Branches = std::pair<Tensor, Tensor>;

/// x[N,C,H,W] -> itself and mp_silu(x).
Branches with_silu(const Tensor& x);
/// x[N,C,H,W] -> its pixel norm and mp_silu of that.
Branches pixel_norm_with_silu(const Tensor& x);
/// a[N,Ca,H,W], b[N,Cb,H,W] -> mp_cat(a, b, t) and mp_silu of that.
Branches mp_cat_with_silu(const Tensor& a, const Tensor& b, double t);

/// y[N,C,H,W], c[N or 1,C] float32 -> mp_silu(y * c).
Tensor modulated_silu(const Tensor& y, const Tensor& c);

/// mp_sum(a, b, t), clipped to +-limit if there is one.
Tensor mp_sum_clip(const Tensor& a, const Tensor& b, double t, std::optional<double> limit);

/// resample() with the filter [1, 1] for tensors that is_fused() takes.
Tensor resample_box(const Tensor& x, Resample mode);

struct Attention {
  Tensor q, k, v;  // [N * heads, HW, depth]
};
/// qkv[N,C,H,W] with the channels as [heads, depth, 3], for tensors that is_fused() takes: vectors
/// over the depth are normalised, k is divided by sqrt(depth).
Attention split_qkv(const Tensor& qkv, int64_t heads);

/// What a layer multiplies with in training: effective_weight(weight[, gain]) in `dtype`, in
/// channels-last order. With `force` the weight itself is normalised first (Eq. 66). float32
/// weights on the CPU only; gain may be undefined.
Tensor training_weight(const Tensor& weight, const Tensor& gain, bool force, c10::ScalarType dtype);

}  // namespace edm2
