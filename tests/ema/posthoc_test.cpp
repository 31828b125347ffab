#include "edm2/ema/posthoc.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"

namespace edm2 {
namespace {

std::vector<EmaProfile> grid(int count, int64_t step, const std::vector<double>& stds) {
  std::vector<EmaProfile> profiles;
  for (int i = 1; i <= count; ++i)
    for (const double std : stds) profiles.push_back({i * step, std});
  return profiles;
}

PostHocSolution solve(const std::vector<EmaProfile>& stored, const EmaProfile& target) {
  return solve_posthoc(stored, std::span(&target, 1)).front();
}

// Integral over [0, end] by the midpoint rule.
template <class Function>
double integrate(double end, Function function) {
  constexpr int points = 200'000;
  double sum = 0;
  for (int i = 0; i < points; ++i) sum += function(end * (i + 0.5) / points);
  return sum * end / points;
}

double density(const EmaProfile& profile, double time) {
  const double one = 1;
  return combined_density(std::span(&profile, 1), std::span(&one, 1), time);
}

}  // namespace

TEST(PostHoc, CorrelationsOfTheSpecification) {
  EXPECT_NEAR(profile_correlation({1000, .05}, {1000, .05}), 0.00924325352385976, 1e-14);
  EXPECT_NEAR(profile_correlation({1000, .05}, {2000, .10}), 2.33651713556985e-05, 1e-17);
  EXPECT_NEAR(profile_correlation({2000, .10}, {1000, .05}), 2.33651713556985e-05, 1e-17);
  EXPECT_NEAR(profile_correlation({1000, .10}, {2000, .05}), 2.22707360118082e-08, 1e-20);
}

TEST(PostHoc, ResponseOfTheSpecification) {
  const std::vector<double> expected = {0, 0.0407227484, 0.1444049923, 0.3028046162, 0.5120676430,
                                        0};
  const auto response = profile_response({4, 0.2}, 6);
  ASSERT_EQ(response.size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(response[i], expected[i], 1e-10);
}

TEST(PostHoc, CoefficientsOfTheSpecification) {
  const auto four = grid(2, 1024, {.05, .1});
  const EmaProfile targets[] = {{2048, .05}, {2048, .075}, {2048, .15}};
  const auto solutions = solve_posthoc(four, targets);
  const double expected[3][4] = {
      {0, 0, 1, 0},
      {1.3574828106e-04, -2.4266268306e-03, 0.34296903586, 0.65932184269},
      {-0.014495997377, 0.050141393536, -0.34051189461, 1.3048664985}};
  for (size_t j = 0; j < 3; ++j)
    for (size_t i = 0; i < 4; ++i)
      EXPECT_NEAR(solutions[j].coefficients[i], expected[j][i], 1e-10) << j << ' ' << i;
  EXPECT_LT(solutions[0].error, 1e-8);

  const auto sixteen = solve(grid(8, 8388608, {.05, .1}), {8 * 8388608, .15});
  EXPECT_NEAR(sixteen.coefficients.front(), -2.310621252e-05, 1e-13);
  EXPECT_NEAR(sixteen.coefficients.back(), 0.9406542163, 1e-9);
}

TEST(PostHoc, ErrorIsTheDistanceOfTheProfiles) {
  const auto stored = grid(6, 1000, {.05, .1});
  for (const double std : {0.03, 0.07, 0.2}) {
    const EmaProfile target{6000, std};
    const PostHocSolution solution = solve(stored, target);
    const double distance = integrate(6000, [&](double t) {
      return std::pow(combined_density(stored, solution.coefficients, t) - density(target, t), 2);
    });
    const double norm = integrate(6000, [&](double t) { return std::pow(density(target, t), 2); });
    EXPECT_NEAR(solution.error, std::sqrt(distance / norm), 1e-4 * solution.error + 1e-7) << std;
  }
}

TEST(PostHoc, ReconstructsAveragesOfScalars) {
  // Raw weights on a smooth path; averages of them stored now and then, as a training run does.
  const auto raw = [](int64_t t) { return std::sin(1e-3 * static_cast<double>(t)) + 0.3; };
  const std::vector<double> stds = {.05, .1, .15};
  std::vector<double> averages(3);
  std::vector<EmaProfile> stored;
  std::vector<double> values;
  for (int64_t t = 1; t <= 8000; ++t) {
    for (size_t i = 0; i < 3; ++i) {
      const double beta = power_function_beta(stds[i], t, 1);
      averages[i] = beta * averages[i] + (1 - beta) * raw(t);
      if (i < 2 && t % 1000 == 0) {
        stored.push_back({t, stds[i]});
        values.push_back(averages[i]);
      }
    }
  }
  const PostHocSolution solution = solve(stored, {8000, .15});
  const double reconstructed =
      std::inner_product(values.begin(), values.end(), solution.coefficients.begin(), 0.0);
  EXPECT_LT(solution.error, 0.05);
  EXPECT_NEAR(reconstructed, averages[2], 0.02 * std::abs(averages[2]));
}

TEST(PostHoc, RefusesWhatCannotBeSolved) {
  const EmaProfile target{1000, .1};
  EXPECT_THROW(solve({}, target), Error);
  EXPECT_THROW(solve({{1000, .05}, {1000, .05}}, target), Error);
  EXPECT_THROW(solve({{0, .05}}, target), Error);
  EXPECT_THROW(solve({{1000, .3}}, target), Error);
}

RC_GTEST_PROP(PostHocProperty, StoredProfilesComeBackAndColumnsSumToOne, ()) {
  const int count = *rc::gen::inRange(1, 12);
  const auto step = *rc::gen::inRange<int64_t>(1, 1 << 24);
  const auto stored = grid(count, step, {.05, .1});
  const auto pick = static_cast<size_t>(*rc::gen::inRange(0, 2 * count));
  const PostHocSolution same = solve(stored, stored[pick]);
  for (size_t i = 0; i < stored.size(); ++i)
    RC_ASSERT(std::abs(same.coefficients[i] - (i == pick ? 1 : 0)) < 1e-9);
  RC_ASSERT(same.error < 1e-7);
  const double std = *rc::gen::inRange(10, 280) / 1000.0;
  const PostHocSolution other = solve(stored, {count * step, std});
  RC_ASSERT(std::abs(std::accumulate(other.coefficients.begin(), other.coefficients.end(), 0.0) -
                     1) < 1e-9);
}

// ---- Thinning

TEST(ThinProfiles, TakesTheLeastHarmfulFirst) {
  const auto stored = grid(5, 1000, {.05, .1});
  std::vector<EmaProfile> targets;
  for (double std = 0.02; std < 0.25; std += 0.01) targets.push_back({5000, std});
  const auto steps = thin_profiles(stored, targets);
  ASSERT_EQ(steps.size(), stored.size() - 1);

  // The first choice and its loss, against all that could have been removed, solved anew.
  const auto loss_without = [&](size_t removed) {
    auto rest = stored;
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(removed));
    double sum = 0;
    for (const EmaProfile& target : targets)
      sum += std::pow(solve(rest, target).error, 2) - std::pow(solve(stored, target).error, 2);
    return std::sqrt(sum / static_cast<double>(targets.size()));
  };
  double least = 1e9;
  size_t best = 0;
  for (size_t i = 0; i < stored.size(); ++i)
    if (const double loss = loss_without(i); loss < least) {
      least = loss;
      best = i;
    }
  EXPECT_EQ(steps[0].removed, best);
  EXPECT_NEAR(steps[0].rms_loss, least, 1e-6 * least);

  for (size_t i = 1; i < steps.size(); ++i) {
    EXPECT_GE(steps[i].rms_loss, steps[i - 1].rms_loss);
    EXPECT_GE(steps[i].largest_loss, steps[i].rms_loss);
  }
  // Each once, and the one that is left is of the time that is wanted.
  std::vector<bool> gone(stored.size());
  for (const auto& step : steps) {
    EXPECT_FALSE(gone[step.removed]);
    gone[step.removed] = true;
  }
  const auto left = std::find(gone.begin(), gone.end(), false) - gone.begin();
  EXPECT_EQ(stored[static_cast<size_t>(left)].time, 5000);
}

TEST(ThinProfiles, ManyStepsStayAccurate) {
  // Long chains of updates (with refreshes between them) against a solution from scratch.
  const auto stored = grid(24, 1 << 23, {.05, .1});
  std::vector<EmaProfile> targets;
  for (double std = 0.02; std < 0.25; std += 0.02) targets.push_back({24 << 23, std});
  const auto steps = thin_profiles(stored, targets);
  auto rest = stored;
  for (size_t k = 0; k < steps.size(); ++k) {
    std::erase(rest, stored[steps[k].removed]);
    if (k % 5 != 0) continue;
    double largest = 0;
    for (const EmaProfile& target : targets)
      largest = std::max(largest, std::pow(solve(rest, target).error, 2) -
                                      std::pow(solve(stored, target).error, 2));
    largest = std::sqrt(largest);
    EXPECT_NEAR(steps[k].largest_loss, largest, 1e-4 * largest + 1e-7) << k;
  }
}

}  // namespace edm2
