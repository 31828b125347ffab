#include "edm2/toy/mixture.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "edm2/core/cpu.h"
#include "edm2/core/error.h"
#include "support/golden.h"
#include "toy/mixture_kernels.h"

namespace edm2::toy {
namespace {

/// The density by the textbook, in float64.
double log_density(const Mixture& mixture, double x, double y, double sigma) {
  const Tensor weights = mixture.weights().to(at::kDouble), means = mixture.means().to(at::kDouble),
               covariances = mixture.covariances().to(at::kDouble);
  double sum = 0;
  for (int64_t k = 0; k < weights.size(0); ++k) {
    const double* m = means.const_data_ptr<double>() + 2 * k;
    const double* c = covariances.const_data_ptr<double>() + 4 * k;
    const double a = c[0] + sigma * sigma, b = c[1], d = c[3] + sigma * sigma;
    const double determinant = a * d - b * b, u = x - m[0], v = y - m[1];
    const double distance = (d * u * u - 2 * b * u * v + a * v * v) / determinant;
    sum += weights.const_data_ptr<double>()[k] / (2 * std::numbers::pi * std::sqrt(determinant)) *
           std::exp(-distance / 2);
  }
  return std::log(sum);
}

}  // namespace

TEST(ToyMixture, KnownNumbersOfTheSpecification) {
  const Mixture a("A"), both("BA");
  EXPECT_EQ(a.weights().size(0), 1016);
  EXPECT_EQ(both.weights().size(0), 2032);
  EXPECT_NEAR(a.weights()[0].item<double>(), 0.0321495347, 1e-9);
  EXPECT_NEAR(both.weights()[0].item<double>(), 0.0153356846, 1e-9);
  EXPECT_NEAR(a.means()[0][0].item<double>(), 0.0213441085, 1e-8);
  EXPECT_NEAR(a.means()[1015][1].item<double>(), -0.5965597630, 1e-7);
  EXPECT_NEAR(both.means()[2031][1].item<double>(), 0.5585266948, 1e-7);
  EXPECT_NEAR(a.covariances()[0][0][1].item<double>(), 1.03578430e-4, 1e-10);
  const Tensor points = at::tensor({0.3f, 0.3f, 0.0f, 0.0f}).reshape({2, 2});
  const Tensor clean = a.density(points, at::tensor(0.0f)).log_density;
  EXPECT_NEAR(clean[0].item<double>(), 2.06937, 2e-5);
  EXPECT_NEAR(clean[1].item<double>(), -2.55508, 2e-5);
  const auto noisy = a.density(points, at::tensor(0.5f));
  EXPECT_NEAR(noisy.log_density[0].item<double>(), -0.814281, 2e-6);
  EXPECT_NEAR(noisy.score[0][0].item<double>(), 0.0558216, 1e-6);
  EXPECT_NEAR(noisy.score[0][1].item<double>(), 0.0908555, 1e-6);
}

TEST(ToyMixture, IsTheTextbooksDensity) {
  const Mixture mixture("AB");
  const Tensor points = at::randn({40, 2}, at::detail::createCPUGenerator(3), at::kFloat) * 0.7;
  for (const double sigma : {0.02, 0.3, 5.0}) {
    const auto [density, score] = mixture.density(points, at::scalar_tensor(sigma, at::kFloat));
    for (int64_t i = 0; i < points.size(0); ++i) {
      const auto x = points[i][0].item<double>(), y = points[i][1].item<double>();
      const double expected = log_density(mixture, x, y, sigma);
      EXPECT_NEAR(density[i].item<double>(), expected, 1e-4 * (1 + std::abs(expected)));
      const double h = 1e-5;  // the score is the gradient
      const double slope =
          (log_density(mixture, x + h, y, sigma) - log_density(mixture, x - h, y, sigma)) / (2 * h);
      EXPECT_NEAR(score[i][0].item<double>(), slope, 1e-3 * (1 + std::abs(slope)));
    }
  }
}

TEST(ToyMixture, StaysFiniteFarFromTheData) {
  const Tensor far = at::tensor({100.0f, -100.0f}).reshape({1, 2});
  const auto [density, score] = Mixture("A").density(far, at::tensor(0.0f));
  EXPECT_TRUE(std::isfinite(density[0].item<double>()));
  EXPECT_LT(density[0].item<double>(), -1e6);
  EXPECT_LT(score[0][0].item<double>(), 0);
  EXPECT_GT(score[0][1].item<double>(), 0);
}

TEST(ToyMixture, SamplesFollowTheDensity) {
  const Mixture mixture("A");
  const Tensor points =
      mixture.sample(200'000, at::tensor(0.0f), at::detail::createCPUGenerator(5)).to(at::kDouble);
  EXPECT_NEAR(points.select(1, 0).mean().item<double>(), 0.3718510, 0.003);
  EXPECT_NEAR(points.select(1, 1).mean().item<double>(), 0.3646066, 0.003);
  const Tensor covariance = points.t().cov();
  EXPECT_NEAR(covariance[0][0].item<double>(), 0.1109294, 0.002);
  EXPECT_NEAR(covariance[0][1].item<double>(), -0.0163933, 0.002);
  EXPECT_NEAR(covariance[1][1].item<double>(), 0.1166137, 0.002);
}

TEST(ToyMixture, RefusesOtherClasses) {
  for (const char* classes : {"", "C", "ABC", "a"}) EXPECT_THROW(Mixture{classes}, UsageError);
}

#if defined(__x86_64__)
TEST(ToyMixture, KernelsAgreeToTheLastBit) {
  if (highest_cpu_level() < CpuLevel::avx2) GTEST_SKIP() << "this processor has no AVX2";
  using namespace mixture_kernels;
  constexpr int64_t count = 3 * lanes, points = 37;
  const auto generator = at::detail::createCPUGenerator(1);
  const Tensor rows = at::rand({9, count}, generator, at::kFloat) + 0.01;
  const Tensor x = at::randn({points, 2}, generator, at::kFloat) * 3;
  const Tensor sigma = at::rand({points}, generator, at::kFloat);
  Tensor scratch = at::empty({4 * count});
  const auto row = [&](int64_t i) { return rows.const_data_ptr<float>() + i * count; };
  const Components components = {count,
                                 row(0),
                                 row(1),
                                 row(2),
                                 row(3),
                                 row(4),
                                 row(5),
                                 row(6),
                                 row(7),
                                 row(8),
                                 scratch.data_ptr<float>()};
  const auto run = [&](Density kernel) {
    Tensor density = at::empty({points}), score = at::empty({points, 2});
    kernel(components, x.const_data_ptr<float>(), sigma.const_data_ptr<float>(), points,
           density.data_ptr<float>(), score.data_ptr<float>());
    return std::pair{density, score};
  };
  const auto portable = run(density_portable), fast = run(density_avx2);
  EXPECT_TRUE(at::equal(portable.first, fast.first));
  EXPECT_TRUE(at::equal(portable.second, fast.second));
}
#endif

}  // namespace edm2::toy
