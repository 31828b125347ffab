#include "train/kept_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/core/progress.h"
#include "edm2/ema/power_function.h"
#include "edm2/io/atomic_file.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/small_models.h"
#include "support/small_training.h"

namespace edm2 {

namespace fs = std::filesystem;
using testing::HasSubstr;

namespace {

const LossOptions state_loss = {.P_mean = -0.4, .P_std = 1, .sigma_data = 0.5};
const std::vector<double> state_stds = {0.05, 0.1};

TrainOptions options_for_a_short_run(const test::TempDir& dir) {
  TrainOptions options = test::small_training(dir / "data", dir / "run");
  options.batch_size = options.total_nimg = 1024;
  options.batch_gpu = 64;
  options.snapshot_nimg = options.checkpoint_nimg = 1024;
  options.tensorboard = false;
  return options;
}

/// Sets a run up that has no state yet.
TrainOptions begin_run(const test::TempDir& dir,
                       const std::shared_ptr<test::RecordingProgress>& progress) {
  test::write_small_dataset(dir / "data");
  const TrainOptions options = options_for_a_short_run(dir);
  Trainer(options, progress).setup();
  progress->messages.clear();
  return options;
}

std::vector<std::string> notes_of(const std::vector<std::string>& lines) {
  std::vector<std::string> notes;
  for (const auto& line : lines)
    if (line.starts_with("Note: ")) notes.push_back(line);
  return notes;
}

}  // namespace

TEST(KeptSettings, EachOptionThatIsNotUsed) {
  struct Case {
    std::function<void(TrainOptions&)> change;
    std::vector<std::string> expected;
  };
  const std::vector<Case> cases = {
      {[](TrainOptions&) {}, {}},
      {[](TrainOptions& o) { o.seed = 7; }, {}},
      {[](TrainOptions& o) { o.learning_rate.ref_lr = 1; }, {}},
      {[](TrainOptions& o) { o.stds = {0.03}; }, {"--stds stays 0.05,0.1 (0.03 is not used)"}},
      {[](TrainOptions& o) {
         o.stds = {0.1, 0.05};
       },
       {"--stds stays 0.05,0.1 (0.1,0.05 is not used)"}},
      {[](TrainOptions& o) { o.P_mean = -0.8; }, {"--P_mean stays -0.4 (-0.8 is not used)"}},
      {[](TrainOptions& o) { o.P_std = 1.6; }, {"--P_std stays 1 (1.6 is not used)"}},
      {[](TrainOptions& o) { o.init_from = "https://me:secret@host/net.pkl"; },
       {"--init-from=https://host/net.pkl is not read"}},
      {[](TrainOptions& o) { o.init_from = "first.pkl"; }, {}},
      {[](TrainOptions& o) { o.samples.stds = {0.1}; }, {}},
      {[](TrainOptions& o) {
         o.stds = o.samples.stds = {0.03, 0.1};
       },
       {"--stds stays 0.05,0.1 (0.03,0.1 is not used)", "no samples are drawn of 0.03"}}};
  const nlohmann::json earlier = {{"init_from", "first.pkl"}};
  for (const Case& c : cases) {
    TrainOptions options;
    c.change(options);
    EXPECT_EQ(keep_settings(options, state_loss, state_stds, earlier), c.expected);
    EXPECT_EQ(options.stds, state_stds);
    EXPECT_EQ(options.P_mean, state_loss.P_mean);
    EXPECT_EQ(options.P_std, state_loss.P_std);
  }
  TrainOptions options;
  options.init_from = "first.pkl";
  EXPECT_EQ(keep_settings(options, state_loss, state_stds, nullptr).size(), 1u);
}

TEST(KeptSettings, AResumedRunSaysWhatItUses) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  const auto progress = std::make_shared<test::RecordingProgress>();
  TrainOptions options = options_for_a_short_run(dir);
  options.stds = {0.07, 0.12};
  {
    Trainer trainer(options, progress);
    trainer.setup();
    trainer.run();
  }
  EXPECT_THAT(notes_of(progress->messages), testing::IsEmpty());
  const std::string config = read_text_file(dir / "run/training_options.json");
  progress->messages.clear();

  options.stds = {0.03};
  options.P_mean = -1;
  options.seed = 5;
  options.total_nimg = 2048;
  Trainer trainer(options, progress);
  trainer.load_data();
  EXPECT_EQ(trainer.configuration().at("ema_kwargs").at("stds"), nlohmann::json({0.07, 0.12}));
  EXPECT_EQ(trainer.configuration().at("loss_kwargs").at("P_mean"), -0.4);
  EXPECT_EQ(trainer.configuration().at("seed"), 5);
  trainer.setup();
  EXPECT_EQ(notes_of(progress->messages),
            (std::vector<std::string>{
                "Note: the run goes on from training-state-0000001.pt with what that holds: --stds "
                "stays 0.07,0.12 (0.03 is not used); --P_mean stays -0.4 (-1 is not used)",
                "Note: --seed is now 5, at the start of this run it was 0",
                "Note: --duration is now 2048, at the start of this run it was 1024"}));
  EXPECT_EQ(trainer.ema().stds(), (std::vector<double>{0.07, 0.12}));
  EXPECT_EQ(trainer.options().stds, (std::vector<double>{0.07, 0.12}));
  EXPECT_EQ(read_text_file(dir / "run/training_options.json"), config);
  trainer.run();
  EXPECT_TRUE(fs::exists(dir / "run/network-snapshot-0000002-0.070.pkl"));
}

TEST(KeptSettings, WithoutAStateTheNewOptionsCount) {
  const test::TempDir dir;
  const auto progress = std::make_shared<test::RecordingProgress>();
  TrainOptions options = begin_run(dir, progress);
  options.stds = {0.03};
  Trainer trainer(options, progress);
  trainer.load_data();
  EXPECT_EQ(trainer.configuration().at("ema_kwargs").at("stds"), nlohmann::json({0.03}));
  trainer.setup();
  EXPECT_THAT(
      notes_of(progress->messages),
      testing::ElementsAre(HasSubstr("--stds is now [0.03], at the start of this run it was ")));
  EXPECT_EQ(trainer.ema().stds(), (std::vector<double>{0.03}));
}

TEST(KeptSettings, ChangesAreToldByTheNamesOfTheOptions) {
  const test::TempDir dir;
  const auto progress = std::make_shared<test::RecordingProgress>();
  TrainOptions options = begin_run(dir, progress);
  options.checkpoint_nimg.reset();
  options.learning_rate.ref_lr = 0.5;
  options.learning_rate.rampup_nimg = 2e6;
  options.network.channel_mult = {1, 3};
  options.xflip = true;
  Trainer(options, progress).setup();
  EXPECT_THAT(
      notes_of(progress->messages),
      testing::UnorderedElementsAre(
          HasSubstr("Note: --checkpoint is now off, at the start of this run it was 1024"),
          HasSubstr("Note: --lr is now 0.5, at"),
          HasSubstr("Note: --rampup (in millions) is now 2.0, at"),
          HasSubstr("Note: --channel-mult is now [1,3], at the start of this run it was [1,2]"),
          HasSubstr("Note: --xflip is now true, at the start of this run it was not given")));
}

}  // namespace edm2
