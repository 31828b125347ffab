/// Sampling: noise levels, guidance and the second-order Heun sampler (arXiv 2206.00364, Algorithm
/// 2; guidance of arXiv 2406.02507).
#pragma once

#include <functional>
#include <limits>

#include "edm2/nn/denoiser.h"

namespace edm2 {

struct SamplerOptions {
  int64_t num_steps = 32;    ///< >= 1; the network is evaluated 2 * num_steps - 1 times
  double sigma_min = 0.002;  ///< lowest noise level, > 0
  double sigma_max = 80;     ///< highest noise level, > sigma_min
  double rho = 7;            ///< > 0; larger = more steps at low noise
  double guidance = 1;       ///< lerp weight from the guiding network to the main one; 1 = off
  double S_churn = 0;        ///< stochasticity; 0 = deterministic
  double S_min = 0, S_max = std::numeric_limits<double>::infinity();  ///< noise levels with churn
  double S_noise = 1;                                                 ///< noise inflation of churn
  /// Type of all arithmetic outside the networks; the original uses float32.
  c10::ScalarType dtype = c10::kFloat;
};

/// Throws UsageError if the numbers cannot be used.
void validate(const SamplerOptions& options);

/// num_steps + 1 noise levels from sigma_max down to sigma_min, then 0 (arXiv 2206.00364, Eq. 5),
/// computed and rounded in options.dtype: in float32 the first one is 79.9999847 for sigma_max 80.
Tensor noise_levels(const SamplerOptions& options, c10::Device device);

/// Draws noise like its argument; one stream per image.
using NoiseSource = std::function<Tensor(const Tensor&)>;

/// A view of the sampler's state after one step; valid during the call that it is given to.
struct SamplerStep {
  int64_t step;            ///< the step just made, 0 to num_steps - 1
  double sigma;            ///< noise level of x: level step + 1 of noise_levels(), 0 after the last
  const Tensor& x;         ///< [N,C,H,W] in options.dtype: noisy images; the result after the last
  const Tensor& denoised;  ///< [N,C,H,W] in options.dtype: latest guided estimate of clean images
};
using StepCallback = std::function<void(const SamplerStep&)>;

/// noise: [N,C,H,W] standard normal. labels: [N,K] or undefined. gnet guides when options.guidance
/// != 1 (may be the network itself). randn_like is called once a churned step. Returns [N,C,H,W] in
/// options.dtype. `on_step` (may be empty) is called after each of the num_steps steps.
Tensor edm_sampler(Denoiser& net, Denoiser& gnet, const Tensor& noise, const Tensor& labels,
                   const SamplerOptions& options, const NoiseSource& randn_like,
                   const StepCallback& on_step = {});

}  // namespace edm2
