// edm2 flops as a user runs it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/nn/snapshot.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;
using test::RunResult;

}  // namespace

TEST(FlopsCli, PresetsAreCountedWithoutWeights) {
  const RunResult run = run_edm2({"flops", "--preset=edm2-img512-xxl", "--no-time"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* line :
       {"Parameters  1523.16 M\n", "Compute     552.07  Gflops/sample\n", "GPU memory  n/a\n",
        "Op                        Count  Gflops\n", "aten::_convolution        129    545.50\n",
        "aten::matmul              68     1.43\n", "aten::clamp_              36     "})
    EXPECT_TRUE(test::contains(run.out, line)) << line << run.out;
  EXPECT_FALSE(test::contains(run.out, "Time "));
  const RunResult uncond =
      run_edm2({"flops", "--preset=edm2-img512-xs", "--cond=false", "--no-time", "--json"});
  ASSERT_EQ(uncond.exit_code, 0) << uncond.err;
  EXPECT_EQ(nlohmann::json::parse(uncond.out).at("parameters"), 124201253);
  EXPECT_EQ(nlohmann::json::parse(uncond.out).at("flops"), 45495785226.0);
  // A preset for generation, without downloading its network.
  const RunResult generate = run_edm2(
      {"flops", "--preset=edm2-img64-s-fid", "--no-time", "--offline", "--layers", "--batch=4"});
  ASSERT_EQ(generate.exit_code, 0) << generate.err;
  EXPECT_TRUE(test::contains(generate.out, "Parameters  280.21  M")) << generate.out;
  EXPECT_TRUE(test::contains(generate.out, "unet.dec.8x8_block3")) << generate.out;
}

TEST(FlopsCli, SnapshotsAndConfigurations) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(5);
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  save_snapshot(dir / "a.pt", snapshot, SnapshotFormat::torch);
  std::ofstream(dir / "c.json") << nlohmann::json{{"network", to_json(snapshot.network)}}.dump();
  nlohmann::json first;
  for (const auto& words : std::vector<std::vector<std::string>>{
           {dir / "a.pkl"}, {dir / "a.pt"}, {"--config", dir / "c.json"}}) {
    std::vector<std::string> command = {"flops", "--json", "--no-time"};
    command.insert(command.end(), words.begin(), words.end());
    const RunResult run = run_edm2(command);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    nlohmann::json json = nlohmann::json::parse(run.out);
    json.erase("network");
    if (first.is_null()) first = json;
    EXPECT_EQ(json, first);
  }
  EXPECT_GT(first.at("flops"), 0);
  const RunResult timed = run_edm2({"flops", dir / "a.pkl", "--json", "--device=cpu"});
  ASSERT_EQ(timed.exit_code, 0) << timed.err;
  EXPECT_GT(nlohmann::json::parse(timed.out).at("seconds"), 0);
  const RunResult text = run_edm2({"flops", dir / "a.pkl", "--layers", "--device=cpu"});
  EXPECT_TRUE(test::contains(text.out, "Loading network from ")) << text.out;
  EXPECT_TRUE(test::contains(text.out, "Time          about ")) << text.out;
}

TEST(FlopsCli, WrongUsage) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  expect_error(run_edm2({"flops"}), 2, "one of NET");
  expect_error(run_edm2({"flops", dir / "a.pkl", "--preset=edm2-img512-s"}), 2, "one of NET");
  expect_error(run_edm2({"flops", "--preset=nonsense"}), 1, "nonsense");
  expect_error(run_edm2({"flops", dir / "absent.pkl"}), 1, "absent.pkl");
  expect_error(run_edm2({"flops", "--config", dir / "absent.json"}), 1, "absent.json");
  expect_error(run_edm2({"flops", dir / "a.pkl", "--batch=0"}), 2, "x>=1");
  expect_error(run_edm2({"flops", dir / "a.pkl"}, {.environment = {{"WORLD_SIZE", "2"}}}), 1,
               "Distributed execution is not supported");
}

}  // namespace edm2
