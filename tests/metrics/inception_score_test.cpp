#include "edm2/metrics/inception_score.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "edm2/core/error.h"

namespace edm2 {

TEST(InceptionScore, IsTheNumberOfClassesThatAreTold) {
  // 100 pictures of each of 7 classes, told without doubt.
  const Tensor classes = at::arange(700).remainder(7);
  const auto sure = inception_score(at::one_hot(classes, 10) * 100, 1);
  EXPECT_NEAR(sure.value, 7, 1e-9);
  EXPECT_EQ(sure.deviation, 0);
  const auto unsure = inception_score(at::zeros({700, 10}));
  EXPECT_NEAR(unsure.value, 1, 1e-12);
}

// In pictures sorted by class every part would hold one class only.
TEST(InceptionScore, OrderOfThePicturesHardlyMatters) {
  const Tensor sorted = at::arange(7000).div(1000, "floor");
  const auto score = inception_score(at::one_hot(sorted, 10) * 100);
  EXPECT_NEAR(score.value, 7, 0.1);
  EXPECT_GT(score.deviation, 0);
  EXPECT_LT(score.deviation, 0.05);
}

TEST(InceptionScore, NeedsAPictureAPart) {
  EXPECT_THROW(inception_score(at::zeros({9, 3})), Error);
  EXPECT_NO_THROW(inception_score(at::zeros({10, 3})));
}

}  // namespace edm2
