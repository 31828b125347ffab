// edm2 bench as a user runs it.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/run_program.h"

namespace edm2 {
namespace {

using test::run_edm2;
using test::RunResult;

const std::vector<std::string> tiny = {"bench",
                                       "train",
                                       "--preset=demo",
                                       "--channels=16",
                                       "--channel-mult=1",
                                       "--resolution=8",
                                       "--channels-per-head=16",
                                       "--batch=2",
                                       "--seconds=0",
                                       "--device=cpu"};

std::vector<std::string> with(std::vector<std::string> words,
                              std::initializer_list<const char*> more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST(BenchCli, TrainPrintsATable) {
  const RunResult run = run_edm2(with(tiny, {"--precisions=fp32,bf16"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* word : {"Images/s", "Step/convolutions", "Peak memory", "fp32", "bf16", "GiB"})
    EXPECT_NE(run.out.find(word), std::string::npos) << word << run.out;
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 3) << run.out;
}

TEST(BenchCli, TrainPrintsJson) {
  const RunResult run = run_edm2(with(tiny, {"--json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto list = nlohmann::json::parse(run.out);
  ASSERT_TRUE(list.is_array());
  ASSERT_EQ(list.size(), 1u);
  const auto& row = list[0];
  EXPECT_EQ(row.at("preset"), "demo");
  EXPECT_EQ(row.at("precision"), "fp32");
  EXPECT_EQ(row.at("batch"), 2);
  for (const char* key : {"seconds_per_step", "forward_seconds", "backward_seconds",
                          "update_seconds", "convolution_floor_seconds", "ratio",
                          "images_per_second", "peak_memory_bytes", "parameters"})
    EXPECT_GT(row.at(key).get<double>(), 0) << key;
}

TEST(BenchCli, SamplePrintsATable) {
  const RunResult run =
      run_edm2({"bench", "sample", "--preset=demo", "--random-weights", "--precision=fp32,bf16",
                "--batch=1,2", "--engine=auto,reference", "--seconds=0", "--device=cpu"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* word : {"Pictures/s", "Evaluation/convolutions", "engine", "reference", "fp32",
                           "bf16", "GFLOP/s", "GiB"})
    EXPECT_NE(run.out.find(word), std::string::npos) << word << run.out;
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 9) << run.out;
}

TEST(BenchCli, SamplePrintsJson) {
  const RunResult run = run_edm2({"bench", "sample", "--preset=demo", "--random-weights", "--json",
                                  "--batch=2", "--seconds=0", "--device=cpu"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto list = nlohmann::json::parse(run.out);
  ASSERT_EQ(list.size(), 1u);
  const auto& row = list[0];
  EXPECT_EQ(row.at("net"), "demo");
  EXPECT_EQ(row.at("engine"), "engine");
  EXPECT_EQ(row.at("precision"), "fp32");
  EXPECT_EQ(row.at("batch"), 2);
  for (const char* key : {"seconds_per_image_evaluation", "convolution_floor_seconds", "ratio",
                          "images_per_second", "flops_per_second", "setup_seconds",
                          "first_evaluation_seconds", "peak_memory_bytes", "parameters"})
    EXPECT_GT(row.at(key).get<double>(), 0) << key;
}

TEST(BenchCli, WrongUse) {
  EXPECT_EQ(run_edm2({"bench", "sample", "--net=x.pkl", "--random-weights"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"bench", "sample", "--engine=fastest"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"bench", "sample", "--preset=none"}).exit_code, 1);
  EXPECT_EQ(run_edm2({"bench"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"bench", "train", "--batch=0"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"bench", "train", "--precisions=fp31"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"bench", "train", "--preset=edm2-img512-huge"}).exit_code, 1);
  EXPECT_EQ(run_edm2(with(tiny, {"--resolution=9", "--channel-mult=1,2"})).exit_code, 1);
}

}  // namespace edm2
