#include "train/gradient_check.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "edm2/core/error.h"
#include "support/recording_progress.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TensorMeasure plain_measure(const Tensor& values) {
  TensorMeasure result;
  const Tensor flat = values.contiguous().flatten();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const double value = flat.const_data_ptr<float>()[i];
    if (std::isfinite(value))
      result.sum_of_squares += value * value;
    else
      result.nonfinite += 1;
  }
  return result;
}

class GradientCheckTest : public testing::Test {
 protected:
  GradientCheckTest() : network_(test::tiny_options(0)) {
    for (auto& parameter : network_.named_parameters())
      parameter.tensor->mutable_grad() = at::ones_like(*parameter.tensor);
  }
  Tensor& gradient(const std::string& name) {
    for (auto& parameter : network_.named_parameters())
      if (parameter.name == name) return parameter.tensor->mutable_grad();
    throw Error("no such parameter");
  }

  Precond network_;
  std::shared_ptr<test::RecordingProgress> progress_ = std::make_shared<test::RecordingProgress>();
  RunLog log_{progress_};
};

}  // namespace

TEST(GradientMeasure, KnownAnswer) {
  const TensorMeasure all = measure(at::tensor({3.f, nan, -4.f, inf, -inf, 0.f, 1e-20f}));
  EXPECT_EQ(all.nonfinite, 3);
  EXPECT_DOUBLE_EQ(all.sum_of_squares, 25);
  // Squares that float32 could not hold.
  EXPECT_NEAR(measure(at::full({100}, 3e38)).sum_of_squares, 100 * 9e76, 1e72);
  EXPECT_EQ(measure(at::empty({0})).nonfinite, 0);
  // A view that is not contiguous.
  EXPECT_DOUBLE_EQ(measure(at::arange(12).to(at::kFloat).reshape({3, 4}).t()).sum_of_squares, 506);
}

TEST(GradientMeasure, SameBitsOnAnyNumberOfThreads) {
  at::manual_seed(1);
  const Tensor values = at::randn({300'001});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double alone = measure(values).sum_of_squares;
  at::set_num_threads(2);
  const double together = measure(values).sum_of_squares;
  at::set_num_threads(threads);
  EXPECT_EQ(alone, together);
}

RC_GTEST_PROP(GradientMeasureProperty, EqualsThePlainLoop, ()) {
  at::manual_seed(static_cast<uint64_t>(*rc::gen::inRange(0, 1 << 30)));
  Tensor values = at::randn({*rc::gen::inRange<int64_t>(1, 70'000)});
  for (const float bad : {nan, inf, -inf})
    values.masked_fill_(at::rand_like(values) < *rc::gen::element(0.0, 0.001, 0.3), bad);
  const TensorMeasure fast = measure(values), plain = plain_measure(values);
  RC_ASSERT(fast.nonfinite == plain.nonfinite);
  RC_ASSERT(std::abs(fast.sum_of_squares - plain.sum_of_squares) <= 1e-12 * plain.sum_of_squares);
}

TEST_F(GradientCheckTest, SaysNothingOfFiniteGradients) {
  GradientCheck check(network_, OnNonfinite::stop, log_);
  EXPECT_TRUE(check.check(0));
  check.tell();
  EXPECT_TRUE(progress_->messages.empty());
  double squares = 0;
  for (const auto& measure : check.measures()) squares += measure.sum_of_squares;
  EXPECT_EQ(squares, static_cast<double>(network_.num_parameters()));
}

TEST_F(GradientCheckTest, ZeroesAndTellsOnceThenAtEachStatus) {
  GradientCheck check(network_, OnNonfinite::zero, log_);
  for (int step = 0; step < 5; ++step) {
    Tensor& grad = gradient("unet.out_conv.weight");
    grad.fill_(1);
    grad[0][0][0] = at::tensor({nan, inf, -inf});
    gradient("unet.out_gain").fill_(nan);
    EXPECT_TRUE(check.check(1024 * step));
    EXPECT_EQ(grad[0][0][0].sum().item<float>(), 0);
    EXPECT_EQ(grad[0][0][1].sum().item<float>(), 3);
    EXPECT_EQ(gradient("unet.out_gain").item<float>(), 0);
  }
  ASSERT_EQ(progress_->messages.size(), 1u);
  EXPECT_EQ(progress_->messages[0],
            "Warning: 4 of " + std::to_string(network_.num_parameters()) +
                " gradients are not finite in the step at 0.000 kimg (unet.out_conv.weight: 3, "
                "unet.out_gain: 1); they count as 0");
  EXPECT_EQ(check.counts().steps, 5);
  EXPECT_EQ(check.counts().elements, 20);
  check.tell();
  ASSERT_EQ(progress_->messages.size(), 2u);
  EXPECT_EQ(progress_->messages[1],
            "Warning: since the last status 5 steps had gradients that are not finite, 20 in all "
            "(unet.out_conv.weight: 15, unet.out_gain: 5); they counted as 0");
  EXPECT_EQ(check.counts().steps, 0);
  check.tell();
  EXPECT_EQ(progress_->messages.size(), 2u);
}

TEST_F(GradientCheckTest, SkipsOrStops) {
  for (auto& parameter : network_.named_parameters()) parameter.tensor->mutable_grad().fill_(inf);
  GradientCheck skip(network_, OnNonfinite::skip, log_);
  EXPECT_FALSE(skip.check(0));
  EXPECT_NE(progress_->messages.at(0).find(" more layers); this step is skipped"),
            std::string::npos)
      << progress_->messages.at(0);
  GradientCheck stop(network_, OnNonfinite::stop, log_);
  try {
    stop.check(2048);
    FAIL() << "did not stop";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("in the step at 2.048 kimg"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("--on-nonfinite=stop"), std::string::npos);
  }
}

}  // namespace edm2
