// Guidance, its interval of noise levels, and labels.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "edm2/diffusion/sampler.h"
#include "support/gaussian_mixture.h"
#include "support/golden.h"

namespace edm2 {
namespace {

constexpr Solver every_solver[] = {Solver::heun, Solver::euler, Solver::dpmpp_2m, Solver::dpmpp_3m,
                                   Solver::unipc};

Tensor random_noise(uint64_t seed, int64_t count = 8) {
  return at::randn({count, 2, 1, 1}, at::detail::createCPUGenerator(seed), at::kFloat);
}

class Guidance : public testing::Test {
 protected:
  Tensor sample(const SamplerOptions& options, const Tensor& labels = {},
                const StepCallback& on_step = {}) {
    net.levels.clear();
    gnet.levels.clear();
    return edm_sampler(net, gnet, noise, labels, options, {}, on_step);
  }

  test::GaussianMixture mixture = test::GaussianMixture::in_the_plane();
  test::GaussianMixture wider = test::GaussianMixture::wider_in_the_plane();
  test::CountingDenoiser net{mixture}, gnet{wider};
  Tensor noise = random_noise(7);
};

}  // namespace

TEST(GuidanceInterval, Contains) {
  const GuidanceInterval interval{0.28, 2.9};
  EXPECT_FALSE(interval.contains(0.2));
  EXPECT_FALSE(interval.contains(0.28));
  EXPECT_FALSE(interval.contains(static_cast<double>(0.28f)));  // a little more than 0.28
  EXPECT_TRUE(interval.contains(0.281));
  EXPECT_TRUE(interval.contains(2.9));
  EXPECT_TRUE(interval.contains(static_cast<double>(2.9f)));
  EXPECT_FALSE(interval.contains(2.9015));
  EXPECT_TRUE(GuidanceInterval().contains(1e-30));
  EXPECT_TRUE(GuidanceInterval().contains(1e30));
}

/// Rounding of the levels to float32 does not put the ends of the grid on the wrong side.
RC_GTEST_PROP(GuidanceIntervalProperty, EndsOfTheGrid, ()) {
  SamplerOptions options;
  options.sigma_max = static_cast<double>(*rc::gen::inRange(10, 2000)) / 10;
  options.sigma_min = static_cast<double>(*rc::gen::inRange(1, 500)) / 1000;
  options.rho = static_cast<double>(*rc::gen::inRange(1, 11));
  options.num_steps = *rc::gen::inRange(2, 50);
  options.guidance = 2;
  options.guidance_interval = {options.sigma_min, options.sigma_max};
  auto mixture = test::GaussianMixture::in_the_plane();
  test::CountingDenoiser guide(mixture);
  edm_sampler(mixture, guide, random_noise(1), {}, options, {});
  // Twice at each level between, once at sigma_max, never at sigma_min.
  RC_ASSERT(guide.calls() == 2 * (options.num_steps - 2) + 1);
}

/// The grid of 32 steps has seven levels in (0.28, 2.9]: 2.17 to 0.283.
TEST_F(Guidance, EvaluatesTheGuideInItsIntervalOnly) {
  SamplerOptions options;
  options.guidance = 2;
  options.guidance_interval = {0.28, 2.9};
  for (const Solver solver : every_solver) {
    options.solver = solver;
    sample(options);
    std::vector<double> expected;  // of the evaluations of the main network, those in the interval
    for (const double level : net.levels)
      if (0.28 < level && level <= 2.9) expected.push_back(level);
    EXPECT_EQ(gnet.levels, expected) << solver_name(solver);
    EXPECT_EQ(net.calls(), num_evaluations(options));
    // Heun evaluates each level twice: as the end of a step and as the start of the next one.
    EXPECT_EQ(gnet.calls(), solver == Solver::heun ? 14 : 7) << solver_name(solver);
  }
}

TEST_F(Guidance, OutsideOfTheIntervalAsWithoutGuidance) {
  for (const Solver solver : every_solver) {
    SCOPED_TRACE(solver_name(solver));
    SamplerOptions plain, guided;
    plain.solver = guided.solver = solver;
    guided.guidance = 2.5;
    guided.guidance_interval = {0.28, 2.9};
    std::vector<Tensor> without, with;
    std::vector<double> sigmas;
    sample(plain, {}, [&](const SamplerStep& step) { without.push_back(step.x); });
    const Tensor result = sample(guided, {}, [&](const SamplerStep& step) {
      with.push_back(step.x);
      sigmas.push_back(step.sigma);
      // The estimate is that of the main network where the network was last asked outside.
      EXPECT_EQ(step.denoised.equal(net.last),
                !guided.guidance_interval.contains(net.levels.back()));
    });
    // Above the interval the images are the same, to the last bit; heun's steps end with an
    // evaluation at the lower level.
    for (size_t i = 0; i < with.size() && sigmas[i] > 2.9; ++i)
      EXPECT_TRUE(with[i].equal(without[i])) << "step " << i;
    EXPECT_FALSE(with.back().equal(without.back()));

    guided.guidance_interval = {100, 200};
    EXPECT_TRUE(sample(guided).equal(sample(plain)));
    guided.guidance_interval = {0, 80};
    const Tensor limited = sample(guided);
    guided.guidance_interval = {};
    EXPECT_TRUE(limited.equal(sample(guided)));
  }
}

TEST_F(Guidance, OneNeverEvaluatesTheGuide) {
  for (const Solver solver : every_solver) {
    SamplerOptions options;
    options.solver = solver;
    options.num_steps = 4;
    sample(options);
    EXPECT_EQ(gnet.calls(), 0);
    options.guidance = 0;  // the guide alone, but both are evaluated
    sample(options);
    EXPECT_EQ(gnet.calls(), net.calls());
  }
}

/// With one step the result is the guided estimate: affine in the guidance, from the guide's (0) to
/// the main network's (1).
RC_GTEST_PROP(GuidanceProperty, IsAffine, ()) {
  auto net = test::GaussianMixture::in_the_plane(),
       gnet = test::GaussianMixture::wider_in_the_plane();
  SamplerOptions options;
  options.solver =
      *rc::gen::elementOf(std::vector(std::begin(every_solver), std::end(every_solver)));
  options.num_steps = 1;
  options.dtype = at::kDouble;
  options.sigma_max = *rc::gen::element(80.0, 3.0, 0.5);
  const Tensor noise = random_noise(*rc::gen::arbitrary<uint64_t>()).to(at::kDouble);
  const auto at_guidance = [&](double guidance) {
    options.guidance = guidance;
    return edm_sampler(net, gnet, noise, {}, options, {});
  };
  const double w = static_cast<double>(*rc::gen::inRange(-30, 50)) / 10;
  const Tensor expected = at_guidance(0) * (1 - w) + at_guidance(1) * w;
  RC_ASSERT(test::max_difference(at_guidance(w), expected) < 1e-10);
}

/// Each image follows its own label, and zero labels mean all classes.
TEST_F(Guidance, LabelsReachBothNetworks) {
  test::CountingDenoiser same(mixture);
  const Tensor classes = at::tensor({0, 1, 0, 1, 1, 0, 0, 1}, at::kLong);
  const Tensor labels = at::one_hot(classes, 2).to(at::kFloat);
  for (const Solver solver : every_solver) {
    SamplerOptions options;
    options.solver = solver;
    const Tensor x = sample(options, labels);
    // Means of the components of each class; the data are within four deviations of 0.35.
    const Tensor means = at::tensor({1.0f, 0.5f, 0.2f, -0.9f, -1.0f, 0.3f, -0.3f, 1.2f})
                             .reshape({2, 2, 2});  // [class, component, 2]
    const Tensor nearest =
        (x.reshape({8, 1, 2}) - means.index_select(0, classes)).square().sum(2).sqrt().amin(1);
    EXPECT_LT(nearest.max().item<double>(), 1.4) << solver_name(solver);
    EXPECT_TRUE(sample(options, at::zeros({8, 2})).equal(sample(options)));
    EXPECT_GT(test::max_difference(x, sample(options)), 0.1);
    // With the same network as its guide guidance changes nothing but roundings.
    options.guidance = 3;
    EXPECT_LE(test::max_difference(edm_sampler(net, same, noise, labels, options, {}), x), 1e-3);
  }
}

}  // namespace edm2
