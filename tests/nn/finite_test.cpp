#include "edm2/nn/finite.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>

namespace edm2 {
namespace {

TEST(Finite, FindsOneElementAnywhere) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const auto type : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble, at::kFloat8_e5m2}) {
    for (const int64_t size : {1, 2, 3, 7, 15, 16, 17, 31, 64, 1001}) {
      Tensor tensor = at::randn({size}).to(type);
      EXPECT_TRUE(all_finite(tensor)) << type << ' ' << size;
      const auto elements = [](const Tensor& t) {
        return std::span(static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes());
      };
      EXPECT_TRUE(all_finite(elements(tensor), type)) << type << ' ' << size;
      for (const int64_t at : {int64_t{0}, size / 2, size - 1})
        for (const double bad : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()}) {
          Tensor damaged = tensor.clone();
          damaged[at].copy_(at::full({}, bad));
          EXPECT_FALSE(all_finite(damaged)) << type << ' ' << size << ' ' << at;
          EXPECT_FALSE(all_finite(elements(damaged), type)) << type << ' ' << size << ' ' << at;
        }
    }
  }
}

TEST(Finite, TheLargestNumbersAreFinite) {
  EXPECT_TRUE(all_finite(at::tensor({65504., -65504., 6e-8, 0., -0.}).to(at::kHalf)));
  EXPECT_TRUE(all_finite(at::tensor({3.4028234e38f, -3.4028234e38f, 1e-45f})));
  EXPECT_TRUE(all_finite(at::full({3}, std::numeric_limits<double>::max(), at::kDouble)));
  EXPECT_TRUE(all_finite(at::full({3}, -1, at::kLong)));
  EXPECT_TRUE(all_finite(at::empty({0, 3})));
  // More than one thread's part, and not in the order of memory.
  Tensor large = at::zeros({1500, 1500}, at::kHalf);
  EXPECT_TRUE(all_finite(large));
  large[1499][1499] = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(all_finite(large));
  EXPECT_FALSE(all_finite(large.t()));
  EXPECT_TRUE(all_finite(large.narrow(0, 0, 1499)));
}

TEST(Finite, NamesTheTensor) {
  const StateDict tensors = {{"a", at::ones({2})},
                             {"b", at::full({}, std::numeric_limits<double>::quiet_NaN())}};
  EXPECT_EQ(first_not_finite(tensors), "b");
  EXPECT_EQ(first_not_finite({tensors.front()}), "");
}

}  // namespace
}  // namespace edm2
