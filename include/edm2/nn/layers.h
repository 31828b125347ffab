/// Magnitude-preserving building blocks of EDM2 (arXiv 2312.02696, Appendix B).
///
/// Shapes: N images, C channels, H x W pixels. Activations are float32, bfloat16 or float16;
/// weights are kept and normalised in float32 whatever the activations are.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Whether weights are drawn from libtorch's default CPU generator or left to be loaded.
enum class Init { random, none };

/// What a block does to the resolution.
enum class Resample { keep, down, up };

/// Scales x so that the RMS over `dims` (default: all but the first) is 1, up to eps:
/// x / (eps + ||x|| / sqrt(K)), K = number of reduced elements. The norm is float32 for every
/// dtype.
Tensor normalize(const Tensor& x, at::OptionalIntArrayRef dims = at::nullopt, double eps = 1e-4);

/// Halves or doubles the resolution of x[N,C,H,W] with a separable filter of even length.
Tensor resample(const Tensor& x, const std::vector<double>& filter, Resample mode);

/// silu(x) / 0.596 (Eq. 81), of any shape.
Tensor mp_silu(const Tensor& x);

/// lerp(a, b, t) / sqrt((1-t)^2 + t^2): unit-magnitude, uncorrelated inputs give a unit-magnitude
/// output (Eq. 88). a, b broadcast; t in [0, 1].
Tensor mp_sum(const Tensor& a, const Tensor& b, double t);

/// Concatenation along the channels of a[N,Ca,...] and b[N,Cb,...], weighted so that each input
/// contributes by t irrespective of its number of channels (Eq. 103).
Tensor mp_cat(const Tensor& a, const Tensor& b, double t);
/// What mp_cat multiplies inputs of that many channels by.
std::pair<double, double> mp_cat_weights(int64_t channels_a, int64_t channels_b, double t);

/// A parameter or buffer of a network; `tensor` points into the layer that owns it.
struct NamedTensor {
  std::string name;
  Tensor* tensor;
  bool is_buffer;
};

/// What a forward pass may be asked to do besides inference.
struct ForwardContext {
  /// Force weight normalisation and apply dropout.
  bool training = false;
  /// The weights are used as they are: normalisation and gains are baked in (evaluation only).
  bool folded = false;
  /// Replaces at::dropout(y, p) where set (recorded masks in tests).
  std::function<Tensor(const Tensor& y, double p)> dropout;
  /// Told every named layer's output (summaries, tests), e.g. "unet.enc.16x16_block0".
  std::function<void(const std::string& name, const Tensor& output)> observe;

  /// Tells `observe`, if there is one, an output of any shape.
  void report(const std::string& name, const Tensor& output) const {
    if (observe) observe(name, output);
  }
};

/// Random Fourier features of a scalar: sqrt(2) cos(2 pi (f x + phi)) (Eq. 75).
class MPFourier {
 public:
  explicit MPFourier(int64_t channels, Init init = Init::random);
  /// x[N] -> [N, channels], in x's dtype; computed in float32.
  Tensor forward(const Tensor& x) const;
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);

 private:
  Tensor freqs_, phases_;  // [channels]
};

/// What a layer with these weights [out, in, ...] multiplies with in evaluation: normalised weights
/// over the square root of the fan-in (Eq. 47), times the gain if there is one; float32.
Tensor effective_weight(const Tensor& weight);
Tensor effective_weight(const Tensor& weight, const Tensor& gain);

/// Convolution or linear layer without bias whose weights are normalised on the fly (Eq. 47) and,
/// in training, kept normalised by force (Eq. 66).
class MPConv {
 public:
  /// kernel 0: linear layer, weight [out, in]; 1 or 3: convolution, weight [out, in, kernel,
  /// kernel].
  MPConv(int64_t in_channels, int64_t out_channels, int64_t kernel, Init init = Init::random);

  /// x[N,in] -> [N,out] (linear) or x[N,in,H,W] -> [N,out,H,W], in x's dtype.
  Tensor forward(const Tensor& x, const ForwardContext& context);
  /// The same shapes, times a learned 0-dim gain.
  Tensor forward(const Tensor& x, const Tensor& gain, const ForwardContext& context);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);

 private:
  /// What to multiply x with; gain may be undefined. In training the weights themselves are
  /// normalised first (Eq. 66).
  Tensor weight_for(const Tensor& x, const Tensor& gain, const ForwardContext& context);
  Tensor apply(const Tensor& x, const Tensor& weight) const;

  Tensor weight_;
};

}  // namespace edm2
