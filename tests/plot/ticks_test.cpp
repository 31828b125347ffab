#include "plot/ticks.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>

namespace edm2::plot {

using Labels = std::vector<std::string>;

TEST(Ticks, LinearOnesAreRoundNumbers) {
  EXPECT_EQ(linear_ticks(0, 1, 6).labels, (Labels{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}));
  EXPECT_EQ(linear_ticks(-0.3, 1.2, 5).labels, (Labels{"0.0", "0.5", "1.0"}));
  EXPECT_EQ(linear_ticks(-10, 10, 5).labels, (Labels{"\u221210", "\u22125", "0", "5", "10"}));
  EXPECT_EQ(linear_ticks(0.05, 0.25, 5).labels, (Labels{"0.05", "0.10", "0.15", "0.20", "0.25"}));
}

TEST(Ticks, LongNumbersShareAPowerOfTen) {
  const Ticks large = linear_ticks(0, 2147483, 5);
  EXPECT_EQ(large.labels, (Labels{"0.0", "0.5", "1.0", "1.5", "2.0"}));
  EXPECT_EQ(large.factor, "\u00d710^{6}");
  EXPECT_DOUBLE_EQ(large.positions.back() / 1e6, std::stod(large.labels.back()));
  EXPECT_EQ(linear_ticks(0, 2e-5, 5).factor, "\u00d710^{\u22125}");
  EXPECT_EQ(linear_ticks(0, 5000, 5).factor, "");
}

TEST(Ticks, LogarithmicOnesArePowersOfTen) {
  const Ticks few = log_ticks(0.01, 100, 9);
  EXPECT_EQ(few.labels, (Labels{"0.01", "0.1", "1", "10", "100"}));
  EXPECT_EQ(few.minor.size(), 4u * 8);
  EXPECT_EQ(log_ticks(1e-6, 1e-2, 9).labels.front(), "10^{\u22126}");
  // Less than two decades: 1-2-5 steps; much less: as on a linear axis.
  EXPECT_EQ(log_ticks(0.9, 22, 9).labels, (Labels{"1", "2", "5", "10", "20"}));
  EXPECT_EQ(log_ticks(3, 4, 5).labels.front(), "3.00");
  // Many decades: some are left out, none is labelled twice.
  EXPECT_LE(log_ticks(1e-30, 1e30, 7).labels.size(), 7u);
}

RC_GTEST_PROP(TicksProperty, LinearTicksAreEvenInsideAndNotTooMany, ()) {
  const double low = *rc::gen::inRange(-1000000, 1000000) * std::pow(10, *rc::gen::inRange(-9, 5));
  const double span = *rc::gen::inRange(1, 1000000) * std::pow(10, *rc::gen::inRange(-6, 5));
  RC_PRE(span > 1e-9 * std::abs(low));
  const int max_count = *rc::gen::inRange(2, 12);
  const Ticks ticks = linear_ticks(low, low + span, max_count);
  RC_ASSERT(ticks.positions.size() == ticks.labels.size());
  RC_ASSERT(ticks.positions.size() <= static_cast<size_t>(max_count));
  for (const double tick : ticks.positions)
    RC_ASSERT(tick >= low - 1e-5 * span && tick <= low + span + 1e-5 * span);
  const std::set<std::string> different(ticks.labels.begin(), ticks.labels.end());
  RC_ASSERT(different.size() == ticks.labels.size());
}

}  // namespace edm2::plot
