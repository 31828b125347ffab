// The solvers behind edm_sampler(): each carries images from the highest noise level to 0.
#pragma once

#include <vector>

#include "diffusion/guided_denoiser.h"

namespace edm2 {

/// What is to be solved: dx/dsigma = (x - D(x; sigma)) / sigma (arXiv 2206.00364, Eq. 3 with Eq. 1)
/// from levels[0] to levels[num_steps] = 0.
struct SamplingProblem {
  const SamplerOptions& options;
  const GuidedDenoiser& denoise;
  const std::vector<NoiseLevel>& levels;  ///< num_steps + 1
  const NoiseSource& randn_like;
  const StepCallback& on_step;

  /// Tells the caller of the sampler that step i has ended at x.
  void report(int64_t i, const Tensor& x, const Tensor& denoised) const {
    if (on_step) on_step({i, levels[static_cast<size_t>(i) + 1].sigma, x, denoised});
  }
};

/// x: [N,C,H,W] in options.dtype, at levels[0]. Returns the images at sigma 0.
using SolveFunction = Tensor(const SamplingProblem& problem, Tensor x);

SolveFunction solve_heun, solve_euler;                      // one_step.cpp
SolveFunction solve_dpmpp_2m, solve_dpmpp_3m, solve_unipc;  // multistep.cpp

}  // namespace edm2
