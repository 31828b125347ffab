/// The training loss of EDM2 with learned uncertainty (arXiv 2312.02696, Eq. 14-16 and 21).
#pragma once

#include "edm2/core/random.h"
#include "edm2/nn/network.h"

namespace edm2 {

/// The loss, and the noise levels that it belongs to.
struct LossTerms {
  Tensor loss;   ///< [N,C,H,W] float32, not reduced
  Tensor sigma;  ///< [N,1,1,1] noise levels that were drawn
};

/// images: [N,C,H,W] float32 latents on the network's device; labels: [N,K] or undefined.
/// Draws randn [N,1,1,1], then randn_like(images), with `draw`.
LossTerms edm2_loss(Precond& network, const Tensor& images, const Tensor& labels,
                    const LossOptions& options, const DrawNormal& draw);
/// The same, of images [N,C,H,W], with the device's default generator.
LossTerms edm2_loss(Precond& network, const Tensor& images, const Tensor& labels,
                    const LossOptions& options);

}  // namespace edm2
