#include "edm2/metrics/manifold.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

using Points = std::vector<std::vector<double>>;

Points points_of(const Tensor& set) {
  Points points;
  for (const Tensor& row : set.to(at::kDouble).unbind(0))
    points.emplace_back(row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel());
  return points;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

double radius(const Points& set, size_t index, int64_t k) {
  std::vector<double> distances;
  for (size_t i = 0; i < set.size(); ++i)
    if (i != index) distances.push_back(distance(set[i], set[index]));
  std::sort(distances.begin(), distances.end());
  return distances[static_cast<size_t>(k - 1)];
}

/// Pair by pair, from the definitions.
ManifoldScores plain(const Points& fake, const Points& real, const ManifoldOptions& options) {
  const size_t n = fake.size(), m = real.size();
  ManifoldScores scores;
  for (size_t i = 0; i < n; ++i) {
    bool precise = false;
    double balls = 0;
    for (size_t j = 0; j < m; ++j) {
      const double d = distance(fake[i], real[j]);
      precise = precise || d <= radius(real, j, options.neighbors);
      balls += d <= radius(real, j, options.density_neighbors) ? 1 : 0;
    }
    scores.precision.value += precise ? 1 : 0;
    scores.density.value += balls / static_cast<double>(options.density_neighbors);
  }
  for (size_t j = 0; j < m; ++j) {
    bool recalled = false, covered = false;
    for (size_t i = 0; i < n; ++i) {
      const double d = distance(fake[i], real[j]);
      recalled = recalled || d <= radius(fake, i, options.neighbors);
      covered = covered || d <= radius(real, j, options.density_neighbors);
    }
    scores.recall.value += recalled ? 1 : 0;
    scores.coverage.value += covered ? 1 : 0;
  }
  scores.precision.value /= static_cast<double>(n);
  scores.density.value /= static_cast<double>(n);
  scores.recall.value /= static_cast<double>(m);
  scores.coverage.value /= static_cast<double>(m);
  return scores;
}

Tensor random_points(int64_t n, int64_t dim, double shift, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({n, dim}) + shift;
}

}  // namespace

TEST(Manifold, OfASetWithItselfIsFull) {
  const Tensor x = random_points(50, 4, 0, 1);
  const auto scores = manifold_scores(x, x);
  EXPECT_EQ(scores.precision.value, 1);
  EXPECT_EQ(scores.recall.value, 1);
  EXPECT_EQ(scores.coverage.value, 1);
  EXPECT_EQ(scores.precision.error, 0);
  EXPECT_GT(scores.density.value, 1);  // every point lies in its own ball too
}

TEST(Manifold, OfSetsFarApartIsEmpty) {
  const auto scores = manifold_scores(random_points(40, 4, 0, 1), random_points(30, 4, 100, 2));
  EXPECT_EQ(scores.precision.value, 0);
  EXPECT_EQ(scores.recall.value, 0);
  EXPECT_EQ(scores.density.value, 0);
  EXPECT_EQ(scores.coverage.value, 0);
}

// Generated pictures in a corner of the real ones: precise, but they do not cover.
TEST(Manifold, RolesAreNotMixedUp) {
  const Tensor real = random_points(400, 2, 0, 1);
  const Tensor generated = random_points(100, 2, 0, 2) * 0.1;
  const auto scores = manifold_scores(generated, real);
  EXPECT_GT(scores.precision.value, 0.8);
  EXPECT_LT(scores.recall.value, 0.2);
  EXPECT_LT(scores.coverage.value, 0.3);
  EXPECT_GT(scores.density.value, 0.6);
}

TEST(Manifold, ErrorsAreThoseOfAMean) {
  const auto scores = manifold_scores(random_points(200, 3, 0.8, 1), random_points(300, 3, 0, 2));
  const double p = scores.precision.value, r = scores.recall.value;
  EXPECT_NEAR(scores.precision.error, std::sqrt(p * (1 - p) / 199), 1e-12);
  EXPECT_NEAR(scores.recall.error, std::sqrt(r * (1 - r) / 299), 1e-12);
}

// More rows than one block of distances.
TEST(Manifold, BlocksDoNotMatter) {
  const Tensor real = random_points(2500, 3, 0, 1), fake = random_points(2300, 3, 0.5, 2);
  const auto whole = manifold_scores(fake, real);
  const Tensor order = at::randperm(2500), other = at::randperm(2300);
  const auto shuffled = manifold_scores(fake.index_select(0, other), real.index_select(0, order));
  EXPECT_EQ(whole.precision.value, shuffled.precision.value);
  EXPECT_EQ(whole.recall.value, shuffled.recall.value);
  EXPECT_EQ(whole.coverage.value, shuffled.coverage.value);
  EXPECT_NEAR(whole.density.value, shuffled.density.value, 1e-12);
  EXPECT_GT(whole.precision.value, 0.5);
  EXPECT_LT(whole.precision.value, 1);
}

TEST(Manifold, OddInputIsAnError) {
  EXPECT_THROW(manifold_scores(random_points(5, 3, 0, 1), random_points(50, 3, 0, 1)), Error);
  EXPECT_THROW(manifold_scores(random_points(50, 3, 0, 1), random_points(50, 4, 0, 1)), Error);
}

RC_GTEST_PROP(ManifoldProperty, EqualsTheDefinitions, ()) {
  const auto n = *rc::gen::inRange<int64_t>(6, 25), m = *rc::gen::inRange<int64_t>(6, 25);
  const auto dim = *rc::gen::inRange<int64_t>(1, 5);
  const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
  const Tensor fake = random_points(n, dim, 0.4, seed),
               real = random_points(m, dim, 0, seed + 5000);
  const ManifoldOptions options{.neighbors = *rc::gen::inRange<int64_t>(1, 4),
                                .density_neighbors = *rc::gen::inRange<int64_t>(1, 6)};
  const auto fast = manifold_scores(fake, real, options),
             slow = plain(points_of(fake), points_of(real), options);
  RC_ASSERT(std::abs(fast.precision.value - slow.precision.value) < 1e-12);
  RC_ASSERT(std::abs(fast.recall.value - slow.recall.value) < 1e-12);
  RC_ASSERT(std::abs(fast.density.value - slow.density.value) < 1e-12);
  RC_ASSERT(std::abs(fast.coverage.value - slow.coverage.value) < 1e-12);
}

}  // namespace edm2
