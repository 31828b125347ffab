/// The one interface between networks and samplers.
#pragma once

#include <c10/core/Device.h>

#include "edm2/core/tensor.h"

namespace edm2 {

/// D(x; sigma): the expected clean image given x = image + sigma * noise (arXiv 2206.00364, Eq. 2).
class Denoiser {
 public:
  virtual ~Denoiser() = default;

  /// x: [N,C,H,W] of the network's sizes; sigma: [N] or 0-dim (broadcast); labels: [N,K], or
  /// undefined for none (an unconditional network ignores them, a conditional one uses zeros).
  /// Returns float32 [N,C,H,W] on x's device.
  virtual Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) = 0;

  /// What the network was made for: channels, height and width, and classes (0 = unconditional).
  virtual int64_t img_channels() const = 0;
  virtual int64_t img_resolution() const = 0;
  virtual int64_t label_dim() const = 0;
  /// Where it computes.
  virtual c10::Device device() const = 0;
};

}  // namespace edm2
