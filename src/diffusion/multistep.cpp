// Solvers that remember the estimates of earlier steps: DPM-Solver++ (arXiv 2211.01095) and UniPC
// (arXiv 2302.04867), in data prediction with alpha = 1 and lambda = -log sigma.
//
// All steps but the last are exponential multistep formulas (exponential_weights.h). The last one,
// to sigma 0, has lambda = infinity, where only the newest estimate keeps a finite weight: it is
// the result. Heun's method ends in the same way, so that solvers differ above sigma_min only.
#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "diffusion/exponential_weights.h"
#include "diffusion/solvers.h"

namespace edm2 {
namespace {

struct MultistepMethod {
  size_t order;             ///< largest number of estimates in a prediction
  int64_t corrected_steps;  ///< so many first steps are corrected (UniC)
};

struct Estimate {
  double sigma;
  Tensor denoised;  // [N,C,H,W]
};

/// x [N,C,H,W] carried from one noise level to another, D interpolated through the estimates.
Tensor exponential_step(const Tensor& x, double sigma_from, double sigma_to,
                        std::span<const Estimate> estimates) {
  const double h = std::log(sigma_from / sigma_to);
  std::vector<double> nodes;
  for (const Estimate& e : estimates) nodes.push_back(std::log(sigma_from / e.sigma) / h);
  const auto weights = exponential_weights(h, nodes);
  // Products and sums one by one: fused ones would round differently at the end of a tensor, and
  // images must not depend on their place in the batch.
  Tensor result = x * (sigma_to / sigma_from);
  for (size_t j = 0; j < estimates.size(); ++j) result += estimates[j].denoised * weights[j];
  return result;
}

Tensor solve(const SamplingProblem& problem, Tensor x, const MultistepMethod& method) {
  const int64_t n = problem.options.num_steps;
  std::vector<Estimate> estimates;  // newest first
  Tensor x_before;                  // at the level before, from where x was predicted
  for (int64_t i = 0; i < n; ++i) {
    const NoiseLevel& level = problem.levels[static_cast<size_t>(i)];
    const double next = problem.levels[static_cast<size_t>(i) + 1].sigma;
    const Tensor denoised = problem.denoise(x, level);
    const size_t predicted_from = estimates.size();
    const double sigma_before = predicted_from > 0 ? estimates[0].sigma : 0;
    estimates.insert(estimates.begin(), {level.sigma, denoised});

    // Correct x with the estimate that it gave, which is not evaluated again.
    if (predicted_from > 0 && i <= method.corrected_steps)
      x = exponential_step(x_before, sigma_before, level.sigma, estimates);

    if (estimates.size() > method.order) estimates.pop_back();
    x_before = x;
    x = i < n - 1 ? exponential_step(x, level.sigma, next, estimates) : denoised;
    problem.report(i, x, denoised);
  }
  return x;
}

}  // namespace

Tensor solve_dpmpp_2m(const SamplingProblem& problem, Tensor x) {
  return solve(problem, std::move(x), {.order = 2, .corrected_steps = 0});
}

/// The first step has one estimate only, so its error is O(h^2), which would limit the whole to
/// second order. Correcting it costs nothing.
Tensor solve_dpmpp_3m(const SamplingProblem& problem, Tensor x) {
  return solve(problem, std::move(x), {.order = 3, .corrected_steps = 1});
}

Tensor solve_unipc(const SamplingProblem& problem, Tensor x) {
  return solve(problem, std::move(x),
               {.order = 3, .corrected_steps = std::numeric_limits<int64_t>::max()});
}

}  // namespace edm2
