// Against the tables that the original computed.
#include <gtest/gtest.h>

#include "edm2/ema/posthoc.h"
#include "edm2/ema/power_function.h"
#include "support/golden.h"

namespace edm2 {
namespace {

std::vector<double> doubles(const Tensor& tensor) {
  const Tensor values = tensor.to(at::kDouble).contiguous().reshape({-1});
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

}  // namespace

TEST(PostHocGolden, CoefficientsWithinConditionTimesRounding) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile tables(test::reference_dir() / "phema" / "tables.npz");
  for (int set = 0; tables.contains("set" + std::to_string(set) + ".coefs"); ++set) {
    const std::string prefix = "set" + std::to_string(set) + ".";
    SCOPED_TRACE(prefix);
    const auto times = doubles(tables.get(prefix + "in_ofs"));
    const auto stds = doubles(tables.get(prefix + "in_std"));
    const auto out_stds = doubles(tables.get(prefix + "out_std"));
    const auto out_time = static_cast<int64_t>(doubles(tables.get(prefix + "out_ofs"))[0]);
    std::vector<EmaProfile> stored, targets;
    for (size_t i = 0; i < times.size(); ++i)
      stored.push_back({static_cast<int64_t>(times[i]), stds[i]});
    for (const double std : out_stds) targets.push_back({out_time, std});
    const auto solutions = solve_posthoc(stored, targets);
    const Tensor expected = tables.get(prefix + "coefs");  // [inputs, outputs]
    const double condition = tables.get(prefix + "cond").item<double>();
    for (size_t j = 0; j < targets.size(); ++j) {
      const Tensor column = expected.select(1, static_cast<int64_t>(j));
      const Tensor ours = at::tensor(solutions[j].coefficients, at::kDouble);
      const double error = test::relative_error(ours, column);
      EXPECT_LT(error, 1e-13 * condition) << "length " << out_stds[j];
      RecordProperty(prefix + std::to_string(j), std::to_string(error / condition));
    }
  }
}

TEST(PostHocGolden, ExponentsWidthsDecaysAndResponse) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile tables(test::reference_dir() / "phema" / "tables.npz");
  const auto column = [&](const std::string& name) { return doubles(tables.get(name)); };
  const auto stds = column("std"), exponents = column("std_to_exp");
  for (size_t i = 0; i < stds.size(); ++i) {
    if (stds[i] >= 0.289) continue;
    EXPECT_NEAR(std_to_exp(stds[i]), exponents[i], 1e-10 * std::abs(exponents[i]) + 1e-11);
  }
  const auto given = column("exp"), widths = column("exp_to_std");
  for (size_t i = 0; i < given.size(); ++i) EXPECT_NEAR(exp_to_std(given[i]), widths[i], 1e-15);
  const auto arguments = column("beta_args"), betas = column("beta");
  for (size_t i = 0; i < betas.size(); ++i)
    EXPECT_NEAR(power_function_beta(arguments[3 * i], static_cast<int64_t>(arguments[3 * i + 1]),
                                    static_cast<int64_t>(arguments[3 * i + 2])),
                betas[i], 1e-12 * betas[i]);
  const auto response = column("response_len64_ofs50_std0p1");
  const auto ours = profile_response({50, 0.1}, 64);
  for (size_t i = 0; i < response.size(); ++i) EXPECT_NEAR(ours[i], response[i], 1e-14);
}

}  // namespace edm2
