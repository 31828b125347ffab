// Layers of the autoencoder. They are constructed by one traversal that asks for each parameter by
// name and shape, so that the list of parameters and the network cannot disagree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "edm2/core/tensor.h"
#include "edm2/nn/autoencoder_kl.h"

namespace edm2::autoencoder {

/// Returns the parameter of that name and shape, float32 on the device of the computation; an
/// undefined tensor where names and shapes alone are wanted.
using TakeParameter = std::function<Tensor(const std::string& name, at::IntArrayRef shape)>;

/// Convolution with bias; weights in channels-last order.
struct Conv {
  Conv(const TakeParameter& take, const std::string& name, int64_t in_channels,
       int64_t out_channels, int64_t kernel);
  /// x[N,in,H,W] -> [N,out,H,W].
  Tensor operator()(const Tensor& x) const;

  Tensor weight, bias;
};

/// Group normalisation, eps 1e-6.
struct Norm {
  Norm(const TakeParameter& take, const std::string& name, int64_t channels, int64_t groups);
  /// x[N,C,H,W] -> the same shape.
  Tensor operator()(const Tensor& x) const;
  /// scale and shift [N,C,1,1] so that scale * x + shift is the normalised x.
  std::pair<Tensor, Tensor> affine(const Tensor& x) const;

  int64_t groups;
  Tensor weight, bias;
};

/// conv(silu(norm(x))), the result added to `sum` in place if that is defined. In strips of rows
/// where x is larger than strip_bytes.
Tensor norm_silu_conv(const Tensor& x, const Norm& norm, const Conv& conv, int64_t strip_bytes,
                      Tensor sum = {});

/// shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))).
class ResidualBlock {
 public:
  ResidualBlock(const TakeParameter& take, const std::string& name, int64_t in_channels,
                int64_t out_channels, int64_t groups);
  /// May overwrite x.
  Tensor operator()(Tensor x, int64_t strip_bytes) const;

 private:
  Norm norm1_;
  Conv conv1_;
  Norm norm2_;
  Conv conv2_;
  std::optional<Conv> shortcut_;
};

/// x + self-attention with one head over all pixels. May overwrite x.
class Attention {
 public:
  Attention(const TakeParameter& take, const std::string& name, int64_t channels, int64_t groups);
  Tensor operator()(Tensor x, int64_t strip_bytes) const;

 private:
  struct Linear {
    Linear(const TakeParameter& take, const std::string& name, int64_t channels);
    Tensor operator()(const Tensor& x) const;
    Tensor weight, bias;
  };

  Norm norm_;
  Linear query_, key_, value_, out_;
};

/// 3x3 convolution with stride 2 of x padded by a zero row below and a zero column on the right.
class Downsample {
 public:
  Downsample(const TakeParameter& take, const std::string& name, int64_t channels)
      : conv_(take, name, channels, channels, 3) {}
  Tensor operator()(const Tensor& x, int64_t strip_bytes) const;

 private:
  Conv conv_;
};

/// 3x3 convolution of x with each pixel repeated 2x2 times. Computed as the transposed convolution
/// with stride 2 that is equal to it, in less than half of the time.
class Upsample {
 public:
  Upsample(const TakeParameter& take, const std::string& name, int64_t channels);
  Tensor operator()(const Tensor& x, int64_t strip_bytes) const;

 private:
  Tensor weight_, bias_;  // [in, out, 4, 4]
};

/// Residual block, attention, residual block.
class MidBlock {
 public:
  MidBlock(const TakeParameter& take, const std::string& name, int64_t channels,
           const AutoencoderOptions& options);
  Tensor operator()(Tensor x, int64_t strip_bytes) const;

 private:
  ResidualBlock first_;
  std::optional<Attention> attention_;
  ResidualBlock second_;
};

}  // namespace edm2::autoencoder
