// How fast the error of each solver falls with the number of steps, measured on a mixture of
// Gaussians, where the denoiser is exact.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/diffusion/sampler.h"
#include "support/gaussian_mixture.h"

namespace edm2 {
namespace {

Tensor start_noise() {
  return at::randn({64, 2, 1, 1}, at::detail::createCPUGenerator(1), at::kDouble);
}

Tensor sample(SamplerOptions options, Solver solver, int64_t num_steps) {
  auto net = test::GaussianMixture::in_the_plane();
  options.dtype = at::kDouble;
  options.solver = solver;
  options.num_steps = num_steps;
  return edm_sampler(net, net, start_noise(), {}, options, {});
}

/// Heun's method with very many steps; its error c / N^2 + O(N^-3) loses the first term by
/// Richardson extrapolation.
Tensor exact_solution(const SamplerOptions& options) {
  const Tensor coarse = sample(options, Solver::heun, 4096);
  const Tensor fine = sample(options, Solver::heun, 8192);
  return fine + (fine - coarse) / 3;
}

double rms(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

/// Slope of log(error) over log(1 / number of steps), by least squares.
double measured_order(const SamplerOptions& options, Solver solver, const Tensor& exact,
                      const std::vector<int64_t>& numbers_of_steps) {
  std::vector<double> x, y;
  for (const int64_t n : numbers_of_steps) {
    x.push_back(-std::log(static_cast<double>(n)));
    y.push_back(std::log(rms(sample(options, solver, n) - exact)));
  }
  const auto count = static_cast<double>(x.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sx += x[i];
    sy += y[i];
    sxx += x[i] * x[i];
    sxy += x[i] * y[i];
  }
  return (count * sxy - sx * sy) / (count * sxx - sx * sx);
}

}  // namespace

TEST(SolverOrder, AsTheTheorySays) {
  const SamplerOptions options;  // sigma from 80 to 0.002
  const Tensor exact = exact_solution(options);
  const auto order = [&](Solver solver) {
    const double measured = measured_order(options, solver, exact, {64, 96, 128, 192, 256, 384});
    std::printf("%-9s order %.2f\n", solver_name(solver).c_str(), measured);
    return measured;
  };
  const auto between = [](double low, double high) {
    return testing::AllOf(testing::Ge(low), testing::Le(high));
  };
  EXPECT_THAT(order(Solver::euler), between(0.97, 1.03));
  EXPECT_THAT(order(Solver::heun), between(1.95, 2.1));
  EXPECT_THAT(order(Solver::dpmpp_2m), between(1.95, 2.1));
  EXPECT_THAT(order(Solver::dpmpp_3m), between(2.95, 3.3));
  // Predictor 3, corrector 4; the first steps, which are of lower order, hardly count where the
  // noise hides everything.
  EXPECT_THAT(order(Solver::unipc), between(3.5, 4.1));
}

/// Where sampling starts at low noise the first steps matter: they must not spoil the third order.
TEST(SolverOrder, FirstStepsKeepTheOrder) {
  SamplerOptions options;
  options.sigma_min = 0.1;
  options.sigma_max = 2;
  const Tensor exact = exact_solution(options);
  const std::vector<int64_t> steps = {64, 128, 256, 512};
  EXPECT_NEAR(measured_order(options, Solver::dpmpp_3m, exact, steps), 3, 0.15);
  EXPECT_GE(measured_order(options, Solver::unipc, exact, steps), 3);
}

}  // namespace edm2
