#include "edm2/metrics/frechet.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "support/golden.h"

namespace edm2 {
namespace {

FeatureStatistics statistics_of(const Tensor& features) {
  FeatureAccumulator accumulator(features.size(1));
  accumulator.append(features);
  return accumulator.finish();
}

FeatureStatistics random_statistics(int64_t n, int64_t dim, uint64_t seed) {
  at::manual_seed(seed);
  return statistics_of(at::randn({n, dim}).matmul(at::randn({dim, dim})) + at::randn({dim}));
}

// The formula as it stands in the paper: the product is not symmetric, its eigenvalues are real
// and not negative all the same.
double plain_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  const Tensor eigenvalues = at::real(at::linalg_eigvals(a.sigma.matmul(b.sigma)));
  return ((a.mu - b.mu).square().sum() + a.sigma.trace() + b.sigma.trace() -
          2 * eigenvalues.clamp_min(0).sqrt().sum())
      .item<double>();
}

nlohmann::json reference_values() {
  std::ifstream file(test::reference_dir() / "metrics" / "frechet_values.json");
  return nlohmann::json::parse(file);
}

}  // namespace

TEST(FrechetDistance, OfDiagonalCovariancesIsASumOverDimensions) {
  const FeatureStatistics a{at::tensor({1., 2., 3.}), at::diag(at::tensor({4., 9., 0.25}))},
      b{at::tensor({0., 2., 5.}), at::diag(at::tensor({1., 16., 0.25}))};
  const auto distance = frechet_distance(a, b);
  EXPECT_NEAR(distance.value, 1 + 4 + 1 + 1, 1e-12);
  EXPECT_EQ(distance.dim, 3);
  EXPECT_EQ(distance.rank_a, 3);
  EXPECT_EQ(distance.rank_b, 3);
  EXPECT_TRUE(frechet_warnings(distance, "a", "b").empty());
}

// Covariances of deep features span many orders of magnitude. Where both have the same directions,
// the distance is known.
TEST(FrechetDistance, SmallEigenvaluesCount) {
  constexpr int64_t dim = 300;
  at::manual_seed(4);
  const Tensor directions =
      std::get<0>(at::linalg_qr(at::randn({dim, dim}, at::kDouble)));  // orthogonal
  for (const double lowest : {-2., -5., -8.}) {
    const Tensor a = at::pow(10., at::linspace(lowest, 1, dim, at::kDouble)),
                 b = a * (0.5 + at::rand({dim}, at::kDouble));
    const auto with = [&](const Tensor& values) {
      const Tensor sigma = (directions * values).matmul(directions.t());
      return FeatureStatistics{at::zeros({dim}, at::kDouble), 0.5 * (sigma + sigma.t())};
    };
    const double expected = (a.sqrt() - b.sqrt()).square().sum().item<double>();
    EXPECT_NEAR(frechet_distance(with(a), with(b)).value, expected, 1e-9 * expected) << lowest;
  }
}

TEST(FrechetDistance, ToItselfIsZero) {
  for (const int64_t n : {20, 200}) {  // fewer images than dimensions, and more
    const auto s = random_statistics(n, 50, 3);
    EXPECT_NEAR(frechet_distance(s, s).value, 0, 1e-6 * s.sigma.trace().item<double>()) << n;
  }
}

TEST(FrechetDistance, ARankThatLacksIsToldAndHarmless) {
  const auto few = random_statistics(20, 50, 1), many = random_statistics(500, 50, 2);
  const auto distance = frechet_distance(few, many);
  EXPECT_EQ(distance.rank_a, 19);
  EXPECT_EQ(distance.rank_b, 50);
  EXPECT_NEAR(distance.value, plain_distance(few, many), 1e-5 * distance.value);
  EXPECT_NEAR(distance.value, frechet_distance(many, few).value, 1e-9 * distance.value);
  const auto warnings = frechet_warnings(distance, "the images", "the reference");
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("the covariance of the images has rank 19 in 50 dimensions"),
            std::string::npos);
}

// More directions without spread than one block of the factorisation, and both sets lack rank.
TEST(FrechetDistance, TwoSetsThatLackRank) {
  for (const int64_t n : {30, 150}) {
    const auto a = random_statistics(n, 200, 5), b = random_statistics(n + 20, 200, 6);
    const auto distance = frechet_distance(a, b);
    EXPECT_EQ(distance.rank_a, n - 1);
    EXPECT_EQ(distance.rank_b, n + 19);
    EXPECT_EQ(distance.negative_part_a, 0);
    EXPECT_NEAR(distance.value, plain_distance(a, b), 1e-5 * distance.value);
    EXPECT_NEAR(distance.value, frechet_distance(b, a).value, 1e-9 * distance.value);
  }
}

TEST(FrechetDistance, ImagesWithoutAnySpread) {
  const auto normal = random_statistics(100, 5, 1);
  const FeatureStatistics point{at::zeros({5}, at::kDouble), at::zeros({5, 5}, at::kDouble)};
  const auto distance = frechet_distance(point, normal);
  EXPECT_NEAR(distance.value, (normal.mu.square().sum() + normal.sigma.trace()).item<double>(),
              1e-9);
  EXPECT_EQ(distance.rank_a, 0);
  EXPECT_EQ(frechet_distance(point, point).value, 0);
}

TEST(FrechetDistance, ANegativeEigenvalueIsTold) {
  const FeatureStatistics odd{at::zeros({3}, at::kDouble),
                              at::diag(at::tensor({2., 1., -0.1})).to(at::kDouble)},
      good{at::zeros({3}, at::kDouble), at::eye(3, at::kDouble)};
  const auto distance = frechet_distance(good, odd);
  EXPECT_NEAR(distance.negative_part_b, 0.05, 1e-12);
  const auto warnings = frechet_warnings(distance, "the images", "the reference");
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_NE(warnings[0].find("the reference has negative eigenvalues, up to 5%"), std::string::npos)
      << warnings[0];
}

TEST(FrechetDistance, OddInputIsAnError) {
  const auto s = random_statistics(10, 3, 1), t = random_statistics(10, 4, 1);
  EXPECT_THROW(frechet_distance(s, t), Error);
  FeatureStatistics broken = s;
  broken.sigma = s.sigma.clone();
  broken.sigma[1][1] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(frechet_distance(s, broken), Error);
}

RC_GTEST_PROP(FrechetDistanceProperty, EqualsThePlainFormula, ()) {
  const auto dim = *rc::gen::inRange<int64_t>(1, 40);
  const auto n = *rc::gen::inRange<int64_t>(2 * dim + 2, 200);
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
  const auto a = random_statistics(n, dim, seed), b = random_statistics(n, dim, seed + 5000);
  const double value = frechet_distance(a, b).value;
  RC_ASSERT(std::abs(value - plain_distance(a, b)) <= 1e-6 * std::max(1., value));
  RC_ASSERT(std::abs(value - frechet_distance(b, a).value) <= 1e-9 * std::max(1., value));
  RC_ASSERT(value > -1e-9);
}

TEST(FrechetDistanceGolden, EqualsTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile file(test::reference_dir() / "metrics" / "frechet.npz");
  const auto values = reference_values();
  const auto stored = [&](const std::string& name, const char* index) {
    return FeatureStatistics{file.get(name + ".mu" + index), file.get(name + ".sigma" + index)};
  };
  const auto compare = [&](const std::string& name, const FeatureStatistics& a,
                           const FeatureStatistics& b, double tolerance) {
    const double expected = values.at(name), actual = frechet_distance(a, b).value;
    EXPECT_NEAR(actual, expected, tolerance * expected) << name;
    RecordProperty(name, std::to_string((actual - expected) / expected));
    EXPECT_NEAR(frechet_distance(a, a).value, 0, 1e-6 * a.sigma.trace().item<double>()) << name;
  };
  compare("d8_well", stored("d8_well", "1"), stored("d8_well", "2"), 1e-8);
  compare("d64_well", stored("d64_well", "1"), stored("d64_well", "2"), 1e-8);
  compare("d64_rankdef", stored("d64_rankdef", "1"), stored("d64_rankdef", "2"), 1e-6);
  const std::string large = "d256_rankdef1";
  const auto a = statistics_of(file.get(large + ".features1")),
             b = statistics_of(file.get(large + ".features2"));
  EXPECT_LT(test::relative_error(a.sigma[0], file.get(large + ".sigma1_row0")), 1e-13);
  compare(large, a, b, 1e-6);
}

}  // namespace edm2
