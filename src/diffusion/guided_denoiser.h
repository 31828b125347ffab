// What all solvers see: one denoiser, made of the main network and, where it applies, its guide.
#pragma once

#include "edm2/diffusion/sampler.h"

namespace edm2 {

/// A noise level as networks and tensors need it, and on the host.
struct NoiseLevel {
  Tensor t;      ///< 0-dim, rounded to options.dtype, on the device
  double sigma;  ///< not rounded
};

class GuidedDenoiser {
 public:
  GuidedDenoiser(Denoiser& net, Denoiser& gnet, const Tensor& labels, const SamplerOptions& options)
      : net_(net), gnet_(gnet), labels_(labels), options_(options) {}

  bool guides_at(double sigma) const {
    return options_.guidance != 1 && options_.guidance_interval.contains(sigma);
  }

  /// x: [N,C,H,W] at that noise level -> estimate of the clean images, in options.dtype.
  Tensor operator()(const Tensor& x, const NoiseLevel& level) const;

 private:
  Denoiser& net_;
  Denoiser& gnet_;
  const Tensor& labels_;
  const SamplerOptions& options_;
};

}  // namespace edm2
