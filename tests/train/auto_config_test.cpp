#include "edm2/train/auto_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/train/measure.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

TrainOptions preset() {
  TrainOptions o;
  apply_training_preset(o, "edm2-img64-s");
  return o;
}

}  // namespace

TEST(AutoConfig, ImagenetGetsThePreset) {
  TrainOptions o = preset();
  scale_to_dataset(o, preset(), {}, 1281167, 8);
  EXPECT_EQ(o.batch_size, 2048);
  EXPECT_EQ(o.total_nimg, preset().total_nimg);
  EXPECT_EQ(o.learning_rate.ref_lr, 0.01);
  EXPECT_EQ(o.learning_rate.ref_batches, 35000);
  EXPECT_EQ(o.learning_rate.rampup_nimg, 10e6);
  EXPECT_EQ(o.snapshot_nimg, preset().snapshot_nimg);
}

TEST(AutoConfig, SmallDatasetsKeepThePresetsProportions) {
  for (const int64_t images : {10, 3000, 50000, 400000})
    for (const int processes : {1, 2, 6, 8}) {
      SCOPED_TRACE(std::to_string(images) + " images, " + std::to_string(processes));
      TrainOptions o = preset();
      scale_to_dataset(o, preset(), {}, images, processes);
      EXPECT_NO_THROW(validate(o, processes));
      EXPECT_GE(o.total_nimg, 15 << 16);  // 2^20, in whole batches
      const double s = static_cast<double>(o.total_nimg) / static_cast<double>(preset().total_nimg);
      const double wanted = 2048 * std::sqrt(s);
      EXPECT_LE(static_cast<double>(o.batch_size), std::max(wanted * 1.8, 64.0));
      EXPECT_GE(static_cast<double>(o.batch_size), wanted / 2.1);
      // lr^2 an image, and the part of the run before the decay, stay the preset's.
      const auto& lr = o.learning_rate;
      EXPECT_NEAR(lr.ref_lr * lr.ref_lr / static_cast<double>(o.batch_size), 1e-4 / 2048, 1e-9);
      const double part =
          lr.ref_batches * static_cast<double>(o.batch_size) / static_cast<double>(o.total_nimg);
      const double original = 35000.0 * 2048 / static_cast<double>(preset().total_nimg);
      EXPECT_NEAR(part / original, 1, 0.1);  // durations are rounded
    }
}

TEST(AutoConfig, WhatIsGivenStays) {
  TrainOptions o = preset();
  o.batch_size = 96;
  o.total_nimg = 96 * 1024 * 100;
  o.snapshot_nimg = 96 * 1024;
  const GivenOptions given = {.duration = true, .batch = true, .decay = true, .snapshot = true};
  scale_to_dataset(o, preset(), given, 5000, 2);
  EXPECT_EQ(o.batch_size, 96);
  EXPECT_EQ(o.total_nimg, 96 * 1024 * 100);
  EXPECT_EQ(o.snapshot_nimg, 96 * 1024);
  EXPECT_EQ(o.learning_rate.ref_batches, 35000);
  EXPECT_NEAR(o.learning_rate.ref_lr, 0.01 * std::sqrt(96 / 2048.0), 1e-5);
  EXPECT_NO_THROW(validate(o, 2));
}

TEST(AutoConfig, ARunKeepsItsChoices) {
  TrainOptions chosen = preset();
  scale_to_dataset(chosen, preset(), {}, 3000, 1);
  chosen.batch_gpu = 16;
  chosen.chosen_automatically = true;
  const auto text = training_config(chosen, {}, LabelKind::classes).dump();
  TrainOptions later = preset();
  later.learning_rate.ref_lr = 0.5;
  take_earlier_choices(later, {.lr = true}, nlohmann::json::parse(text));
  EXPECT_EQ(later.learning_rate.ref_lr, 0.5);
  later.learning_rate.ref_lr = chosen.learning_rate.ref_lr;
  later.chosen_automatically = true;
  EXPECT_EQ(training_config(later, {}, LabelKind::classes).dump(), text);
  chosen.chosen_automatically = false;
  EXPECT_THROW(take_earlier_choices(later, {}, training_config(chosen, {}, LabelKind::classes)),
               Error);
  EXPECT_THROW(take_earlier_choices(later, {}, nlohmann::json{{"auto", true}}), Error);
}

TEST(AutoConfig, BatchGpuIsMeasured) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  TrainOptions o;
  o.data = dir / "data";
  o.outdir = dir / "run";
  o.network = test::tiny_options(3);
  o.batch_size = 48;  // powers of two that divide it: 1 to 16
  o.total_nimg = 96;
  o.status_nimg = o.snapshot_nimg = o.checkpoint_nimg = std::nullopt;
  o.device = "cpu";
  const auto group = ProcessGroup::single();
  Trainer trainer(o, make_progress(ProgressStyle::quiet), *group);
  trainer.load_data();
  const std::string sentence = choose_batch_gpu(trainer, *group);
  ASSERT_TRUE(trainer.options().batch_gpu);
  EXPECT_EQ(48 % *trainer.options().batch_gpu, 0);
  EXPECT_LE(*trainer.options().batch_gpu, 16);
  EXPECT_NE(sentence.find("--batch-gpu="), std::string::npos);
  EXPECT_EQ(trainer.options().batch_size, 48);
  EXPECT_EQ(trainer.options().total_nimg, 96);
  EXPECT_FALSE(std::filesystem::exists(dir / "run"));
  EXPECT_THROW(choose_batch_gpu(trainer, *group, 1), Error);  // a byte is not enough

  // What was measured leaves no trace in the run.
  trainer.options().batch_gpu = 16;
  trainer.setup();
  trainer.step();
  o.batch_gpu = 16;
  o.outdir = dir / "other";
  Trainer fresh(o, make_progress(ProgressStyle::quiet));
  fresh.setup();
  fresh.step();
  const StateDict a = trainer.network().state_dict(), b = fresh.network().state_dict();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].second.equal(b[i].second)) << a[i].first;
}

TEST(Measure, Extrapolation) {
  const StepMeasurement one = {1, 0.5, 0.25, 100}, two = {2, 1, 0.25, 160};
  EXPECT_EQ(extrapolate({one, two}, 2).peak_bytes, 160);
  const StepMeasurement eight = extrapolate({one, two}, 8);
  EXPECT_EQ(eight.batch_gpu, 8);
  EXPECT_EQ(eight.round_seconds, 4);
  EXPECT_EQ(eight.step_seconds, 0.25);
  EXPECT_EQ(eight.peak_bytes, 160 + 6 * 60);
  EXPECT_EQ(extrapolate({one}, 4).peak_bytes, 400);
  EXPECT_EQ(doubling_sizes(6), (std::vector<int64_t>{1, 2, 4, 6}));
  EXPECT_EQ(doubling_sizes(1), (std::vector<int64_t>{1}));
}

}  // namespace edm2
