// Training that is killed again and again, at any moment, and goes on each time.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <thread>

#include "edm2/core/platform.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/snapshot.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"
#include "support/small_training.h"
#include "train/manifest.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr const char* folder_variable = "EDM2_TEST_KILL_FOLDER";
constexpr const char* count_variable = "EDM2_TEST_KILLS";
constexpr const char* seed_variable = "EDM2_TEST_KILL_SEED";
constexpr int workers = 2;  // each has one thread, and a run of its own

#ifdef __SANITIZE_ADDRESS__
constexpr int default_kills = 30;
#else
constexpr int default_kills = 220;
#endif

TrainOptions killed_options(const fs::path& folder, const std::string& run) {
  TrainOptions o = test::small_training(folder / "data", folder / run);
  o.network = test::tiny_options(3, 8, 4);
  o.network.dropout = 0.1;
  o.learning_rate = {.ref_lr = 0.01, .ref_batches = 10, .rampup_nimg = 0};
  o.batch_size = 512;
  o.batch_gpu = 256;
  o.total_nimg = 5 << 10;
  o.status_nimg = 2560;  // a line's losses come from before and after a training state
  o.snapshot_nimg = 2048;
  o.checkpoint_nimg = 1024;
  o.data_threads = 1;
  return o;
}

/// The run in a process of its own, without the time that starting a program takes. This process
/// must not have computed anything before.
pid_t start(const TrainOptions& options) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    at::set_num_threads(1);
    Trainer trainer(options, make_progress(ProgressStyle::quiet));
    trainer.setup();
    trainer.run();
    _exit(0);
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    _exit(1);
  }
}

int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

bool is_saving(const fs::path& run) {
  std::error_code ignored;
  const fs::path folder = run / ".saving";
  return fs::exists(folder, ignored) && !fs::is_empty(folder, ignored) && !ignored;
}

/// All files that are there are whole, after a kill at any moment.
void expect_whole_files(const fs::path& run, std::set<std::string>& seen) {
  if (!fs::exists(run / "checksums.sha256")) return;
  const Manifest manifest = Manifest::parse(test::read_file(run / "checksums.sha256"));
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("training-state") && !name.starts_with("network-snapshot")) continue;
    ASSERT_FALSE(manifest.digests(name).empty()) << name;
    EXPECT_EQ(difference(entry.path(), manifest.digests(name)), std::nullopt) << name;
    if (!seen.insert(name + manifest.digests(name).back().sha256).second) continue;
    if (name.ends_with(".pt")) {
      EXPECT_NO_THROW(load_torch_file(entry.path())) << name;
    } else {
      EXPECT_NO_THROW(load_snapshot(entry.path())) << name;
    }
  }
}

/// Lines of stats.jsonl without what time and memory have in them.
std::vector<nlohmann::json> steady_statistics(const fs::path& run) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(test::read_file(run / "stats.jsonl"));
  for (std::string line; std::getline(text, line);) {
    const auto json = nlohmann::json::parse(line);
    nlohmann::json steady;
    for (const auto& [key, value] : json.items())
      if (key.starts_with("Loss/") || key == "Progress/kimg") steady[key] = value;
    lines.push_back(steady);
  }
  return lines;
}

void expect_same_values(const PickleValue& a, const PickleValue& b, const std::string& path) {
  if (a.is_tensor()) {
    EXPECT_TRUE(a.as_tensor().equal(b.as_tensor())) << path;
    return;
  }
  if (!a.is_dict()) return;
  for (const auto& [key, value] : a.items()) {
    const PickleValue* other = b.find(key);
    ASSERT_NE(other, nullptr) << path;
    expect_same_values(value, *other, path + "." + (key.is_string() ? key.as_string() : "#"));
  }
}

/// The run has ended as `whole` has: weights, averages, moments, snapshots, statistics.
void expect_same_run(const fs::path& run, const fs::path& whole) {
  for (const auto& entry : fs::directory_iterator(whole)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("network-snapshot")) {
      EXPECT_EQ(test::read_file(run / name), test::read_file(entry.path())) << name;
    }
    if (!name.starts_with("training-state")) continue;
    const PickleValue a = load_torch_file(entry.path()), b = load_torch_file(run / name);
    EXPECT_EQ(b.at("state").at("cur_nimg").as_int(), a.at("state").at("cur_nimg").as_int());
    expect_same_values(a, b, name);
  }
  EXPECT_EQ(steady_statistics(run), steady_statistics(whole));
}

class Killer {
 public:
  Killer(TrainOptions options, Milliseconds whole_time, unsigned seed)
      : options_(std::move(options)), whole_time_(whole_time), random_(seed) {}

  /// True if the run was killed, false if it was done before.
  bool run_and_kill() {
    const pid_t child = start(options_);
    if (random_() % 2 == 0)
      wait_for_save(child);
    else
      sleep(whole_time_ * fraction(1.1));
    kill(child, SIGKILL);
    const int status = wait_for(child);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return false;
    }
    during_save_ += is_saving(options_.outdir) ? 1 : 0;
    return true;
  }
  int during_save() const { return during_save_; }

 private:
  double fraction(double max) { return std::uniform_real_distribution<double>(0, max)(random_); }
  static void sleep(Milliseconds time) { std::this_thread::sleep_for(time); }

  /// One of the next saves, and some moment in it or shortly after it.
  void wait_for_save(pid_t child) {
    const auto wait_while = [&](bool saving) {
      while (is_saving(options_.outdir) == saving && !has_ended(child)) sleep(Milliseconds(0.05));
    };
    for (auto left = random_() % 5;; --left) {
      wait_while(false);
      if (left == 0 || has_ended(child)) break;
      const auto begin = Clock::now();
      wait_while(true);
      if (!has_ended(child)) save_time_ = 0.8 * save_time_ + 0.2 * (Clock::now() - begin);
    }
    sleep(save_time_ * fraction(1.5));
  }
  static bool has_ended(pid_t child) {
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid != 0;
  }

  TrainOptions options_;
  Milliseconds whole_time_, save_time_{2};  // of a whole run; of a save, about
  std::mt19937 random_;
  int during_save_ = 0;
};

}  // namespace

// Runs in a process of its own, see below.
TEST(TrainingKillWorker, DISABLED_Kills) {
  const char* given = std::getenv(folder_variable);
  ASSERT_NE(given, nullptr);
  const fs::path folder = given;
  const char* count = std::getenv(count_variable);
  const int kills = (count != nullptr ? std::atoi(count) : default_kills) / workers;
  const char* seed = std::getenv(seed_variable);
  ASSERT_NE(seed, nullptr);

  const auto begin = Clock::now();
  ASSERT_EQ(wait_for(start(killed_options(folder, "whole"))), 0);
  const Milliseconds whole_time = Clock::now() - begin;
  ASSERT_EQ(steady_statistics(folder / "whole").size(), 3u);

  const TrainOptions options = killed_options(folder, "run");
  Killer killer(options, whole_time, static_cast<unsigned>(std::atoi(seed)));
  std::set<std::string> seen;
  int killed = 0, completed = 0;
  while (killed < kills && !testing::Test::HasFailure()) {
    if (killer.run_and_kill()) {
      ++killed;
      expect_whole_files(options.outdir, seen);
    } else {
      ++completed;
      expect_same_run(options.outdir, folder / "whole");
      fs::remove_all(options.outdir);
    }
  }
  ASSERT_EQ(wait_for(start(options)), 0);
  expect_same_run(options.outdir, folder / "whole");
  EXPECT_FALSE(fs::exists(options.outdir / ".saving")) << "what was left over is gone";
  EXPECT_GE(killer.during_save(), kills / 10);
  std::cout << killed << " kills, " << killer.during_save() << " of them during a save, "
            << completed + 1 << " runs; an unbroken one takes " << whole_time.count() << " ms\n";
}

TEST(TrainingKill, EveryRunGoesOnAndEndsTheSameBitForBit) {
  // Kills do not touch what the system holds of files, so memory serves as well as a disk.
  const fs::path memory = "/dev/shm";
  if (access(memory.c_str(), W_OK) == 0) setenv("TMPDIR", memory.c_str(), 1);
  std::vector<std::unique_ptr<test::TempDir>> folders;
  for (int i = 0; i < workers; ++i) folders.push_back(std::make_unique<test::TempDir>());
  unsetenv("TMPDIR");
  std::vector<std::future<test::RunResult>> runs;
  for (int i = 0; i < workers; ++i) {
    const fs::path folder = folders[static_cast<size_t>(i)]->path();
    test::write_small_dataset(folder / "data");
    test::RunOptions options;
    options.environment[folder_variable] = folder.string();
    options.environment[seed_variable] = std::to_string(20240229 + i);
    options.timeout = std::chrono::hours(2);
    runs.push_back(std::async(std::launch::async, [options] {
      return test::run_command({executable_path().string(), "--gtest_filter=TrainingKillWorker.*",
                                "--gtest_also_run_disabled_tests", "--gtest_brief=1"},
                               options);
    }));
  }
  for (auto& run : runs) {
    const test::RunResult result = run.get();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    std::cout << result.out;
  }
}

}  // namespace edm2
