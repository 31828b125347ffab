#include "edm2/train/estimate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/nn/network.h"
#include "support/paths.h"
#include "support/small_models.h"
#include "support/small_training.h"
#include "train/training_state.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

TrainOptions small_options(const fs::path& dir) {
  TrainOptions o = test::small_training(dir / "data", dir / "runs" / "run");
  o.network = test::tiny_options(3);
  o.batch_size = 512;
  o.batch_gpu = 16;
  o.total_nimg = 2560;
  o.snapshot_nimg = 1024;
  o.checkpoint_nimg = 1024;
  return o;
}

}  // namespace

TEST(Estimate, SizesAndNumbersOfFilesAreThoseOfTheRun) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  TrainOptions o = small_options(dir.path());
  o.batch_gpu = o.batch_size = 4;
  o.snapshot_nimg = 2048;
  o.checkpoint_nimg = 4096;
  o.total_nimg = 11264;
  const auto group = ProcessGroup::single();
  Trainer trainer(o, make_progress(ProgressStyle::quiet), *group);
  trainer.load_data();
  const RunEstimate e = estimate_run(trainer, *group, 0.2);
  EXPECT_FALSE(fs::exists(dir / "runs"));
  EXPECT_EQ(e.folder, dir.path().string());
  EXPECT_GT(e.free_disk, 0);
  int64_t snapshots = 0, states = 0;  // by the rules of the trainer's loop
  for (int64_t c = 0; c <= o.total_nimg; c += o.batch_size) {
    if (c % *o.snapshot_nimg == 0) snapshots += 2;
    if (c > 0 && (c % *o.checkpoint_nimg == 0 || c == o.total_nimg)) ++states;
  }
  EXPECT_EQ(e.snapshots, snapshots);
  EXPECT_EQ(e.states, states);

  trainer.setup();
  EXPECT_EQ(e.parameters, trainer.network().num_parameters());
  EXPECT_EQ(e.memory.gradients, 4.0 * static_cast<double>(e.parameters));
  EXPECT_EQ(e.memory.optimizer, 2 * e.memory.gradients);
  EXPECT_EQ(e.memory.emas, 2 * e.memory.weights);
  save_snapshot(dir / "net.pkl", make_snapshot(trainer.network()), SnapshotFormat::pickle);
  EXPECT_NEAR(e.snapshot_bytes / static_cast<double>(fs::file_size(dir / "net.pkl")), 1, 0.05);
  Adam adam(trainer.network());
  for (auto& moments : adam.moments) moments.step = 1;
  save_training_state(dir / "state.pt", {}, trainer.network(), {}, 0, adam, trainer.ema());
  EXPECT_NEAR(e.state_bytes / static_cast<double>(fs::file_size(dir / "state.pt")), 1, 0.05);
  EXPECT_EQ(e.disk_bytes(), static_cast<double>(snapshots) * e.snapshot_bytes +
                                static_cast<double>(states) * e.state_bytes);
}

TEST(Estimate, TimeAndMemoryAreMeasured) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  const auto group = ProcessGroup::single();
  Trainer trainer(small_options(dir.path()), make_progress(ProgressStyle::quiet), *group);
  trainer.load_data();
  const RunEstimate e = estimate_run(trainer, *group, 0.2);
  ASSERT_TRUE(e.step);
  EXPECT_EQ(e.step->batch_gpu, 16);
  EXPECT_EQ(e.rounds, 32);
  EXPECT_GT(e.images_per_second(), 1);
  EXPECT_LT(e.images_per_second(), 1e6);
  EXPECT_DOUBLE_EQ(e.seconds(), 2560 / e.images_per_second());
  EXPECT_GE(e.activations(), 0);
  EXPECT_LT(e.memory_of_process(), 4e9);
  std::string text;
  for (const auto& line : e.lines()) text += line + "\n";
  for (const char* part : {"Memory:", "Speed:", "Duration:", "Snapshots:        6 of",
                           "Training states:  3 of", "Disk:"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("Warning: ", text.find("Disk:")), text.find("Warning: the machine is busy"));
  EXPECT_EQ(text.find("0.000"), std::string::npos) << "days of so short a run\n" << text;
  const auto json = e.json();
  EXPECT_EQ(json["batch_gpu"], 16);
  EXPECT_EQ(json["fits_on_disk"], true);
}

TEST(Estimate, TellsOfABusyMachine) {
  RunEstimate e;
  e.step.emplace();
  e.step->round_seconds = 1;
  e.rounds = 1;
  e.batch_size = 64;
  e.total_nimg = 64 * 9000;
  const auto text = [&] {
    std::string all;
    for (const auto& line : e.lines()) all += line + "\n";
    return all;
  };
  EXPECT_NE(text().find("  Duration:         2.5 hours for 576000 images\n"), std::string::npos)
      << text();
  EXPECT_EQ(text().find("busy"), std::string::npos);
  e.used_by_others = 0.432;
  EXPECT_NE(text().find("Warning: the machine is busy: other programs took 43% of its processors"),
            std::string::npos)
      << text();
  EXPECT_EQ(e.json()["used_by_others"], 0.432);
}

TEST(Estimate, WarnsOfWhatDoesNotFit) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  TrainOptions o = small_options(dir.path());
  o.network.model_channels = 32768;  // some terabytes
  o.network.channels_per_head = 32768;
  o.total_nimg = 1 << 20;
  const auto group = ProcessGroup::single();
  Trainer trainer(o, make_progress(ProgressStyle::quiet), *group);
  trainer.load_data();
  const RunEstimate e = estimate_run(trainer, *group, 0.2);
  if (e.available_memory == 0) GTEST_SKIP() << "this system does not tell its free memory";
  EXPECT_FALSE(e.step);
  std::string text;
  for (const auto& line : e.lines()) text += line + "\n";
  EXPECT_NE(text.find("not measured"), std::string::npos) << text;
  EXPECT_NE(text.find("of memory are needed"), std::string::npos) << text;
  EXPECT_NE(text.find("do not fit on the disk"), std::string::npos) << text;
  EXPECT_EQ(e.json()["fits_on_disk"], false);
}

}  // namespace edm2
