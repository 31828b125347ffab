#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/metrics/frechet.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;

FeatureStatistics random_statistics(uint64_t seed, int64_t dim) {
  at::manual_seed(seed);
  FeatureAccumulator accumulator(dim);
  accumulator.append(at::randn({5 * dim, dim}));
  return accumulator.finish();
}

}  // namespace

TEST(MetricsDistanceCli, PrintsAsTheOriginalDoes) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir() / "metrics";
  const std::string stats = folder / "stats.pkl", ref = folder / "ref.pkl";
  const auto run = run_edm2({"metrics", "distance", "--stats", stats, "--ref", ref});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, "Loading feature statistics from " + stats +
                         " ...\nLoading feature statistics from " + ref +
                         " ...\nCalculating fid...\n"
                         "Warning: fid over 200 images is larger than over 50000; compare it with "
                         "values over equally many only\nfid = 5.03363\n"
                         "No statistics computed for fd_dinov2 -- skipping.\n");
  const auto quiet = run_edm2({"metrics", "distance", "--stats", stats, "--ref", ref, "--quiet"});
  EXPECT_EQ(quiet.out, "fid = 5.03363\n");

  const auto json = run_edm2({"metrics", "distance", "--stats", stats, "--ref", ref, "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_NEAR(nlohmann::json::parse(json.out).at("fid").at("value").get<double>(),
              5.033628646709153, 1e-8);
}

TEST(MetricsDistanceCli, ReadsNpzAndKeepsTheOrderAsked) {
  const test::TempDir dir;
  const auto a = random_statistics(1, 4), b = random_statistics(2, 4);
  save_statistics(dir / "a.pkl", {{{"fid", a}, {"fd_dinov2", b}}, 20});
  save_statistics(dir / "b.pkl", {{{"fid", b}, {"fd_dinov2", b}}, 20});
  save_statistics(dir / "b.npz", {{{"fid", b}}, {}});
  const auto run = run_edm2({"metrics", "distance", "--stats", dir / "a.pkl", "--ref",
                             dir / "b.pkl", "--metrics=fd_dinov2,fid", "--quiet"});
  EXPECT_EQ(run.out.rfind("fd_dinov2 = ", 0), 0u) << run.out;
  EXPECT_NE(run.out.find("\nfid = "), std::string::npos) << run.out;
  const auto npz = run_edm2({"metrics", "distance", "--stats", dir / "a.pkl", "--ref",
                             dir / "b.npz", "--metrics=fid", "--json"});
  EXPECT_NEAR(nlohmann::json::parse(npz.out).at("fid").at("value").get<double>(),
              frechet_distance(a, b).value, 1e-12);
}

TEST(MetricsDistanceCli, OneSentenceForEachMistake) {
  const test::TempDir dir;
  save_statistics(dir / "a.pkl", {{{"fid", random_statistics(1, 4)}}, 20});
  save_statistics(dir / "b.pkl", {{{"fid", random_statistics(1, 5)}}, 20});
  save_statistics(dir / "c.pkl", {{{"fd_dinov2", random_statistics(1, 5)}}, 20});
  const auto distance = [&](const std::string& stats, const std::string& ref,
                            const std::string& metrics = "fid") {
    return run_edm2(
        {"metrics", "distance", "--stats", dir / stats, "--ref", dir / ref, "--metrics", metrics});
  };
  expect_error(distance("a.pkl", "b.pkl"), 1, "4 and 5 features an image");
  expect_error(distance("a.pkl", "c.pkl"), 1, "none of the metrics asked for is in both files");
  expect_error(distance("a.pkl", "absent.pkl"), 1, "absent.pkl");
  expect_error(distance("a.pkl", "a.pkl", "fid,x"), 1, "Invalid metric \"x\"");
  expect_error(run_edm2({"metrics", "distance", "--stats", dir / "a.pkl"}), 2,
               "Missing option '--ref'");
}

}  // namespace edm2
