#include "metrics/frechet_error.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/golden.h"

namespace edm2 {
namespace {

FeatureStatistics accumulated(const Tensor& features) {
  FeatureAccumulator accumulator(features.size(1));
  accumulator.append(features);
  return accumulator.finish();
}

}  // namespace

TEST(FrechetError, StatisticsOfTheRest) {
  at::manual_seed(1);
  const Tensor x = at::randn({57, 6}).matmul(at::randn({6, 6})) + 3;
  const auto rest = statistics_without(accumulated(x), 57, accumulated(x.slice(0, 0, 11)), 11);
  const auto expected = accumulated(x.slice(0, 11));
  EXPECT_LT(test::relative_error(rest.mu, expected.mu), 1e-13);
  EXPECT_LT(test::relative_error(rest.sigma, expected.sigma), 1e-12);
}

// The deviation and bias that one set tells must be those that many sets show.
TEST(FrechetError, TellsTheSpreadOfTheDistance) {
  constexpr int64_t dim = 8, count = 300, repeats = 200;
  at::manual_seed(5);
  const FeatureStatistics truth{at::zeros({dim}, at::kDouble), at::eye(dim, at::kDouble)};
  double sum = 0, squares = 0, deviation = 0, bias = 0;
  for (int64_t i = 0; i < repeats; ++i) {
    const Tensor x = at::randn({count, dim}) * 1.3;
    const auto all = accumulated(x);
    const double value = frechet_distance(all, truth).value;
    const auto error = frechet_jackknife(x, all, truth, value);
    sum += value;
    squares += value * value;
    deviation += error.deviation / repeats;
    bias += error.bias / repeats;
  }
  const double mean = sum / repeats;
  const double spread = std::sqrt(squares / repeats - mean * mean);
  EXPECT_NEAR(deviation / spread, 1, 0.25);
  const double exact = dim * 0.3 * 0.3;  // between N(0, 1.69 I) and N(0, I)
  EXPECT_NEAR((mean - bias) / exact, 1, 0.05);
  EXPECT_GT(bias, 0.5 * (mean - exact));
}

}  // namespace edm2
