#include "train/spike_detector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace edm2 {
namespace {

/// Steps of a usual run: falling, with noise.
class Losses {
 public:
  double next() {
    const double mean = 0.4 + 2 * std::exp(-step_++ / 300.0);
    return mean * (1 + 0.05 * normal_(engine_));
  }

 private:
  std::mt19937 engine_{5};
  std::normal_distribution<double> normal_;
  int step_ = 0;
};

}  // namespace

TEST(SpikeDetector, IsQuietInAUsualRun) {
  SpikeDetector detector;
  Losses losses;
  for (int step = 0; step < 5000; ++step) EXPECT_FALSE(detector.add(losses.next())) << step;
}

TEST(SpikeDetector, NoticesTheBeginningOfASpikeOnly) {
  SpikeDetector detector;
  Losses losses;
  for (int step = 0; step < 2000; ++step) detector.add(losses.next());
  const auto spike = detector.add(5);
  ASSERT_TRUE(spike);
  EXPECT_EQ(spike->loss, 5);
  EXPECT_NEAR(spike->expected.value(), 0.4, 0.02);
  for (int step = 0; step < 20; ++step) EXPECT_FALSE(detector.add(4 + step));  // it lasts
  EXPECT_FALSE(detector.add(losses.next()));
  EXPECT_TRUE(detector.add(5));  // another one; those before did not move the median
}

TEST(SpikeDetector, ALossThatIsNotFiniteIsASpikeAtOnce) {
  SpikeDetector detector;
  const auto spike = detector.add(NAN);
  ASSERT_TRUE(spike);
  EXPECT_TRUE(std::isnan(spike->loss));
  EXPECT_FALSE(spike->expected);
  EXPECT_FALSE(detector.add(INFINITY));
  for (int step = 0; step < 100; ++step) EXPECT_FALSE(detector.add(1));
  EXPECT_TRUE(detector.add(INFINITY));
}

TEST(SpikeDetector, GetsUsedToALastingChange) {
  SpikeDetector detector;
  for (int step = 0; step < 300; ++step) detector.add(1);
  EXPECT_TRUE(detector.add(2));
  for (int step = 0; step < 300; ++step) EXPECT_FALSE(detector.add(2));
  EXPECT_TRUE(detector.add(3));
}

TEST(SpikeDetector, WorksWithLossesBelowZero) {
  SpikeDetector detector;
  std::mt19937 engine(1);
  std::normal_distribution<double> normal(-1.5, 0.02);
  for (int step = 0; step < 1000; ++step) EXPECT_FALSE(detector.add(normal(engine)));
  EXPECT_TRUE(detector.add(-0.5));
}

}  // namespace edm2
