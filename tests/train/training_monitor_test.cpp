// What a run tells of itself: through the trainer, on data with a number that spoils it.
#include "train/noise_bins.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/small_models.h"
#include "support/small_training.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

class TrainingMonitorTest : public testing::Test {
 protected:
  /// Eight float32 images, of which the numbered one holds a NaN (none if negative).
  void write_data(int spoilt) {
    fs::create_directories(dir_ / "data");
    at::manual_seed(2);
    for (int i = 0; i < 8; ++i) {
      Tensor image = at::rand({3, 8, 8}) * 255;
      if (i == spoilt) image[1][2][3] = NAN;
      std::ofstream(dir_ / "data" / ("img" + std::to_string(i) + ".npy"), std::ios::binary)
          << npy_bytes(image);
    }
  }
  TrainOptions options(const std::string& run) {
    TrainOptions o = test::small_training(dir_ / "data", dir_ / run, /*label_dim=*/0);
    o.learning_rate = {.ref_lr = 0.01, .ref_batches = 100, .rampup_nimg = 0};
    o.batch_size = 2;
    o.total_nimg = 32;
    o.status_nimg = 16;
    return o;
  }
  std::vector<nlohmann::json> stats(const std::string& run) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(dir_ / run / "stats.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
  std::string log(const std::string& run) { return read_text_file(dir_ / run / "log.txt"); }

  test::TempDir dir_;
};

bool all_finite(const StateDict& state) {
  for (const auto& [name, tensor] : state)
    if (!tensor.isfinite().all().item<bool>()) return false;
  return true;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_F(TrainingMonitorTest, WritesNormsAndLossByNoise) {
  write_data(-1);
  Trainer trainer(options("run"), make_progress(ProgressStyle::quiet));
  trainer.setup();
  double loss = 0, rounds = 0;
  std::map<int, int> images;
  trainer.on_round = [&](const Trainer::Round& round) {
    if (trainer.cur_nimg() < 16) return;
    loss += round.loss.mean().item<double>();
    rounds += 1;
    for (int64_t i = 0; i < round.sigma.size(0); ++i)
      images[noise_bin(round.sigma[i].item<double>())] += 1;
  };
  trainer.run();
  const auto lines = stats("run");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_FALSE(lines[0].contains("WeightNorm/total"));  // nothing has happened yet
  for (size_t i : {1u, 2u}) {
    for (const char* key : {"GradNorm/total", "GradNorm/enc.8x8", "WeightNorm/dec.4x4"})
      EXPECT_GT(lines[i].at(key).get<double>(), 0) << key;
    EXPECT_EQ(lines[i].at("Nonfinite/steps"), 0);
  }
  // Bins hold what was drawn, and weighted by the images in them they make up the loss.
  double sum = 0;
  for (const auto& [bin, n] : images)
    sum += n * lines[2].at(noise_bin_name(bin)).get<double>() / 16;
  EXPECT_NEAR(sum, loss / rounds, 1e-5 * sum);
  size_t bins = 0;
  for (const auto& [key, value] : lines[2].items()) bins += key.starts_with("Loss/sigma_") ? 1 : 0;
  EXPECT_EQ(bins, images.size());
}

TEST_F(TrainingMonitorTest, BasicStatisticsAreTheOriginalsAlone) {
  write_data(-1);
  auto o = options("run");
  o.full_statistics = false;
  Trainer trainer(o, make_progress(ProgressStyle::quiet));
  trainer.setup();
  trainer.run();
  for (const auto& line : stats("run"))
    for (const auto& [key, value] : line.items())
      EXPECT_TRUE(std::regex_match(
          key, std::regex("timestamp|(Progress|Timing|Resources)/.*|Loss/(loss|learning_rate)")))
          << key;
}

TEST_F(TrainingMonitorTest, TheLossIsTold) {
  write_data(-1);
  const auto progress = std::make_shared<test::RecordingProgress>();
  Trainer trainer(options("run"), progress);
  trainer.setup();
  trainer.run();
  ASSERT_EQ(progress->notes.size(), 16u) << "one a step";
  for (const auto& note : progress->notes) EXPECT_THAT(note, testing::StartsWith("loss "));
  std::vector<std::string> shown;
  for (const auto& line : progress->messages)
    if (line.starts_with("Status: ")) shown.push_back(line);
  ASSERT_EQ(shown.size(), 3u);
  EXPECT_THAT(shown[0], testing::Not(testing::HasSubstr("loss"))) << "there is none yet";
  for (const auto& line : shown)
    EXPECT_THAT(line, testing::AllOf(testing::ContainsRegex("kimg 0.0 .* sec/kimg .* cpumem "),
                                     testing::Not(testing::HasSubstr("gpumem"))));
  char loss[64];
  std::snprintf(loss, sizeof loss, " loss %.4g", stats("run")[2].at("Loss/loss").get<double>());
  EXPECT_THAT(shown[2], testing::EndsWith(loss));
  // The file keeps all fields of the original.
  EXPECT_EQ(count(log("run"), "gpumem 0.00   reserved 0.00   loss "), 2u) << log("run");
}

TEST_F(TrainingMonitorTest, AResumedRunIsCountedFromItsBeginning) {
  write_data(-1);
  auto o = options("run");
  o.batch_size = 64;
  o.total_nimg = o.status_nimg.emplace(1024);
  o.checkpoint_nimg = 1024;
  Trainer first(o, make_progress(ProgressStyle::quiet));
  first.setup();
  first.run();
  o.total_nimg = 2048;
  const auto progress = std::make_shared<test::RecordingProgress>();
  Trainer second(o, progress);
  second.setup();
  second.run();
  EXPECT_EQ(progress->total, 2048);
  EXPECT_EQ(progress->done, 2048);
  EXPECT_EQ(progress->unit, "image");
  EXPECT_EQ(stats("run").back().at("Progress/total_kimg"), 2.048);
}

TEST_F(TrainingMonitorTest, ZeroGoesOnAndCounts) {
  write_data(3);
  Trainer trainer(options("run"), make_progress(ProgressStyle::quiet));
  trainer.setup();
  trainer.run();
  EXPECT_TRUE(all_finite(trainer.network().state_dict()));
  EXPECT_TRUE(all_finite(trainer.ema().weights(0)));
  const auto lines = stats("run");
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i : {1u, 2u}) {  // two passes over the data each
    EXPECT_EQ(lines[i].at("Nonfinite/steps"), 2);
    EXPECT_GT(lines[i].at("Nonfinite/elements").get<int64_t>(), 1000);
  }
  EXPECT_EQ(count(log("run"), "gradients are not finite in the step"), 1u) << log("run");
  EXPECT_EQ(count(log("run"), "Warning: since the last status 2 steps"), 2u) << log("run");
  EXPECT_GE(count(log("run"), "Note: the loss is nan"), 1u) << log("run");
}

TEST_F(TrainingMonitorTest, SkipMovesNothingButTheImageCount) {
  write_data(3);
  auto o = options("run");
  o.on_nonfinite = OnNonfinite::skip;
  Trainer trainer(o, make_progress(ProgressStyle::quiet));
  trainer.setup();
  const auto copy = [](const StateDict& state) {
    StateDict copies;
    for (const auto& [name, tensor] : state) copies.emplace_back(name, tensor.clone());
    return copies;
  };
  const auto same = [](const StateDict& a, const StateDict& b) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!a[i].second.equal(b[i].second)) return false;
    return true;
  };
  int skipped = 0;
  for (int step = 0; step < 8; ++step) {
    bool spoilt = false;
    trainer.on_round = [&](const Trainer::Round& round) {
      spoilt = !round.loss.isfinite().all().item<bool>();
    };
    const StateDict ema = copy(trainer.ema().weights(0));
    // Moments and weights would differ from now on if the optimizer had moved.
    const Tensor gain = trainer.network().state_dict().front().second.clone();
    trainer.step();
    EXPECT_EQ(trainer.cur_nimg(), 2 * (step + 1));
    EXPECT_EQ(same(ema, trainer.ema().weights(0)), spoilt) << step;
    if (spoilt) {
      EXPECT_TRUE(gain.equal(trainer.network().state_dict().front().second));
    }
    skipped += spoilt ? 1 : 0;
  }
  EXPECT_EQ(skipped, 2);
  EXPECT_TRUE(all_finite(trainer.network().state_dict()));
}

TEST_F(TrainingMonitorTest, StopEndsBeforeTheWeightsChange) {
  write_data(3);
  auto o = options("run");
  o.on_nonfinite = OnNonfinite::stop;
  Trainer trainer(o, make_progress(ProgressStyle::quiet));
  trainer.setup();
  try {
    trainer.run();
    FAIL() << "did not stop";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the last training state is kept"), std::string::npos);
  }
  EXPECT_LT(trainer.cur_nimg(), 8);
  EXPECT_TRUE(all_finite(trainer.network().state_dict()));
}

}  // namespace edm2
