// Power-function averages of the library ema-pytorch 0.8.3 beside ours. Its numbers are those that
// it computes for the same lengths and times.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "edm2/ema/posthoc.h"
#include "edm2/ema/power_function.h"
#include "edm2/ema/snapshot_name.h"

namespace edm2 {

/// It counts the update that is being made twice: its decay after t updates is ours after t + 1, so
/// that the first weights keep a share of 1/2^(g+1).
TEST(EmaPytorch, ItsDecayIsThatOfTheNextStep) {
  const double theirs[] = {0.004080031659650188, 0.040024670494066675, 0.10193792001997923,
                           0.17013962182901765};
  for (int64_t t = 1; t <= 4; ++t)
    EXPECT_NEAR(power_function_beta(0.10, t + 1, 1), theirs[t - 1], 1e-14) << t;
  EXPECT_EQ(power_function_beta(0.10, 1, 1), 0);  // nothing of the initial weights stays
  // The difference is gone after some hundred updates.
  EXPECT_NEAR(power_function_beta(0.10, 10001, 1), power_function_beta(0.10, 10000, 1), 1e-7);
}

/// It solves the same system and does not divide the coefficients by their sum.
TEST(EmaPytorch, ItsCoefficientsAreOursTimesTheirSum) {
  struct Case {
    int64_t stored;  // averages of lengths 0.05 and 0.10, each 1000 updates
    EmaProfile target;
    std::vector<double> theirs;
  };
  const Case cases[] = {
      {2,
       {2000, 0.15},
       {-0.01275156805497362, 0.04410744396585402, -0.29953513957303446, 1.1478405745085922}},
      {8,
       {8000, 0.15},
       {-2.2985457799163298e-05, 7.950628405348646e-05, -0.0005377061068111484,
        0.001554896351272088, -0.003188250783318957, 0.008196079344584186, -0.010318734774417786,
        0.02509687048501991, -0.024445830389656018, 0.05789467866943301, -0.04839752107746015,
        0.11299742388861292, -0.08535969954841253, 0.19762536990010982, -0.17213845838511427,
        0.9357382901664169}},
      {8,
       {4000, 0.075},
       {5.606762158279531e-08, -1.0022609037522884e-06, 0.00013232106474174316,
        -0.0007965518118652648, 0.011707622111641747, -0.04515068519555949, 0.34008204915610124,
        0.7048990462598002, 0, 0, 0, 0, 0, 0, 0, 0}}};
  for (const Case& c : cases) {
    std::vector<EmaProfile> stored;
    for (int64_t i = 1; i <= c.stored; ++i)
      for (const double std : {0.05, 0.10}) stored.push_back({1000 * i, std});
    const auto ours = solve_posthoc(stored, std::span(&c.target, 1)).front().coefficients;
    const double sum = std::accumulate(c.theirs.begin(), c.theirs.end(), 0.0);
    EXPECT_GT(std::abs(sum - 1), 0.005) << c.target.std;  // weights of a constant network shrink
    ASSERT_EQ(ours.size(), c.theirs.size());
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_NEAR(ours[i], c.theirs[i] / sum, 1e-8) << c.target.std << ' ' << i;
  }
}

/// "0.1024.pt" is its first length after 1024 updates; the length itself stands nowhere.
TEST(EmaPytorch, ItsCheckpointsAreNoSnapshots) {
  for (const char* name : {"0.1024.pt", "1.1024.pt", "0.1024.pkl", "0.1024.safetensors"})
    EXPECT_FALSE(parse_snapshot_name(name)) << name;
}

}  // namespace edm2
