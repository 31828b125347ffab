// Solvers that look at one step at a time (arXiv 2206.00364, Algorithm 2): Heun's method and its
// first-order half, Euler's, both with churn. Operations and their order are the original's.
#include <ATen/ATen.h>

#include <algorithm>
#include <numbers>

#include "diffusion/solvers.h"

namespace edm2 {
namespace {

/// The noise level is inside [S_min, S_max], compared in the level's own precision.
bool churns_at(const Tensor& t, const SamplerOptions& options) {
  if (options.S_churn <= 0) return false;
  const auto rounded = [&](double bound) {
    return options.dtype == at::kDouble ? bound : static_cast<double>(static_cast<float>(bound));
  };
  const double level = t.item<double>();
  return rounded(options.S_min) <= level && level <= rounded(options.S_max);
}

/// Raises the noise level of x a little: the new level and x there.
std::pair<NoiseLevel, Tensor> churn(const SamplingProblem& problem, const NoiseLevel& level,
                                    const Tensor& x) {
  const SamplerOptions& options = problem.options;
  const double gamma =
      std::min(options.S_churn / static_cast<double>(options.num_steps), std::numbers::sqrt2 - 1);
  const Tensor t_hat = level.t + level.t * gamma;
  const Tensor x_hat =
      x + (t_hat.pow(2) - level.t.pow(2)).sqrt() * options.S_noise * problem.randn_like(x);
  return {{t_hat, level.sigma * (1 + gamma)}, x_hat};
}

Tensor solve(const SamplingProblem& problem, Tensor x, bool second_order) {
  const int64_t n = problem.options.num_steps;
  for (int64_t i = 0; i < n; ++i) {
    const NoiseLevel& next = problem.levels[static_cast<size_t>(i) + 1];
    NoiseLevel level = problem.levels[static_cast<size_t>(i)];
    if (churns_at(level.t, problem.options)) std::tie(level, x) = churn(problem, level, x);

    // Euler step, then Heun's correction except in the step to sigma 0.
    Tensor denoised = problem.denoise(x, level);
    const Tensor slope = (x - denoised) / level.t;
    Tensor x_next = x + (next.t - level.t) * slope;
    if (second_order && i < n - 1) {
      denoised = problem.denoise(x_next, next);
      const Tensor slope_next = (x_next - denoised) / next.t;
      x_next = x + (next.t - level.t) * (slope * 0.5 + slope_next * 0.5);
    }
    x = x_next;
    problem.report(i, x, denoised);
  }
  return x;
}

}  // namespace

Tensor solve_heun(const SamplingProblem& problem, Tensor x) {
  return solve(problem, std::move(x), /*second_order=*/true);
}

Tensor solve_euler(const SamplingProblem& problem, Tensor x) {
  return solve(problem, std::move(x), /*second_order=*/false);
}

}  // namespace edm2
