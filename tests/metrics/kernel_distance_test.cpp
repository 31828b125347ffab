#include "edm2/metrics/kernel_distance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

Tensor random_set(int64_t n, int64_t dim, double shift, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({n, dim}) + shift;
}

/// Sums over all pairs, one by one.
double plain(const Tensor& x, const Tensor& y) {
  const auto k = [&](const Tensor& a, const Tensor& b) {
    const double dot = a.to(at::kDouble).dot(b.to(at::kDouble)).item<double>();
    return std::pow(dot / static_cast<double>(a.numel()) + 1, 3);
  };
  const auto n = static_cast<double>(x.size(0));
  double within = 0, across = 0;
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = 0; j < x.size(0); ++j) {
      if (i != j) within += k(x[i], x[j]) + k(y[i], y[j]);
      across += k(x[i], y[j]);
    }
  return within / (n * (n - 1)) - 2 * across / (n * n);
}

}  // namespace

TEST(KernelDistance, OfWholeSetsIsTheUnbiasedEstimate) {
  const Tensor x = random_set(12, 5, 0, 1), y = random_set(12, 5, 0.3, 2);
  const auto distance = kernel_distance(x, y);  // every subset holds all, in another order
  EXPECT_EQ(distance.subset_size, 12);
  EXPECT_NEAR(distance.value, plain(x, y), 1e-12);
  EXPECT_NEAR(distance.deviation, 0, 1e-7);
}

TEST(KernelDistance, GrowsWithTheShift) {
  const Tensor x = random_set(300, 8, 0, 1);
  const KernelDistanceOptions options{.subsets = 20, .subset_size = 100};
  const auto same = kernel_distance(x, random_set(300, 8, 0, 2), options);
  const auto near = kernel_distance(x, random_set(300, 8, 0.5, 3), options);
  const auto far = kernel_distance(x, random_set(300, 8, 1, 4), options);
  EXPECT_LT(std::abs(same.value), 3 * same.deviation);
  EXPECT_GT(near.value, same.value + near.deviation);
  EXPECT_GT(far.value, 2 * near.value);
}

TEST(KernelDistance, OddInputIsAnError) {
  const Tensor x = random_set(10, 5, 0, 1);
  EXPECT_THROW(kernel_distance(x, random_set(10, 4, 0, 1)), Error);
  EXPECT_THROW(kernel_distance(x, random_set(1, 5, 0, 1)), Error);
}

}  // namespace edm2
