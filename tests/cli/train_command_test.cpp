// edm2 train as a user runs it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/io/image.h"
#include "edm2/io/zip.h"
#include "edm2/nn/snapshot.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::read_file;
using test::run_edm2;
using test::RunResult;
using Words = std::vector<std::string>;

class TrainCli : public testing::Test {
 protected:
  void SetUp() override { test::write_small_dataset(dir / "data"); }
  /// A tiny run; `words` may repeat options, the last one counts.
  RunResult train(Words words, const test::RunOptions& options = {}) {
    Words all = {"train",
                 "--outdir=" + (dir / "run").string(),
                 "--data=" + (dir / "data").string(),
                 "--preset=edm2-img64-xs",
                 "--channels=8",
                 "--channel-mult=1,2",
                 "--num-blocks=1",
                 "--attn-resolutions=4",
                 "--channels-per-head=8",
                 "--batch=64",
                 "--duration=1024",
                 "--rampup=128",
                 "--status=1024",
                 "--snapshot=1024",
                 "--checkpoint=1024"};
    all.insert(all.end(), words.begin(), words.end());
    return run_edm2(all, options);
  }
  /// A zip dataset of PNG images; `change` may spoil the file of an image.
  void write_zip(const fs::path& path, const std::function<void(int, std::string&)>& change,
                 int labelled = 4) {
    ZipWriter zip(path);
    nlohmann::json labels = nlohmann::json::array();
    for (int i = 0; i < 4; ++i) {
      Image image{.width = 8,
                  .height = 8,
                  .channels = 3,
                  .pixels = std::vector<uint8_t>(8 * 8 * 3, static_cast<uint8_t>(50 * i))};
      const auto png = encode_png(image);
      std::string bytes(reinterpret_cast<const char*>(png.data()), png.size());
      change(i, bytes);
      const std::string name = "00000/img0000000" + std::to_string(i) + ".png";
      zip.add(name, std::string_view(bytes));
      if (i < labelled) labels.push_back({name, i % 2});
    }
    zip.add("dataset.json", std::string_view(nlohmann::json{{"labels", labels}}.dump()));
    zip.finish();
  }
  test::TempDir dir;
};

}  // namespace

TEST_F(TrainCli, DryRunPrintsTheConfigurationAndWritesNothing) {
  const RunResult run = train({"-n", "--decay=100", "--dropout=0", "--lr=0.012"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_FALSE(fs::exists(dir / "run"));
  const size_t begin = run.out.find("Training config:\n") + 17,
               end = run.out.find("\n\nOutput directory:");
  ASSERT_NE(end, std::string::npos) << run.out;
  const auto config = nlohmann::ordered_json::parse(run.out.substr(begin, end - begin));
  const Words keys = {
      "dataset_kwargs", "encoder_kwargs", "total_nimg",      "batch_size",   "network_kwargs",
      "loss_kwargs",    "lr_kwargs",      "batch_gpu",       "loss_scaling", "cudnn_benchmark",
      "status_nimg",    "snapshot_nimg",  "checkpoint_nimg", "seed"};
  Words actual;
  for (const auto& [key, value] : config.items()) actual.push_back(key);
  EXPECT_EQ(actual, keys);
  EXPECT_EQ(config["network_kwargs"]["class_name"], "training.networks_edm2.Precond");
  EXPECT_EQ(config["lr_kwargs"]["ref_batches"].dump(), "100.0");
  EXPECT_EQ(config["loss_scaling"].dump(), "1.0");
  EXPECT_EQ(config["loss_kwargs"]["P_std"], 1.6);
  EXPECT_NE(run.out.find("\nNumber of GPUs:          1\n"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("\nMixed-precision:         True\n"), std::string::npos);
  EXPECT_TRUE(run.out.ends_with("Dry run; exiting.\n"));
}

TEST_F(TrainCli, WritesARunAndKnowsWhenItIsFinished) {
  const RunResult run = train({});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* name :
       {"log.txt", "stats.jsonl", "training_options.json", "training-state-0000001.pt",
        "network-snapshot-0000000-0.050.pkl", "network-snapshot-0000001-0.100.pkl"})
    EXPECT_TRUE(fs::exists(dir / "run" / name)) << name;
  EXPECT_EQ(load_snapshot(dir / "run" / "network-snapshot-0000001-0.100.pkl").network.label_dim, 3);
  const RunResult again = train({});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_NE(again.out.find("finished"), std::string::npos) << again.out;
  const RunResult longer = train({"--duration=2048"});
  EXPECT_EQ(longer.exit_code, 0) << longer.err;
  EXPECT_NE(longer.out.find("/total_nimg is now 2048"), std::string::npos) << longer.out;
  EXPECT_TRUE(fs::exists(dir / "run" / "training-state-0000002.pt"));
}

TEST_F(TrainCli, ContinuesBitForBitAfterBeingKilled) {
  const Words words = {"--duration=3072", "--quiet"};
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(train(words).exit_code, 0);
  const auto whole_time = std::chrono::steady_clock::now() - begin;
  fs::rename(dir / "run", dir / "whole");

  // Kill it between the first training state and the end, however fast this machine is.
  bool killed_midway = false;
  for (const int percent : {60, 50, 70, 40, 80, 90, 120, 160, 30}) {
    fs::remove_all(dir / "run");
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(whole_time);
    const RunResult run = train(words, {.kill_after = delay * percent / 100});
    killed_midway = run.signal == 9 && fs::exists(dir / "run" / "training-state-0000001.pt") &&
                    !fs::exists(dir / "run" / "training-state-0000003.pt");
    if (killed_midway) break;
  }
  ASSERT_TRUE(killed_midway);
  const RunResult rest = train(words);
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_NE(read_file(dir / "run" / "log.txt").find("Loading " + (dir / "run").string()),
            std::string::npos);
  for (const char* name :
       {"network-snapshot-0000003-0.050.pkl", "network-snapshot-0000003-0.100.pkl"})
    EXPECT_EQ(read_file(dir / "run" / name), read_file(dir / "whole" / name)) << name;
}

TEST_F(TrainCli, InterruptEndsCleanly) {
  const RunResult run = train({"--duration=1Mi", "--status=0", "--snapshot=0", "--checkpoint=0"},
                              {.kill_after = std::chrono::milliseconds(3000), .kill_signal = 2});
  EXPECT_EQ(run.exit_code, 130) << run.signal << run.err;
}

TEST_F(TrainCli, WrongUsage) {
  expect_error(train({"--duration=1.5Mi"}), 2, "'--duration'");
  expect_error(train({"--dropout=2"}), 2, "'--dropout'");
  expect_error(train({"--cond=maybe"}), 2, "'--cond'");
  expect_error(train({"--frobnicate"}), 2, "No such option '--frobnicate'.");
  expect_error(run_edm2({"train", "--data=x"}), 2, "Missing option '--outdir'.");
  EXPECT_FALSE(fs::exists(dir / "run"));
}

TEST_F(TrainCli, WrongSettings) {
  expect_error(train({"--preset=edm2-img9"}), 1, "Invalid configuration preset \"edm2-img9\"");
  expect_error(train({"--batch-gpu=48"}), 1, "--batch-gpu=48");
  expect_error(train({"--batch=48"}), 1, "not a multiple of --batch=48");
  expect_error(train({"--snapshot=64"}), 1, "multiple of 1024");
  expect_error(train({"--channels-per-head=3", "--channels=10"}), 1, "channels_per_head");
  expect_error(train({"--outdir=/proc/edm2/run"}), 1, "--outdir");
  EXPECT_FALSE(fs::exists(dir / "run"));
}

TEST_F(TrainCli, WrongData) {
  expect_error(train({"--data", dir / "nosuch"}), 1, "--data: ");
  write_zip(dir / "cut.zip", [](int i, std::string& png) {
    if (i == 2) png.resize(png.size() / 2);
  });
  expect_error(train({"--data", dir / "cut.zip"}), 1, "img00000002.png");
  fs::remove_all(dir / "run");  // an image is looked at only when its turn comes
  write_zip(
      dir / "labels.zip", [](int, std::string&) {}, 3);
  expect_error(train({"--data", dir / "labels.zip"}), 1, "img00000003.png");
  write_zip(dir / "mixed.zip", [](int i, std::string& png) {
    if (i != 1) return;
    const auto other = encode_png(
        {.width = 16, .height = 16, .channels = 3, .pixels = std::vector<uint8_t>(16 * 16 * 3)});
    png.assign(reinterpret_cast<const char*>(other.data()), other.size());
  });
  expect_error(train({"--data", dir / "mixed.zip"}), 1, "img00000001.png");
  fs::remove_all(dir / "run");
  std::ofstream(dir / "data" / "dataset.json") << R"({"labels": null})";
  expect_error(train({}), 1, "--cond=True, but no labels found in the dataset");
  EXPECT_FALSE(fs::exists(dir / "run"));
}

}  // namespace edm2
