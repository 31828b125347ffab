// The solvers against plain versions of their papers' formulas, and what holds for all of them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "edm2/diffusion/sampler.h"
#include "support/gaussian_mixture.h"
#include "support/golden.h"

namespace edm2 {
namespace {

constexpr Solver all_solvers[] = {Solver::heun, Solver::euler, Solver::dpmpp_2m, Solver::dpmpp_3m,
                                  Solver::unipc};

Tensor random_noise(at::IntArrayRef shape, uint64_t seed, c10::ScalarType dtype = at::kFloat) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), dtype);
}

/// Steps, range, exponent and guidance at random.
SamplerOptions random_options(Solver solver) {
  SamplerOptions options;
  options.solver = solver;
  options.num_steps = *rc::gen::inRange(1, 12);
  options.sigma_max = *rc::gen::element(80.0, 30.0, 5.0);
  options.sigma_min = *rc::gen::element(0.002, 0.01, 0.3);
  options.rho = *rc::gen::element(7.0, 3.0, 1.0);
  options.guidance = *rc::gen::element(1.0, 1.7, 0.0, -0.5);
  return options;
}

/// (sigma, D) of the steps so far.
struct History {
  std::vector<double> sigma;
  std::vector<Tensor> denoised;
  double lambda(size_t i) const { return -std::log(sigma[i]); }
};

/// The original's loop, in its order of operations.
Tensor plain_heun(Denoiser& net, const Tensor& noise, const SamplerOptions& options,
                  const NoiseSource& randn_like) {
  const Tensor t = noise_levels(options, at::kCPU);
  const int64_t n = options.num_steps;
  Tensor x = noise * t[0];
  for (int64_t i = 0; i < n; ++i) {
    const double gamma =
        options.S_churn > 0 && t[i].item<float>() >= static_cast<float>(options.S_min) &&
                t[i].item<float>() <= static_cast<float>(options.S_max)
            ? std::min(options.S_churn / static_cast<double>(n), std::numbers::sqrt2 - 1)
            : 0;
    Tensor t_hat = t[i], x_hat = x;
    if (gamma > 0) {
      t_hat = t[i] + gamma * t[i];
      x_hat = x + (t_hat.pow(2) - t[i].pow(2)).sqrt() * options.S_noise * randn_like(x);
    }
    const Tensor d = (x_hat - net.denoise(x_hat, t_hat, {})) / t_hat;
    x = x_hat + (t[i + 1] - t_hat) * d;
    if (i < n - 1) {
      const Tensor d2 = (x - net.denoise(x, t[i + 1], {})) / t[i + 1];
      x = x_hat + (t[i + 1] - t_hat) * (0.5 * d + 0.5 * d2);
    }
  }
  return x;
}

/// arXiv 2211.01095, Algorithm 2 with alpha = 1, and the step to sigma 0 of first order.
Tensor plain_dpmpp_2m(Denoiser& net, Tensor x, const std::vector<double>& sigma) {
  Tensor before;
  double h_before = 0;
  for (size_t i = 0; i + 2 < sigma.size(); ++i) {
    const double h = std::log(sigma[i]) - std::log(sigma[i + 1]);
    const Tensor estimate = net.denoise(x, at::scalar_tensor(sigma[i], at::kDouble), {});
    Tensor d = estimate;
    if (before.defined()) {
      const double r = h_before / h;
      d = (1 + 1 / (2 * r)) * estimate - 1 / (2 * r) * before;
    }
    x = sigma[i + 1] / sigma[i] * x - std::expm1(-h) * d;
    before = estimate;
    h_before = h;
  }
  return net.denoise(x, at::scalar_tensor(sigma[sigma.size() - 2], at::kDouble), {});
}

/// One step of UniP-p (corrector false: p - 1 differences) or UniC-p (p differences) as in arXiv
/// 2302.04867, Section 3, data prediction: the coefficients solve R a = phi / B. The history ends
/// with step s, or for the corrector with the step t that x is carried to.
Tensor plain_unipc_step(const Tensor& x, const History& history, double sigma_t, size_t p,
                        bool corrector, bool b1) {
  const size_t s = history.sigma.size() - (corrector ? 2 : 1);
  const double h = -std::log(sigma_t) - history.lambda(s);
  const double b = b1 ? -h : std::expm1(-h);
  std::vector<double> r;
  std::vector<Tensor> differences;  // (D_j - D_s) / r_j
  const auto add = [&](size_t j) {
    r.push_back((history.lambda(j) - history.lambda(s)) / h);
    differences.push_back((history.denoised[j] - history.denoised[s]) / r.back());
  };
  for (size_t m = 1; m < p; ++m) add(s - m);
  if (corrector) add(s + 1);
  const auto q = static_cast<int64_t>(r.size());
  Tensor a = at::full({q}, 0.5, at::kDouble);
  if (q > 1) {  // with one difference the paper takes 1/2
    Tensor system = at::empty({q, q}, at::kDouble), right = at::empty({q}, at::kDouble);
    double phi = std::expm1(-h) / -h - 1, factorial = 1;
    for (int64_t k = 0; k < q; ++k) {
      for (int64_t j = 0; j < q; ++j)
        system[k][j] = std::pow(r[static_cast<size_t>(j)], static_cast<double>(k));
      factorial *= static_cast<double>(k + 1);
      right[k] = phi * factorial / b;
      phi = phi / -h - 1 / (factorial * static_cast<double>(k + 2));
    }
    a = at::linalg_solve(system, right.unsqueeze(1), /*left=*/true).squeeze(1);
  }
  Tensor result = sigma_t / history.sigma[s] * x - std::expm1(-h) * history.denoised[s];
  for (int64_t j = 0; j < q; ++j) result = result - b * a[j] * differences[static_cast<size_t>(j)];
  return result;
}

/// UniPC of that order; `corrected` first steps are corrected.
Tensor plain_unipc(Denoiser& net, Tensor x, const std::vector<double>& sigma, size_t order,
                   size_t corrected, bool b1 = false) {
  History history;
  Tensor x_before;
  for (size_t i = 0; i + 1 < sigma.size(); ++i) {
    const Tensor estimate = net.denoise(x, at::scalar_tensor(sigma[i], at::kDouble), {});
    if (i + 2 == sigma.size()) return estimate;
    history.sigma.push_back(sigma[i]);
    history.denoised.push_back(estimate);
    if (i > 0 && i <= corrected)
      x = plain_unipc_step(x_before, history, sigma[i], std::min(order, i), true, b1);
    x_before = x;
    x = plain_unipc_step(x, history, sigma[i + 1], std::min(order, i + 1), false, b1);
  }
  return x;
}

std::vector<double> to_vector(const Tensor& levels) {
  const double* data = levels.data_ptr<double>();
  return {data, data + levels.numel()};
}

/// A linear denoiser of images of any size, whose results do not depend on their place in memory.
class ShrinkingDenoiser : public Denoiser {
 public:
  explicit ShrinkingDenoiser(double variance) : variance_(variance) {}
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor&) override {
    return x * ((sigma.pow(2) + variance_).reciprocal() * variance_);
  }
  int64_t img_channels() const override { return 1; }
  int64_t img_resolution() const override { return 3; }
  int64_t label_dim() const override { return 0; }
  c10::Device device() const override { return c10::kCPU; }

 private:
  double variance_;
};

}  // namespace

RC_GTEST_PROP(SolverProperty, HeunHasTheBitsOfThePlainLoop, ()) {
  SamplerOptions options = random_options(Solver::heun);
  RC_PRE(options.num_steps > 1);
  options.guidance = 1;
  options.S_churn = *rc::gen::element(0.0, 3.0, 40.0);
  options.S_min = *rc::gen::element(0.0, 0.05);
  options.S_max = *rc::gen::element(20.0, std::numeric_limits<double>::infinity());
  options.S_noise = *rc::gen::element(1.0, 1.007);
  auto net = test::GaussianMixture::in_the_plane();
  const Tensor noise = random_noise({5, 2, 1, 1}, 3);
  const auto half = [](const Tensor& x) { return at::full_like(x, 0.5); };
  RC_ASSERT(
      edm_sampler(net, net, noise, {}, options, half).equal(plain_heun(net, noise, options, half)));
}

RC_GTEST_PROP(SolverProperty, MultistepSolversFollowTheirPapers, ()) {
  SamplerOptions options =
      random_options(*rc::gen::element(Solver::dpmpp_2m, Solver::dpmpp_3m, Solver::unipc));
  options.dtype = at::kDouble;
  options.guidance = 1;
  auto net = test::GaussianMixture::in_the_plane();
  const Tensor noise = random_noise({5, 2, 1, 1}, 4, at::kDouble);
  const auto sigma = to_vector(noise_levels(options, at::kCPU));
  const Tensor x = edm_sampler(net, net, noise, {}, options, {}), start = noise * sigma[0];
  Tensor expected;
  if (options.solver == Solver::dpmpp_2m) expected = plain_dpmpp_2m(net, start, sigma);
  if (options.solver == Solver::dpmpp_3m) expected = plain_unipc(net, start, sigma, 3, 1);
  if (options.solver == Solver::unipc) expected = plain_unipc(net, start, sigma, 3, 1000);
  RC_ASSERT(test::max_difference(x, expected) < 1e-9);
}

/// Two points of the plane in 32 steps, computed in float64 by the schedulers of diffusers 0.42.1:
/// EDMDPMSolverMultistepScheduler of order 2 (midpoint) to the end, UniPCMultistepScheduler of
/// order 3 (bh2) up to sigma_min, from where it goes on with lower orders.
TEST(Solver, KnownAnswersOfDiffusers) {
  auto net = test::GaussianMixture::in_the_plane();
  const auto f64 = at::TensorOptions().dtype(at::kDouble);
  const Tensor noise = at::tensor({0.3, -1.2, 1.5, 0.4}, f64).reshape({2, 2, 1, 1});
  const auto after_step = [&](Solver solver, int64_t step) {
    SamplerOptions options;
    options.solver = solver;
    options.dtype = at::kDouble;
    Tensor x;
    edm_sampler(net, net, noise, {}, options, {}, [&](const SamplerStep& s) {
      if (s.step == step) x = s.x;
    });
    return x.flatten();
  };
  const auto expected = [&](std::initializer_list<double> values) {
    return at::tensor(values, f64);
  };
  EXPECT_LE(test::max_difference(after_step(Solver::dpmpp_2m, 29),
                                 expected({0.294268997454673, -1.02479862746521, 1.29062873343723,
                                           0.570923989355434})),
            1e-12);
  EXPECT_LE(test::max_difference(after_step(Solver::dpmpp_2m, 31),
                                 expected({0.294273048890157, -1.02480400271805, 1.29064529360839,
                                           0.570928031572044})),
            1e-12);
  EXPECT_LE(test::max_difference(after_step(Solver::unipc, 29),
                                 expected({0.290955025983907, -1.00536539570774, 1.27331154224267,
                                           0.566066593882298})),
            1e-12);
}

/// The function B(h) of UniPC only matters where a coefficient is set to 1/2: in the first two
/// steps, that is in the second digit after them.
TEST(Solver, ChoiceOfBHardlyMatters) {
  SamplerOptions options;
  options.dtype = at::kDouble;
  auto net = test::GaussianMixture::in_the_plane();
  const Tensor noise = random_noise({64, 2, 1, 1}, 5, at::kDouble);
  const auto sigma = to_vector(noise_levels(options, at::kCPU));
  const Tensor b1 = plain_unipc(net, noise * sigma[0], sigma, 3, 1000, true);
  const Tensor b2 = plain_unipc(net, noise * sigma[0], sigma, 3, 1000, false);
  EXPECT_LT(test::max_difference(b1, b2), 1e-4);
}

TEST(Solver, NumberOfEvaluations) {
  auto mixture = test::GaussianMixture::in_the_plane();
  for (const Solver solver : all_solvers)
    for (const int64_t n : {1, 2, 3, 4, 7}) {
      test::CountingDenoiser net(mixture), gnet(mixture);
      SamplerOptions options;
      options.solver = solver;
      options.num_steps = n;
      options.guidance = 2;
      edm_sampler(net, gnet, random_noise({2, 2, 1, 1}, 0), {}, options, {});
      EXPECT_EQ(net.calls(), num_evaluations(options)) << solver_name(solver);
      EXPECT_EQ(gnet.calls(), net.calls());
      EXPECT_EQ(net.calls(), solver == Solver::heun ? 2 * n - 1 : n);
    }
}

TEST(Solver, OneStepIsTheEstimateAtSigmaMax) {
  auto net = test::GaussianMixture::in_the_plane();
  const Tensor noise = random_noise({4, 2, 1, 1}, 1), x = noise * 80;
  const Tensor estimate = net.denoise(x, at::scalar_tensor(80.f), {});
  for (const Solver solver : all_solvers) {
    SamplerOptions options;
    options.solver = solver;
    options.num_steps = 1;
    EXPECT_LE(test::max_difference(edm_sampler(net, net, noise, {}, options, {}), estimate), 1e-5)
        << solver_name(solver);
  }
}

TEST(Solver, ShowsEveryStep) {
  auto mixture = test::GaussianMixture::in_the_plane();
  for (const Solver solver : all_solvers) {
    test::CountingDenoiser net(mixture);
    SamplerOptions options;
    options.solver = solver;
    options.num_steps = 5;
    SamplerOptions exact = options;
    exact.dtype = at::kDouble;
    const Tensor levels = noise_levels(exact, at::kCPU);
    std::vector<int64_t> steps;
    Tensor last;
    const Tensor x = edm_sampler(net, net, random_noise({3, 2, 1, 1}, 2), {}, options, {},
                                 [&](const SamplerStep& step) {
                                   steps.push_back(step.step);
                                   EXPECT_EQ(step.sigma, levels[step.step + 1].item<double>());
                                   EXPECT_TRUE(step.denoised.equal(net.last));
                                   last = step.x;
                                 });
    EXPECT_EQ(steps, (std::vector<int64_t>{0, 1, 2, 3, 4}));
    EXPECT_TRUE(last.equal(x));
    EXPECT_LE(test::max_difference(net.last, x), 1e-6);  // the step to 0 lands on the estimate
  }
}

/// Neither on the other images nor on its place in the batch, to the last bit.
RC_GTEST_PROP(SolverProperty, AnImageDoesNotDependOnItsBatch, ()) {
  SamplerOptions options = random_options(
      *rc::gen::elementOf(std::vector(std::begin(all_solvers), std::end(all_solvers))));
  if (options.solver == Solver::heun || options.solver == Solver::euler)
    options.S_churn = *rc::gen::element(0.0, 10.0);
  ShrinkingDenoiser net(0.25), gnet(0.4);
  const std::vector<int64_t> seeds = {1, 2, 3, 4, 5, 6, 7};
  const auto sample = [&](std::span<const int64_t> some) {
    StackedGenerator random(at::kCPU, some);
    const Tensor noise = random.randn({1, 3, 3});
    return edm_sampler(net, gnet, noise, {}, options,
                       [&](const Tensor& x) { return random.randn_like(x); });
  };
  const Tensor together = sample(seeds);
  const auto cut = static_cast<size_t>(*rc::gen::inRange(1, 7));
  const Tensor apart =
      at::cat({sample(std::span(seeds).first(cut)), sample(std::span(seeds).subspan(cut))});
  RC_ASSERT(together.equal(apart));
}

TEST(Solver, WrongOptions) {
  auto net = test::GaussianMixture::in_the_plane();
  const auto message = [&](const std::function<void(SamplerOptions&)>& change) -> std::string {
    SamplerOptions options;
    options.num_steps = 3;
    change(options);
    try {
      edm_sampler(net, net, at::zeros({1, 2, 1, 1}), {}, options, {});
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  };
  using O = SamplerOptions;
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const auto expect = [&](const std::string& word, const std::function<void(O&)>& change) {
    EXPECT_THAT(message(change), testing::HasSubstr(word));
  };
  EXPECT_EQ(message([](O&) {}), "");
  expect("--steps", [](O& o) { o.num_steps = 0; });
  expect("--sigma_min", [](O& o) { o.sigma_min = 0; });
  expect("--sigma_min", [](O& o) { o.sigma_min = 80; });
  expect("--sigma_min", [](O& o) { o.sigma_min = 1e-60; });  // 0 in float32
  expect("--sigma_max", [&](O& o) { o.sigma_max = inf; });
  expect("--sigma_max", [](O& o) { o.sigma_max = 1e60; });  // infinite in float32
  expect("--rho", [](O& o) { o.rho = -1; });
  expect("--guidance", [&](O& o) { o.guidance = nan; });
  expect("--guidance-interval", [](O& o) { o.guidance_interval = {2, 1}; });
  expect("--guidance-interval", [&](O& o) { o.guidance_interval = {nan, 1}; });
  for (const Solver solver : {Solver::dpmpp_2m, Solver::dpmpp_3m, Solver::unipc}) {
    expect("--S_churn", [&](O& o) { o.solver = solver, o.S_churn = 1; });
    expect("--steps", [&](O& o) { o.solver = solver, o.sigma_min = std::nextafter(80.0, 0.0); });
  }
  for (const Solver solver : {Solver::heun, Solver::euler})
    EXPECT_EQ(message([&](O& o) { o.solver = solver, o.sigma_min = std::nextafter(80.0, 0.0); }),
              "");
}

TEST(Solver, Names) {
  for (const Solver solver : all_solvers) EXPECT_EQ(parse_solver(solver_name(solver)), solver);
  EXPECT_EQ(solver_names().size(), std::size(all_solvers));
  EXPECT_THROW(parse_solver("ddim"), UsageError);
}

}  // namespace edm2
