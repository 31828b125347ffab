#include "edm2/diffusion/sampler.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// The noise level is inside [S_min, S_max], compared in the level's own precision.
bool churns_at(const Tensor& t, const SamplerOptions& options) {
  if (options.S_churn <= 0) return false;
  if (t.scalar_type() == at::kDouble) {
    const double level = t.item<double>();
    return options.S_min <= level && level <= options.S_max;
  }
  const float level = t.item<float>();
  return static_cast<float>(options.S_min) <= level && level <= static_cast<float>(options.S_max);
}

}  // namespace

void validate(const SamplerOptions& options) {
  if (options.num_steps < 1) throw UsageError("--steps must be at least 1");
  if (!(options.sigma_min > 0) || !(options.rho > 0))
    throw UsageError("--sigma_min and --rho must be greater than 0");
  if (!(options.sigma_min < options.sigma_max))
    throw UsageError("--sigma_min must be less than --sigma_max");
}

Tensor noise_levels(const SamplerOptions& options, c10::Device device) {
  const auto tensor_options = at::TensorOptions().dtype(options.dtype).device(device);
  if (options.num_steps == 1)  // (i / (N - 1)) is 0 / 0 there: the one step starts at sigma_max
    return at::cat(
        {at::full({1}, options.sigma_max, tensor_options), at::zeros({1}, tensor_options)});
  const double a = std::pow(options.sigma_max, 1 / options.rho);
  const double b = std::pow(options.sigma_min, 1 / options.rho) - a;
  const Tensor i = at::arange(options.num_steps, tensor_options);
  const Tensor t = i.div(static_cast<double>(options.num_steps - 1)).mul(b).add(a).pow(options.rho);
  return at::cat({t, at::zeros({1}, tensor_options)});
}

Tensor edm_sampler(Denoiser& net, Denoiser& gnet, const Tensor& noise, const Tensor& labels,
                   const SamplerOptions& options, const NoiseSource& randn_like,
                   const StepCallback& on_step) {
  c10::NoGradGuard no_grad;
  const auto denoise = [&](const Tensor& x, const Tensor& t) {
    const Tensor main = net.denoise(x, t, labels).to(options.dtype);
    if (options.guidance == 1) return main;
    const Tensor guide = gnet.denoise(x, t, labels).to(options.dtype);
    return at::lerp(guide, main, options.guidance);
  };

  const Tensor levels = noise_levels(options, noise.device());
  const Tensor sigmas = levels.to(at::kCPU, at::kDouble);  // for on_step: read the device once
  const double max_gamma = std::numbers::sqrt2 - 1;
  const int64_t n = options.num_steps;
  Tensor x = noise.to(options.dtype) * levels[0];
  for (int64_t i = 0; i < n; ++i) {
    const Tensor t_cur = levels[i], t_next = levels[i + 1];

    // Churn: raise the noise level a little.
    Tensor t_hat = t_cur, x_hat = x;
    if (churns_at(t_cur, options)) {
      const double gamma = std::min(options.S_churn / static_cast<double>(n), max_gamma);
      t_hat = t_cur + t_cur * gamma;
      x_hat = x + (t_hat.pow(2) - t_cur.pow(2)).sqrt() * options.S_noise * randn_like(x);
    }

    // Euler step, then Heun's correction except in the step to sigma 0.
    Tensor denoised = denoise(x_hat, t_hat);
    const Tensor d_cur = (x_hat - denoised) / t_hat;
    x = x_hat + (t_next - t_hat) * d_cur;
    if (i < n - 1) {
      denoised = denoise(x, t_next);
      const Tensor d_prime = (x - denoised) / t_next;
      x = x_hat + (t_next - t_hat) * (d_cur * 0.5 + d_prime * 0.5);
    }
    if (on_step) on_step({i, sigmas[i + 1].item<double>(), x, denoised});
  }
  return x;
}

}  // namespace edm2
