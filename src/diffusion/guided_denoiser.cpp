#include "diffusion/guided_denoiser.h"

#include <ATen/ATen.h>

namespace edm2 {

bool GuidanceInterval::contains(double sigma) const {
  constexpr double tolerance = 1e-6;
  return sigma > low * (1 + tolerance) && sigma <= high * (1 + tolerance);
}

Tensor GuidedDenoiser::operator()(const Tensor& x, const NoiseLevel& level) const {
  const Tensor main = net_.denoise(x, level.t, labels_).to(options_.dtype);
  if (!guides_at(level.sigma)) return main;
  const Tensor guide = gnet_.denoise(x, level.t, labels_).to(options_.dtype);
  return at::lerp(guide, main, options_.guidance);
}

}  // namespace edm2
