// The fused chains against the formulas that they stand for, forward and backward.
#include "nn/fused_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <functional>

#include "edm2/nn/layers.h"
#include "support/golden.h"

namespace edm2 {
namespace {

using test::relative_error;
using Tensors = std::vector<Tensor>;
using Formula = std::function<Tensors(const Tensors&)>;

struct Shape {
  int64_t n, c, h, w;
};
const Shape shapes[] = {{2, 5, 3, 7}, {1, 16, 4, 4}, {3, 33, 2, 6}, {2, 40, 1, 1}, {2, 7, 40, 20}};

Tensor random(const Shape& s, c10::ScalarType type) {
  return at::randn({s.n, s.c, s.h, s.w}).to(type);
}

/// Outputs of f and, after a backward pass with fixed random weights, gradients of the inputs.
Tensors run(const Formula& f, const Tensors& values, c10::ScalarType type) {
  Tensors inputs;
  for (const Tensor& value : values)
    inputs.push_back(
        value.to(value.dim() == 4 ? type : at::kFloat, false, /*copy=*/true).requires_grad_());
  Tensors results = f(inputs);
  at::manual_seed(7);
  Tensor sum = at::zeros({});
  for (const Tensor& out : results) sum = sum + (out.to(at::kFloat) * at::randn(out.sizes())).sum();
  sum.backward();
  for (Tensor& result : results) result = result.detach();
  for (const Tensor& input : inputs) results.push_back(input.grad());
  return results;
}

void expect_equal(const Tensors& a, const Tensors& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].equal(b[i])) << what << ", " << i;
}

/// `fused` and `plain` (in float32) agree for both types, and threads and repetition change
/// nothing.
void compare(const Formula& fused, const Formula& plain, const Tensors& values) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    SCOPED_TRACE(c10::toString(type));
    Tensors rounded;
    for (const Tensor& v : values) rounded.push_back(v.dim() == 4 ? v.to(type) : v);
    const Tensors actual = run(fused, rounded, type);
    const Tensors expected = run(plain, rounded, at::kFloat);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_TRUE(actual[i].defined() && expected[i].defined()) << i;
      ASSERT_EQ(actual[i].sizes(), expected[i].sizes()) << i;
      EXPECT_LE(relative_error(actual[i].to(at::kFloat), expected[i]),
                type == at::kFloat ? 3e-6 : 1.5e-2)
          << i;
    }
    expect_equal(run(fused, rounded, type), actual, "repeated");
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    expect_equal(run(fused, rounded, type), actual, "one thread");
    at::set_num_threads(threads);
  }
}

Tensors both(const Branches& branches) { return {branches.first, branches.second}; }

}  // namespace

TEST(FusedOps, Silu) {
  for (const Shape& s : shapes)
    compare([](const Tensors& x) { return both(with_silu(x[0])); },
            [](const Tensors& x) {
              return Tensors{x[0] * 1, mp_silu(x[0])};
            },
            {random(s, at::kFloat) * 3});
}

TEST(FusedOps, SiluOfExtremeValues) {
  const Tensor x = at::tensor({-200.f, -100.f, -88.f, -20.f, 0.f, 20.f, 100.f, 200.f})
                       .reshape({1, 8, 1, 1})
                       .requires_grad_();
  const Tensor y = with_silu(x).second;
  EXPECT_LE(relative_error(y.detach(), mp_silu(x.detach())), 1e-6);
  y.sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
  EXPECT_NEAR(x.grad()[0][7][0][0].item<double>(), 1 / 0.596, 1e-6);
  EXPECT_NEAR(x.grad()[0][0][0][0].item<double>(), 0, 1e-6);
  // What is not a number stays so, for the check of gradients to find.
  const Tensor bad = at::full({1, 17, 1, 1}, std::nanf("")).requires_grad_();
  EXPECT_TRUE(with_silu(bad).second.isnan().all().item<bool>());
  EXPECT_TRUE(with_silu(bad.to(at::kBFloat16)).second.isnan().all().item<bool>());
}

TEST(FusedOps, PixelNorm) {
  for (const Shape& s : shapes)
    compare([](const Tensors& x) { return both(pixel_norm_with_silu(x[0])); },
            [](const Tensors& x) {
              const Tensor y = normalize(x[0], at::IntArrayRef{1});
              return Tensors{y, mp_silu(y)};
            },
            {random(s, at::kFloat) * 2});
}

TEST(FusedOps, PixelNormOfZeros) {
  const Tensor x = at::zeros({1, 6, 2, 2}).requires_grad_();
  const auto [normalized, y] = pixel_norm_with_silu(x);
  EXPECT_EQ(normalized.abs().max().item<float>(), 0);
  y.sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
}

TEST(FusedOps, OneBranchUnused) {
  // Each output alone gives the gradient of the formula.
  for (const size_t used : {size_t{0}, size_t{1}}) {
    const auto only = [used](const Tensors& all) { return Tensors{all[used]}; };
    const Shape s = shapes[0];
    compare([&](const Tensors& x) { return only(both(pixel_norm_with_silu(x[0]))); },
            [&](const Tensors& x) {
              const Tensor y = normalize(x[0], at::IntArrayRef{1});
              return only({y, mp_silu(y)});
            },
            {random(s, at::kFloat)});
    compare([&](const Tensors& x) { return only(both(mp_cat_with_silu(x[0], x[1], 0.4))); },
            [&](const Tensors& x) {
              const Tensor y = mp_cat(x[0], x[1], 0.4);
              return only({y, mp_silu(y)});
            },
            {random(s, at::kFloat), random(s, at::kFloat)});
  }
}

TEST(FusedOps, Concatenation) {
  for (const Shape& s : shapes)
    compare([](const Tensors& x) { return both(mp_cat_with_silu(x[0], x[1], 0.3)); },
            [](const Tensors& x) {
              const Tensor y = mp_cat(x[0], x[1], 0.3);
              return Tensors{y, mp_silu(y)};
            },
            {random(s, at::kFloat), random({s.n, s.c + 3, s.h, s.w}, at::kFloat)});
}

TEST(FusedOps, Modulation) {
  for (const Shape& s : shapes)
    for (const int64_t rows : {s.n, int64_t{1}})
      compare(
          [](const Tensors& x) { return Tensors{modulated_silu(x[0], x[1])}; },
          [](const Tensors& x) { return Tensors{mp_silu(x[0] * x[1].unsqueeze(2).unsqueeze(3))}; },
          {random(s, at::kFloat), at::randn({rows, s.c})});
}

TEST(FusedOps, SumAndClip) {
  for (const Shape& s : shapes) {
    for (const double scale : {1.0, 60.0}) {  // nothing is clipped, much is
      Tensor a = random(s, at::kFloat) * scale, b = random(s, at::kFloat) * scale;
      // Nothing so near to the limit that rounding decides whether a gradient passes.
      const Tensor near = (mp_sum(a, b, 0.3).abs() - 50).abs() < 2;
      a.masked_fill_(near, 0);
      b.masked_fill_(near, 0);
      compare([](const Tensors& x) { return Tensors{mp_sum_clip(x[0], x[1], 0.3, 50)}; },
              [](const Tensors& x) { return Tensors{mp_sum(x[0], x[1], 0.3).clamp(-50, 50)}; },
              {a, b});
    }
    compare([](const Tensors& x) { return Tensors{mp_sum_clip(x[0], x[1], 0.6, {})}; },
            [](const Tensors& x) { return Tensors{mp_sum(x[0], x[1], 0.6)}; },
            {random(s, at::kFloat) * 100, random(s, at::kFloat)});
  }
}

TEST(FusedOps, Resampling) {
  for (const Shape& s : {Shape{2, 5, 4, 6}, Shape{1, 33, 2, 2}}) {
    compare([](const Tensors& x) { return Tensors{resample_box(x[0], Resample::down)}; },
            [](const Tensors& x) { return Tensors{at::avg_pool2d(x[0], 2)}; },
            {random(s, at::kFloat)});
    compare([](const Tensors& x) { return Tensors{resample_box(x[0], Resample::up)}; },
            [](const Tensors& x) {
              return Tensors{at::upsample_nearest2d(
                  x[0], at::IntArrayRef{2 * x[0].size(2), 2 * x[0].size(3)})};
            },
            {random(s, at::kFloat)});
  }
}

TEST(FusedOps, QueriesKeysAndValues) {
  for (const int64_t depth : {4, 16, 19}) {
    const int64_t n = 2, heads = 3, pixels = 15;
    compare(
        [&](const Tensors& x) {
          const auto [q, k, v] = split_qkv(x[0], heads);
          return Tensors{q, k, v};
        },
        [&](const Tensors& x) {
          const auto all =
              normalize(x[0].reshape({n, heads, depth, 3, pixels}), at::IntArrayRef{2}).unbind(3);
          Tensors parts;
          for (const Tensor& part : all)
            parts.push_back(part.transpose(2, 3).reshape({n * heads, pixels, depth}));
          parts[1] = parts[1] / std::sqrt(static_cast<double>(depth));
          return parts;
        },
        {random({n, heads * depth * 3, 3, 5}, at::kFloat)});
  }
}

TEST(FusedOps, TrainingWeights) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{5, 7, 3, 3}, {16, 32, 3, 3}, {9, 33, 1, 1}, {6, 21}})
    for (const bool force : {false, true})
      for (const bool with_gain : {false, true})
        for (const auto type : {at::kFloat, at::kBFloat16}) {
          const Tensor start = at::randn(shape) * 1.7;
          Tensor fused = start.clone().requires_grad_(), plain = start.clone().requires_grad_();
          Tensor gain_fused, gain_plain;
          if (with_gain) {
            gain_fused = at::scalar_tensor(0.7).requires_grad_();
            gain_plain = at::scalar_tensor(0.7).requires_grad_();
          }
          const Tensor w = training_weight(fused, gain_fused, force, type);
          if (force) {
            c10::NoGradGuard no_grad;
            plain.copy_(normalize(plain));
          }
          EXPECT_LE(relative_error(fused.detach(), plain.detach()), 1e-6);
          const Tensor expected =
              with_gain ? effective_weight(plain, gain_plain) : effective_weight(plain);
          EXPECT_EQ(w.scalar_type(), type);
          const double tolerance = type == at::kFloat ? 2e-6 : 1e-2;
          EXPECT_LE(relative_error(w.detach().to(at::kFloat), expected.detach()), tolerance);
          const Tensor direction = at::randn(shape).to(type).to(at::kFloat);
          (w * direction.to(type)).to(at::kFloat).sum().backward();
          (expected * direction).sum().backward();
          EXPECT_LE(relative_error(fused.grad(), plain.grad()), 5e-6);
          if (with_gain) {
            EXPECT_LE(relative_error(gain_fused.grad(), gain_plain.grad()), 5e-5);
          }
        }
}

TEST(FusedOps, OnlyWhereGradientsAreWanted) {
  const Tensor x = at::randn({1, 4, 2, 2});
  EXPECT_TRUE(is_fused(x));
  EXPECT_TRUE(is_fused(x.to(at::kBFloat16)));
  EXPECT_FALSE(is_fused(x.to(at::kHalf)));
  EXPECT_FALSE(is_fused(x.to(at::kDouble)));
  const c10::NoGradGuard no_grad;
  EXPECT_FALSE(is_fused(x));
}

}  // namespace edm2
