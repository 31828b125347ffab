#include "edm2/diffusion/loss.h"

#include <ATen/ATen.h>

namespace edm2 {

LossTerms edm2_loss(Precond& network, const Tensor& images, const Tensor& labels,
                    const LossOptions& options, const DrawNormal& draw) {
  const double sd = options.sigma_data;
  const Tensor rnd_normal = draw(at::empty({images.size(0), 1, 1, 1}, images.options()));
  const Tensor sigma = (rnd_normal * options.P_std + options.P_mean).exp();  // Eq. 16
  const Tensor weight = (sigma.pow(2) + sd * sd) / (sigma * sd).pow(2);      // Eq. 15
  const Tensor noise = draw(images) * sigma;
  const auto [denoised, logvar] =
      network.forward(images + noise, sigma, labels, /*return_logvar=*/true);
  const Tensor loss = (weight / logvar.exp()) * (denoised - images).pow(2) + logvar;  // Eq. 21
  return {loss, sigma};
}

LossTerms edm2_loss(Precond& network, const Tensor& images, const Tensor& labels,
                    const LossOptions& options) {
  return edm2_loss(network, images, labels, options,
                   [](const Tensor& like) { return at::randn_like(like); });
}

}  // namespace edm2
