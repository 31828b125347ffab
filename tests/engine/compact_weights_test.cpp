#include "engine/compact_weights.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <array>

#include "core/page_tensor.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using Storage = CompactWeights::Storage;
using Sizes = std::array<int64_t, 4>;  // outputs, inputs, side of the kernel, side of the image

ConvShape shape_of(const Sizes& s) {
  return {.stride = 1, .pad_h = s[2] / 2, .pad_w = s[2] / 2, .input_size = s[3]};
}

/// Weights in memory of their own for expansion, and the convolution that reads them.
struct Expanded {
  explicit Expanded(const CompactWeights& weights)
      : memory(tensor_in_huge_pages(weights.size(), at::kFloat)),
        conv(weights.reading(memory.mutable_data_ptr<float>())) {
    weights.expand(memory.mutable_data_ptr<float>());
  }
  Tensor memory;
  FusedConv conv;
};

}  // namespace

TEST(CompactWeights, AreTheConvolutionOfTheFullOnes) {
  const c10::NoGradGuard no_grad;
  at::manual_seed(2);
  WeightPacker packer;
  int packed = 0;
  // Twice the same shape: the second is arranged by ourselves.
  for (const Sizes& s : {Sizes{64, 32, 3, 8},
                         {64, 32, 3, 8},
                         {512, 64, 3, 8},
                         {512, 64, 3, 8},
                         {48, 96, 1, 16},
                         {48, 96, 1, 16},
                         {20, 24, 3, 16},
                         {72, 40, 3, 8}}) {
    const Tensor stored = at::randn({s[0], s[1], s[2], s[2]}).to(at::kHalf);
    const Tensor factors = at::rand({s[0]}).add(0.1);
    const auto half = packer.pack(stored, factors, shape_of(s), Storage::float16);
    if (!half) continue;
    ++packed;
    const Expanded expanded(*half);
    const Tensor full = stored.to(at::kFloat).mul(factors.reshape({-1, 1, 1, 1}));
    const FusedConv expected(full, {}, shape_of(s), Activation::none);
    const Tensor x = at::randn({1, s[1], s[3], s[3]}).contiguous(nhwc);
    EXPECT_TRUE(at::equal(expanded.conv(x), expected(x))) << stored.sizes();
    const Tensor sum = at::ones({1, s[0], s[3], s[3]}).contiguous(nhwc);
    expanded.conv.write_to(sum, x);
    EXPECT_TRUE(at::equal(sum, expected(x))) << stored.sizes();
  }
  if (packed == 0) GTEST_SKIP() << "oneDNN's orders of weights are others on this processor";
}

TEST(CompactWeights, NeedNoMoreThanTheirHalves) {
  WeightPacker packer;
  const Sizes s = {64, 64, 3, 8};
  const Tensor stored = at::randn({s[0], s[1], s[2], s[2]}).to(at::kHalf);
  const auto half = packer.pack(stored, at::ones({s[0]}), shape_of(s), Storage::float16);
  if (!half) GTEST_SKIP() << "oneDNN's orders of weights are others on this processor";
  EXPECT_GE(half->size(), stored.numel());
  EXPECT_EQ(half->size() % 16, 0);
  EXPECT_LE(half->size(), stored.numel() * 5 / 4);  // outputs are rounded up to blocks
}

TEST(CompactWeights, InfinitiesAndNanDoNotMatter) {
  const c10::NoGradGuard no_grad;
  WeightPacker packer;
  const Sizes s = {32, 32, 1, 8};
  const Tensor stored = at::randn({s[0], s[1], 1, 1}).to(at::kHalf);
  stored[3][4] = std::numeric_limits<float>::infinity();
  stored[5][6] = std::numeric_limits<float>::quiet_NaN();
  const auto half = packer.pack(stored, at::ones({s[0]}), shape_of(s), Storage::float16);
  if (!half) GTEST_SKIP() << "not an order that is known, or a NaN that another copy changed";
  const Expanded expanded(*half);
  const Tensor y = expanded.conv(at::ones({1, s[1], 8, 8}).contiguous(nhwc));
  EXPECT_TRUE(y.select(1, 3).isinf().all().item<bool>());
  EXPECT_TRUE(y.select(1, 5).isnan().all().item<bool>());
  EXPECT_TRUE(y.select(1, 4).isfinite().all().item<bool>());
}

TEST(CompactWeights, EightBitsAreHalfAPercentOff) {
  const c10::NoGradGuard no_grad;
  at::manual_seed(2);
  WeightPacker packer;
  for (const Sizes& s : {Sizes{64, 64, 3, 8}, {40, 24, 1, 8}}) {
    const Tensor stored = at::randn({s[0], s[1], s[2], s[2]}).to(at::kHalf);
    stored[5] = 0;
    const Tensor factors = at::rand({s[0]}).add(0.1);
    const auto packed = packer.pack(stored, factors, shape_of(s), Storage::int8);
    if (!packed) GTEST_SKIP() << "oneDNN's orders of weights are others on this processor";
    const Expanded expanded(*packed);
    // The weights themselves, by way of images with one pixel that is not 0.
    const Tensor full = stored.to(at::kFloat).mul(factors.reshape({-1, 1, 1, 1}));
    const FusedConv expected(full, {}, shape_of(s), Activation::none);
    double squares = 0, worst = 0;
    for (int64_t i = 0; i < s[1]; ++i) {
      const Tensor x = at::zeros({1, s[1], s[3], s[3]}).contiguous(nhwc);
      x[0][i][4][4] = 1;
      const Tensor difference =
          (expanded.conv(x) - expected(x)).div(factors.reshape({1, -1, 1, 1}));
      squares += difference.square().sum().item<double>();
      worst = std::max(worst, difference.abs().max().item<double>());
    }
    const double off = std::sqrt(squares / static_cast<double>(stored.numel()));
    EXPECT_LE(off, 0.008);
    EXPECT_GT(off, 0.002);
    EXPECT_LE(worst, 5. / 127 / 2 + 1e-3);  // half a step
  }
}

}  // namespace edm2
