#include "train/noise_bins.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace edm2 {

TEST(NoiseBins, AreOctavesWithoutGaps) {
  EXPECT_EQ(noise_bin(0), 0);
  EXPECT_EQ(noise_bin(1.0 / 64 - 1e-9), 0);
  EXPECT_EQ(noise_bin(1.0 / 64), 1);
  EXPECT_EQ(noise_bin(63.999), num_noise_bins - 2);
  EXPECT_EQ(noise_bin(64), num_noise_bins - 1);
  EXPECT_EQ(noise_bin(1e30), num_noise_bins - 1);
  for (double sigma = 1e-4; sigma < 1e4; sigma *= 1.07) {
    const auto [low, high] = noise_bin_range(noise_bin(sigma));
    EXPECT_LE(low, sigma);
    EXPECT_GT(high, sigma);
  }
  for (int bin = 1; bin < num_noise_bins; ++bin)
    EXPECT_EQ(noise_bin_range(bin).first, noise_bin_range(bin - 1).second);
}

TEST(NoiseBins, NamesStandForTheirRanges) {
  EXPECT_EQ(noise_bin_name(0), "Loss/sigma_0_0.015625");
  EXPECT_EQ(noise_bin_name(5), "Loss/sigma_0.25_0.5");
  EXPECT_EQ(noise_bin_name(num_noise_bins - 1), "Loss/sigma_64_inf");
  for (int bin = 0; bin < num_noise_bins; ++bin)
    EXPECT_EQ(parse_noise_bin_name(noise_bin_name(bin)), noise_bin_range(bin));
  EXPECT_FALSE(parse_noise_bin_name("Loss/loss"));
  EXPECT_FALSE(parse_noise_bin_name("Loss/sigma_1_3"));
}

TEST(NoiseBins, MeansOverTheImagesOfEachBin) {
  Statistics statistics;
  const Tensor sigma = at::tensor({0.3f, 3.f, 0.4f, 1000.f}).reshape({4, 1, 1, 1});
  report_loss_by_noise(at::tensor({1.f, 5.f, 2.f, NAN}), sigma, statistics);
  const NamedValues means = statistics.take_means();
  ASSERT_EQ(means.size(), 3u);
  EXPECT_EQ(means[0], (std::pair<std::string, double>("Loss/sigma_0.25_0.5", 1.5)));
  EXPECT_EQ(means[1], (std::pair<std::string, double>("Loss/sigma_2_4", 5)));
  EXPECT_TRUE(std::isnan(means[2].second));
}

}  // namespace edm2
