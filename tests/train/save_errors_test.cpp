// Runs whose files cannot be written for a while: full disk, read-only folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <unistd.h>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/nn/network.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/run_program.h"
#include "support/small_models.h"
#include "support/small_training.h"
#include "train/manifest.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using testing::HasSubstr;
using testing::Not;

/// No file of this process may grow beyond that size.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    report_file_size_limit_as_error();
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_ = {};
};

/// This thread may not write in the folder, even if it belongs to root.
class ReadOnlyFolder {
 public:
  explicit ReadOnlyFolder(fs::path folder) : folder_(std::move(folder)) {
    fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec |
                                 fs::perms::others_read | fs::perms::others_exec);
    if (geteuid() == 0) setfsuid(65534);
  }
  ~ReadOnlyFolder() {
    if (geteuid() == 0) setfsuid(0);
    fs::permissions(folder_, fs::perms::owner_all);
  }

 private:
  fs::path folder_;
};

class SaveErrorsOfTraining : public testing::Test {
 protected:
  void SetUp() override {
    test::write_small_dataset(dir / "data");
    fs::permissions(dir.path(), fs::perms::owner_all | fs::perms::others_exec);
  }

  TrainOptions options(const std::string& run) const {
    TrainOptions o = test::small_training(dir / "data", dir / run);
    o.learning_rate = {.ref_lr = 0.01, .ref_batches = 10, .rampup_nimg = 0};
    o.batch_size = 512;
    o.batch_gpu = 256;
    o.total_nimg = 5 << 10;
    o.status_nimg = o.snapshot_nimg = 1024;
    o.checkpoint_nimg = 2048;
    o.full_statistics = false;  // short lines
    return o;
  }

  /// Between `from` and `to` images `Obstacle` stands in the way of the run in `name`.
  template <class Obstacle, class Argument>
  void train(TrainOptions o, int64_t from, int64_t to, const Argument& argument) {
    progress = std::make_shared<test::RecordingProgress>();
    Trainer trainer(o, progress);
    trainer.setup();
    std::optional<Obstacle> obstacle;
    trainer.on_round = [&](const Trainer::Round& round) {
      if (round.positions[0] == from) obstacle.emplace(argument);
      if (round.positions[0] == to) obstacle.reset();
    };
    trainer.run();
  }
  void train(const TrainOptions& o) { train<FileSizeLimit>(o, -1, -1, 0); }

  std::string said() const { return progress->text(); }
  fs::path state(const std::string& run, int kimg) const {
    return dir / run / ("training-state-000000" + std::to_string(kimg) + ".pt");
  }
  void expect_same_end(const std::string& run) {
    train(options("whole"));
    const std::string snapshot = "network-snapshot-0000005-0.050.pkl";
    EXPECT_FALSE(read_file(dir / "whole" / snapshot).empty());
    EXPECT_EQ(read_file(dir / run / snapshot), read_file(dir / "whole" / snapshot));
  }
  void expect_whole(const std::string& run) {
    const auto check = test::run_command({"sha256sum", "--strict", "-c", "checksums.sha256"},
                                         {.folder = dir / run});
    EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
    EXPECT_TRUE(!fs::exists(dir / run / ".saving") || fs::is_empty(dir / run / ".saving"));
  }

  test::TempDir dir;
  std::shared_ptr<test::RecordingProgress> progress;
};

}  // namespace

TEST_F(SaveErrorsOfTraining, AFullDiskIsToldAndTheStateSavedWhenThereIsRoomAgain) {
  train<FileSizeLimit>(options("run"), 3072, 4608, 5000);
  EXPECT_THAT(said(), HasSubstr("Warning: cannot write "));
  EXPECT_THAT(said(), HasSubstr("File too large; network-snapshot-0000004-0.050.pkl is left out"));
  EXPECT_THAT(
      said(),
      HasSubstr("File too large; the last good training state is training-state-0000002.pt"));
  EXPECT_TRUE(fs::exists(state("run", 2)));
  EXPECT_FALSE(fs::exists(state("run", 4)));
  EXPECT_TRUE(fs::exists(state("run", 5)));
  EXPECT_FALSE(fs::exists(dir / "run" / "network-snapshot-0000004-0.050.pkl"));
  EXPECT_THAT(read_file(dir / "run" / "log.txt"), HasSubstr("Warning: cannot write "));
  EXPECT_EQ(std::ranges::count(read_file(dir / "run" / "stats.jsonl"), '\n'), 6);
  expect_whole("run");
  expect_same_end("run");
}

TEST_F(SaveErrorsOfTraining, AStateThatWasMissedIsTriedAtTheNextStatusLine) {
  auto o = options("run");
  o.total_nimg = 4096;
  train<FileSizeLimit>(o, 1536, 2560, 5000);
  EXPECT_FALSE(fs::exists(state("run", 2)));
  EXPECT_TRUE(fs::exists(state("run", 3))) << said();
  EXPECT_THAT(said(), HasSubstr("there is no training state yet"));
}

TEST_F(SaveErrorsOfTraining, AReadOnlyFolderIsNoEnd) {
  train<ReadOnlyFolder>(options("run"), 3072, 4608, dir / "run");
  EXPECT_THAT(said(), HasSubstr("Permission denied; the last good training state is "
                                "training-state-0000002.pt"));
  EXPECT_FALSE(fs::exists(state("run", 4)));
  EXPECT_TRUE(fs::exists(state("run", 5)));
  expect_whole("run");
  expect_same_end("run");
}

TEST_F(SaveErrorsOfTraining, StopsIfAskedToAndGoesOnLater) {
  auto o = options("run");
  o.on_save_error = SaveErrors::stop;
  try {
    train<FileSizeLimit>(o, 2048, -1, 5000);
    FAIL() << "saved at 3 kimg?";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("network-snapshot-0000003-0.050.pkl is left out"));
  }
  EXPECT_TRUE(fs::exists(state("run", 2)));
  expect_whole("run");
  train(o);
  EXPECT_THAT(said(), HasSubstr("Loading " + state("run", 2).string()));
  expect_same_end("run");
}

TEST_F(SaveErrorsOfTraining, ARunThatCannotSaveItsEndFails) {
  try {
    train<FileSizeLimit>(options("run"), 4608, -1, 5000);
    FAIL() << "saved at 5 kimg?";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the run has come to its end, but cannot write "));
    EXPECT_THAT(error.what(),
                HasSubstr("the last good training state is training-state-0000004.pt"));
  }
  train(options("run"));
  expect_same_end("run");
}

TEST_F(SaveErrorsOfTraining, KeepsTheNewestCheckpoints) {
  auto o = options("run");
  o.checkpoint_nimg = 1024;
  o.keep_checkpoints = 2;
  train(o);
  for (const int kimg : {1, 2, 3}) EXPECT_FALSE(fs::exists(state("run", kimg))) << kimg;
  for (const int kimg : {4, 5}) EXPECT_TRUE(fs::exists(state("run", kimg))) << kimg;
  expect_whole("run");
  // Nothing goes as long as the newer one is not there.
  fs::remove_all(dir / "run");
  o.keep_checkpoints = 1;
  o.total_nimg = 3072;
  EXPECT_THROW(train<FileSizeLimit>(o, 2048, -1, 5000), Error);
  EXPECT_TRUE(fs::exists(state("run", 2)));
  expect_whole("run");
}

}  // namespace edm2
