// Scores and what is said beside them.
#include "edm2/metrics/scores.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/metrics/verify.h"

namespace edm2 {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

/// Its logits are its features.
class PlainInception final : public InceptionDetector {
 public:
  PlainInception() : InceptionDetector(DetectorOptions{}) {}
  std::string name() const override { return "PlainInception"; }
  int64_t feature_dim() const override { return 4; }
  std::string resize_method() const override { return "none"; }
  Tensor class_logits(const Tensor& features) const override { return features; }

 protected:
  Tensor forward(const Tensor& pixels) const override { return pixels; }
};

FeatureSet random_feature_set(int64_t count, uint64_t seed, double shift = 0) {
  at::manual_seed(seed);
  FeatureSet set;
  set.num_images = count;
  set.features.emplace_back("fid", at::randn({count, 4}) + shift);
  return set;
}

Score score(const std::string& metric, const FeatureSet& images, const FeatureSet& reference,
            ScoreOptions options = {}) {
  const PlainInception inception;
  options.inception = &inception;
  const auto scores = compute_scores(parse_metric_list(metric), images, reference, options,
                                     *make_progress(ProgressStyle::quiet));
  EXPECT_EQ(scores.size(), 1u);
  return scores.at(0);
}

void expect_null(const Score& score) {
  EXPECT_FALSE(score.deviation);
  EXPECT_TRUE(to_json(score).contains("deviation"));
  EXPECT_TRUE(to_json(score).at("deviation").is_null());
}

}  // namespace

TEST(Scores, KernelDistanceOfWholeSetsHasNoErrorBar) {
  const FeatureSet few = random_feature_set(30, 1), many = random_feature_set(1500, 2);
  const std::tuple<const FeatureSet&, const FeatureSet&, const char*> whole[] = {
      {few, few, "all 30 pictures of the images (they would have 1000)"},
      {few, many, "all 30 pictures of the images"},
      {many, few, "all 30 pictures of the reference"}};
  for (const auto& [images, reference, words] : whole) {
    const Score kid = score("kid", images, reference);
    expect_null(kid);
    EXPECT_THAT(kid.warnings, Contains(HasSubstr(words)));
  }
}

TEST(Scores, InceptionScoreOfFewPictures) {
  const FeatureSet none;
  for (const int64_t count : {10, 15, 19}) {
    const Score is = score("is", random_feature_set(count, 1), none);
    expect_null(is);
    EXPECT_THAT(is.warnings, Contains(HasSubstr("is smaller than over 50000")));
  }
  const Score is = score("is", random_feature_set(40, 1), none);
  EXPECT_TRUE(is.deviation);
  EXPECT_THAT(is.warnings, Contains(HasSubstr("each of its ten parts has but 4;")));
}

TEST(Scores, SharesThatAreAllAlikeHaveNoErrorBar) {
  const FeatureSet here = random_feature_set(20, 1), there = random_feature_set(20, 2, 1000);
  for (const char* metric : {"precision", "recall", "density", "coverage"}) {
    const Score apart = score(metric, here, there);
    EXPECT_EQ(apart.value, 0);
    expect_null(apart);
    EXPECT_THAT(apart.warnings, Contains(HasSubstr("all pictures count alike")));
  }
  const Score mixed = score("precision", random_feature_set(40, 1), random_feature_set(40, 2));
  EXPECT_GT(mixed.deviation.value(), 0);
  EXPECT_THAT(mixed.warnings, IsEmpty());
}

TEST(Scores, OfAnUnusualDetectorSaySo) {
  const FeatureSet set = random_feature_set(20, 1);
  ScoreOptions options;
  options.unusual = {{DetectorKind::inception, "another network"}};
  EXPECT_THAT(score("precision", set, random_feature_set(20, 2), options).warnings,
              Contains("another network"));
}

}  // namespace edm2
