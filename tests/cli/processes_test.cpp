// Many processes as a user starts them: the same pictures, and one sentence when one of them fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>

#include "edm2/nn/snapshot.h"
#include "support/free_port.h"
#include "support/paths.h"
#include "support/python.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::children_by_variable;
using test::read_file;
using test::run_edm2;
using test::RunOptions;
using test::RunResult;
using test::wait_until;
using testing::HasSubstr;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::optional<std::string>>;

int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A process that has ended is a zombie until its parent asks for it.
bool has_ended(int pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  return stat.empty() || stat.find(") Z") != std::string::npos;
}

class ProcessesCli : public testing::Test {
 protected:
  void SetUp() override {
    save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  }

  Words command(const std::string& outdir, const Words& more) const {
    Words words = {"generate", "--net", dir / "net.pkl", "--outdir", dir / outdir};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// Work for minutes, with a picture now and then.
  Words long_command(const std::string& outdir, const Words& more = {}) const {
    Words words = command(outdir, {"--seeds=0-99999", "--batch=1", "--steps=20", "--quiet"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  Words train_command(const std::string& outdir, const Words& more) const {
    Words words = {"train",
                   "--outdir",
                   dir / outdir,
                   "--data",
                   dir / "data",
                   "--channels=8",
                   "--channel-mult=1,2",
                   "--num-blocks=1",
                   "--attn-resolutions=4",
                   "--channels-per-head=8",
                   "--batch=64",
                   "--status=1024",
                   "--snapshot=1024",
                   "--checkpoint=1024"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  bool is_training(const std::string& outdir) const {
    return read_file(dir / outdir / "log.txt").find("Saving ") != std::string::npos;
  }

  /// Runs the program once for each rank, as a launcher does; `act` gets the process ids by rank
  /// when each process has drawn something.
  std::vector<RunResult> run_ranks(int size, const std::function<Words(int)>& words,
                                   const std::function<void(const std::vector<int>&)>& act = {},
                                   const std::function<Variables(int)>& variables = {}) {
    const std::string port = std::to_string(test::free_port());
    std::vector<RunResult> results(static_cast<size_t>(size));
    std::vector<std::atomic<int>> pids(static_cast<size_t>(size));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank)
      threads.emplace_back([&, rank] {
        const auto i = static_cast<size_t>(rank);
        RunOptions options;
        options.environment = {{"RANK", std::to_string(rank)},
                               {"LOCAL_RANK", std::to_string(rank)},
                               {"WORLD_SIZE", std::to_string(size)},
                               {"MASTER_ADDR", "127.0.0.1"},
                               {"MASTER_PORT", port},
                               {"OMP_NUM_THREADS", "1"}};
        if (variables)
          for (const auto& [name, value] : variables(rank)) options.environment[name] = value;
        options.meanwhile = [&pids, i](int pid) { pids[i] = pid; };
        results[i] = run_edm2(words(rank), options);
      });
    if (act) {
      wait_until([&] {
        return std::all_of(pids.begin(), pids.end(), [](const auto& pid) { return pid != 0; });
      });
      act({pids.begin(), pids.end()});
    }
    for (auto& thread : threads) thread.join();
    return results;
  }

  /// Every process of a group of `size` has written a picture: seed k * size + rank is drawn by
  /// `rank` if batches hold one picture.
  bool all_draw(const std::string& outdir, int size) const {
    for (int rank = 0; rank < size; ++rank)
      if (!fs::exists(dir / outdir / ("00000" + std::to_string(rank) + ".png"))) return false;
    return true;
  }

  test::TempDir dir;
};

}  // namespace

TEST_F(ProcessesCli, SamePicturesForAnyNumberOfProcesses) {
  const std::pair<const char*, const char*> all_pictures[] = {{"--grid", ".png"},
                                                              {"--npz", ".npz"},
                                                              {"--latents", ".safetensors"},
                                                              {"--trajectory-grid", "-steps.png"}};
  const auto file = [&](const std::string& name, const char* ending) {
    return (dir / (name + ending)).string();
  };
  const auto run = [&](const std::string& name, const Words& more) {
    Words words = {"--seeds=3-9", "--steps=3", "--S_churn=10", "--quiet"};
    for (const auto& [option, ending] : all_pictures)
      words.insert(words.end(), {option, file(name, ending)});
    words.insert(words.end(), more.begin(), more.end());
    const RunResult result = run_edm2(command(name, words));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.out, "");
  };
  run("one", {});
  run("two", {"--nproc=2", "--batch=2"});
  run("three", {"--nproc=3", "--batch=32"});
  for (const std::string name : {"two", "three"}) {
    for (int seed = 3; seed <= 9; ++seed) {
      const std::string png = "00000" + std::to_string(seed) + ".png";
      const std::string picture = read_file(dir / "one" / png);
      EXPECT_FALSE(picture.empty());
      EXPECT_EQ(read_file(dir / name / png), picture) << name << " " << png;
    }
    for (const auto& [option, ending] : all_pictures) {
      const std::string all = read_file(file("one", ending));
      EXPECT_FALSE(all.empty());
      EXPECT_EQ(read_file(file(name, ending)), all) << name << ending;
    }
  }
}

TEST_F(ProcessesCli, ResumedByOtherProcesses) {
  const Words words = {"--seeds=0-6", "--steps=2", "--quiet", "--batch=2"};
  const auto with = [&](const Words& more) {
    Words all = words;
    all.insert(all.end(), more.begin(), more.end());
    return run_edm2(command("out", all));
  };
  ASSERT_EQ(with({}).exit_code, 0);
  std::map<std::string, std::string> before;
  for (const auto& entry : fs::directory_iterator(dir / "out"))
    before[entry.path().filename()] = read_file(entry.path());
  ASSERT_EQ(before.size(), 7u);
  for (const char* name : {"000001.png", "000004.png", "000005.png"})
    fs::remove(dir / "out" / name);
  const RunResult rest = with({"--resume", "--nproc=2"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  for (const auto& [name, content] : before)
    EXPECT_EQ(read_file(dir / "out" / name), content) << name;
}

TEST_F(ProcessesCli, StartedByALauncher) {
  const auto words = [&](int) { return command("many", {"--seeds=0-3", "--steps=2"}); };
  const auto results = run_ranks(3, words);
  for (const auto& result : results) EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(results[0].out, HasSubstr("Generating 4 images..."));
  EXPECT_EQ(results[1].out + results[1].err, "") << "only rank 0 reports";
  EXPECT_EQ(results[2].out + results[2].err, "");
  fs::rename(dir / "many", dir / "ranks");  // the folder's name is in what is said
  const RunResult one = run_edm2(words(0));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(results[0].out, one.out);
  for (int seed = 0; seed < 4; ++seed) {
    const std::string file = "00000" + std::to_string(seed) + ".png";
    EXPECT_EQ(read_file(dir / "ranks" / file), read_file(dir / "many" / file)) << file;
  }
}

TEST_F(ProcessesCli, NoSeedsAndFewerSeedsThanProcesses) {
  for (const char* seeds : {"--seeds=5-1", "--seeds=0-3,5-1", "--seeds=", "--seeds=,"}) {
    const RunResult none = run_edm2(command("none", {seeds, "--nproc=2", "--quiet"}));
    test::expect_error(none, 2, "Invalid value for '--seeds': '");
    EXPECT_FALSE(fs::exists(dir / "none"));
  }
  const RunResult few = run_edm2(
      command("few", {"--seeds=7", "--nproc=3", "--steps=2", "--quiet", "--npz", dir / "few.npz"}));
  EXPECT_EQ(few.exit_code, 0) << few.err;
  EXPECT_TRUE(fs::exists(dir / "few" / "000007.png"));
  EXPECT_TRUE(fs::exists(dir / "few.npz"));
}

TEST_F(ProcessesCli, ErrorsAreToldOnce) {
  const RunResult missing = run_edm2(
      {"generate", "--net", dir / "no.pkl", "--outdir", dir / "out", "--nproc=3", "--quiet"});
  test::expect_error(missing, 1, "rank 0 on ");
  EXPECT_THAT(missing.err, HasSubstr("no.pkl"));
  EXPECT_EQ(count_of(missing.err, "Error"), 1) << missing.err;
  const RunResult usage = run_edm2(command("out", {"--nproc=2", "--sigma_min=90"}));
  EXPECT_EQ(usage.exit_code, 2);
  EXPECT_EQ(count_of(usage.err, "Error"), 1) << usage.err;
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(ProcessesCli, AWrongInterfaceIsToldOnceByItsName) {
  const auto words = [&](const Words& more) {
    Words all = command("out", {"--seeds=0-1", "--steps=1", "--quiet"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  for (const char* value : {"^lo", "lo,no-such0", "\x1b[31m"}) {
    SCOPED_TRACE(value);
    const RunResult run =
        run_edm2(words({"--nproc=2"}), {.environment = {{"GLOO_SOCKET_IFNAME", value}}});
    test::expect_error(run, 1, "the environment variable GLOO_SOCKET_IFNAME is '");
    EXPECT_THAT(run.err, HasSubstr("lo (127.0.0.1)"));
    EXPECT_EQ(count_of(run.err, "Error"), 1) << run.err;
    EXPECT_EQ(run.err.find('\x1b'), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(dir / "out"));
  const RunResult twice =
      run_edm2(words({"--nproc=2"}), {.environment = {{"GLOO_SOCKET_IFNAME", "lo,lo"}}});
  EXPECT_EQ(twice.exit_code, 0) << twice.err;
  EXPECT_TRUE(fs::exists(dir / "out" / "000001.png"));
}

TEST_F(ProcessesCli, AWrongInterfaceOfOneRankEndsAll) {
  const auto results = run_ranks(
      3,
      [&](int) {
        return command("out", {"--seeds=0-2", "--steps=1", "--quiet"});
      },
      {},
      [](int rank) -> Variables {
        if (rank != 1) return {};
        return {{"GLOO_SOCKET_IFNAME", "no-such0"}};
      });
  std::string all;
  for (const auto& result : results) {
    EXPECT_EQ(result.exit_code, 1);
    all += result.err;
  }
  EXPECT_THAT(all, HasSubstr("rank 1 on "));
  EXPECT_THAT(all, HasSubstr("GLOO_SOCKET_IFNAME is 'no-such0'"));
  EXPECT_EQ(count_of(all, "Error"), 1) << all;
}

TEST_F(ProcessesCli, AFailingRankStopsAllWithItsNameAndReason) {
  std::ofstream(dir / "file") << "in the way";
  const auto results =
      run_ranks(3, [&](int rank) { return long_command(rank == 2 ? "file" : "out"); });
  for (const auto& result : results) EXPECT_EQ(result.exit_code, 1);
  test::expect_error(results[0], 1, "rank 2 on ");
  EXPECT_THAT(results[0].err, HasSubstr("cannot create the folder"));
  EXPECT_EQ(results[1].err, "") << "rank 0 tells it";
  EXPECT_EQ(results[2].err, "");
}

TEST_F(ProcessesCli, KilledRankIsNamedAtOnce) {
  RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return all_draw("out", 3); }));
    kill(children_by_variable(pid, "RANK").at("1"), SIGKILL);
  };
  const auto start = std::chrono::steady_clock::now();
  const RunResult run = run_edm2(long_command("out", {"--nproc=3"}), options);
  test::expect_error(run, 137, "rank 1 on ");
  EXPECT_THAT(run.err, HasSubstr("ended by signal 9"));
  EXPECT_LT(seconds_since(start), 30);
}

TEST_F(ProcessesCli, StoppedRankIsNamedAndEnded) {
  RunOptions options;
  int stopped = 0;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return all_draw("out", 3); }));
    stopped = children_by_variable(pid, "RANK").at("2");
    kill(stopped, SIGSTOP);
  };
  const auto start = std::chrono::steady_clock::now();
  const RunResult run = run_edm2(long_command("out", {"--nproc=3", "--time-limit=5"}), options);
  test::expect_error(run, 1, "rank 2 on ");
  EXPECT_THAT(run.err, HasSubstr("no sign of life"));
  EXPECT_LT(seconds_since(start), 35);
  EXPECT_NE(kill(stopped, 0), 0) << "it is gone";
}

// Without anybody who watches them from outside: each of four groups loses one process.
TEST_F(ProcessesCli, LostRanksAreNamedByTheOthers) {
  struct Case {
    std::string name;
    int rank, signal;
  };
  const Case cases[] = {
      {"kill0", 0, SIGKILL}, {"kill1", 1, SIGKILL}, {"stop0", 0, SIGSTOP}, {"stop1", 1, SIGSTOP}};
  std::vector<std::thread> threads;
  for (const Case& c : cases)
    threads.emplace_back([&] {
      std::chrono::steady_clock::time_point lost;
      std::atomic<double> seconds = 0;
      int pid = 0;
      const auto results = run_ranks(
          2, [&](int) { return long_command(c.name, {"--time-limit=5"}); },
          [&](const std::vector<int>& pids) {
            EXPECT_TRUE(wait_until([&] { return all_draw(c.name, 2); })) << c.name;
            lost = std::chrono::steady_clock::now();
            pid = pids[static_cast<size_t>(c.rank)];
            kill(pid, c.signal);
            if (c.signal != SIGSTOP) return;
            const int other = pids[static_cast<size_t>(1 - c.rank)];
            EXPECT_TRUE(wait_until([&] { return has_ended(other); }));
            seconds = seconds_since(lost);
            kill(pid, SIGKILL);
          });
      if (c.signal == SIGKILL) seconds = seconds_since(lost);
      EXPECT_LT(seconds, 5 + 30) << c.name;
      const RunResult& other = results[static_cast<size_t>(1 - c.rank)];
      test::expect_error(other, 1, "rank " + std::to_string(c.rank) + " on ");
      EXPECT_EQ(results[static_cast<size_t>(c.rank)].signal, SIGKILL);
    });
  for (auto& thread : threads) thread.join();
}

// The same in training, where processes wait for each other in every step.
TEST_F(ProcessesCli, TrainingEndsWithoutALostRank) {
  test::write_small_dataset(dir / "data");
  std::vector<std::thread> threads;
  for (const int signal : {SIGKILL, SIGSTOP})
    threads.emplace_back([&, signal] {
      const std::string name = signal == SIGKILL ? "kill" : "stop";
      std::chrono::steady_clock::time_point lost;
      const auto results = run_ranks(
          4,
          [&](int) {
            return train_command(name, {"--duration=1Gi", "--time-limit=5"});
          },
          [&](const std::vector<int>& pids) {
            EXPECT_TRUE(wait_until([&] { return is_training(name); })) << name;
            lost = std::chrono::steady_clock::now();
            kill(pids[2], signal);
            if (signal != SIGSTOP) return;
            EXPECT_TRUE(wait_until(
                [&] { return has_ended(pids[0]) && has_ended(pids[1]) && has_ended(pids[3]); }));
            EXPECT_LT(seconds_since(lost), 5 + 30);
            kill(pids[2], SIGKILL);
          });
      EXPECT_LT(seconds_since(lost), 5 + 30) << name;
      test::expect_error(results[0], 1, "rank 2 on ");
      for (const size_t rank : {1u, 3u}) {
        EXPECT_EQ(results[rank].exit_code, 1);
        EXPECT_EQ(results[rank].err, "") << "rank 0 tells it";
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST_F(ProcessesCli, TrainingByMoreProcessesWritesWhatOneWrites) {
  test::write_small_dataset(dir / "data");
  const RunResult one = run_edm2(train_command("one", {"--duration=1024"}));
  ASSERT_EQ(one.exit_code, 0) << one.err;
  const RunResult two = run_edm2(train_command("two", {"--duration=1024", "--nproc=2"}));
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_THAT(one.out, HasSubstr("Processes:               1"));
  EXPECT_THAT(two.out, HasSubstr("Processes:               2"));
  for (const auto& entry : fs::directory_iterator(dir / "one")) {
    const std::string name = entry.path().filename();
    if (name.starts_with("events.")) continue;  // their names have the time in them
    EXPECT_TRUE(fs::exists(dir / "two" / name)) << name;
  }
  EXPECT_EQ(count_of(two.out, "Constructing network..."), 1);
  const auto lines = [&](const char* run) {
    return count_of(read_file(dir / run / "log.txt"), "\n");
  };
  EXPECT_EQ(lines("two"), lines("one"));
  test::expect_error(run_edm2(train_command("three", {"--duration=1024", "--nproc=3"})), 1,
                     "--batch=64 is not divisible by the 3 processes");
}

TEST_F(ProcessesCli, InterruptedTogether) {
  RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return all_draw("out", 2); }));
    kill(pid, SIGINT);
  };
  const RunResult run = run_edm2(long_command("out", {"--nproc=2"}), options);
  EXPECT_EQ(run.exit_code, 130);
  EXPECT_EQ(run.err, "Interrupted.\n");
}

TEST_F(ProcessesCli, SignalToOneRankNamesIt) {
  RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return all_draw("out", 2); }));
    kill(children_by_variable(pid, "RANK").at("1"), SIGTERM);
  };
  const RunResult run = run_edm2(long_command("out", {"--nproc=2"}), options);
  EXPECT_EQ(run.exit_code, 143);
  EXPECT_THAT(run.err, HasSubstr("rank 1 on "));
  EXPECT_THAT(run.err, HasSubstr("interrupted by signal 15"));
}

TEST_F(ProcessesCli, ProcessesDieWithTheirStarter) {
  std::map<std::string, int> children;
  RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return all_draw("out", 2); }));
    children = children_by_variable(pid, "RANK");
    kill(pid, SIGKILL);
  };
  const RunResult run = run_edm2(long_command("out", {"--nproc=2"}), options);
  EXPECT_EQ(run.signal, SIGKILL);
  ASSERT_EQ(children.size(), 2u);
  for (const auto& [rank, pid] : children)
    EXPECT_TRUE(wait_until([child = pid] { return has_ended(child); })) << rank;
}

TEST_F(ProcessesCli, WrongSurroundings) {
  const auto run = [&](const std::map<std::string, std::optional<std::string>>& variables,
                       const Words& more = {}) {
    Words words = command("out", {"--quiet", "--time-limit=1"});
    words.insert(words.end(), more.begin(), more.end());
    return run_edm2(words, {.environment = variables});
  };
  test::expect_error(run({{"WORLD_SIZE", "2"}, {"RANK", "2"}, {"MASTER_PORT", "1"}}), 1,
                     "RANK is 2, but WORLD_SIZE is 2");
  test::expect_error(run({{"WORLD_SIZE", "many"}}), 1, "WORLD_SIZE is 'many'");
  const std::string port = std::to_string(test::free_port());
  const std::map<std::string, std::optional<std::string>> alone = {
      {"WORLD_SIZE", "2"}, {"RANK", "0"}, {"MASTER_PORT", port}};
  test::expect_error(run(alone), 1, "rank 1 has not come within 1 s");
  test::expect_error(run(alone, {"--nproc=2"}), 1, "--nproc starts processes");
  const test::Listener busy;
  test::expect_error(
      run({{"WORLD_SIZE", "2"}, {"RANK", "0"}, {"MASTER_PORT", std::to_string(busy.port())}}), 1,
      "is in use");
  test::expect_error(run({{"WORLD_SIZE", "2"},
                          {"RANK", "1"},
                          {"MASTER_ADDR", "127.0.0.1"},
                          {"MASTER_PORT", port}}),
                     1, "cannot reach rank 0 at 127.0.0.1:" + port);
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(ProcessesInterop, StartedByTorchrun) {
  const std::string python = test::find_python("torch");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  const auto run = [&](const Words& launcher, const std::string& outdir, const Words& more = {}) {
    Words words = launcher;
    words.insert(words.end(), {test::program(), "generate", "--net", dir / "net.pkl", "--outdir",
                               dir / outdir, "--seeds=0-4", "--steps=2"});
    words.insert(words.end(), more.begin(), more.end());
    return test::run_command(words);
  };
  const Words torchrun = {python,         "-m",          "torch.distributed.run",
                          "--standalone", "--no-python", "--nproc-per-node=2"};
  ASSERT_EQ(run({}, "one").exit_code, 0);
  const RunResult two = run(torchrun, "two");
  ASSERT_EQ(two.exit_code, 0) << two.err;
  EXPECT_EQ(count_of(two.out, "Generating 5 images..."), 1) << two.out;
  for (int seed = 0; seed < 5; ++seed) {
    const std::string file = "00000" + std::to_string(seed) + ".png";
    EXPECT_EQ(read_file(dir / "two" / file), read_file(dir / "one" / file)) << file;
  }
  const RunResult wrong = run(torchrun, "two", {"--class=5"});
  EXPECT_NE(wrong.exit_code, 0);
  EXPECT_EQ(count_of(wrong.err, "--class=5 is out of range"), 1) << wrong.err;
}

// A restarted job goes on by itself and ends as if nothing had happened.
TEST(ProcessesInterop, RestartedByTorchrun) {
  const std::string python = test::find_python("torch");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  const auto command = [&](const std::string& outdir) {
    return Words{python,
                 "-m",
                 "torch.distributed.run",
                 "--standalone",
                 "--no-python",
                 "--nproc-per-node=2",
                 "--max-restarts=1",
                 test::program(),
                 "train",
                 "--outdir",
                 dir / outdir,
                 "--data",
                 dir / "data",
                 "--channels=8",
                 "--channel-mult=1,2",
                 "--num-blocks=1",
                 "--attn-resolutions=4",
                 "--channels-per-head=8",
                 "--batch=64",
                 "--duration=6144",
                 "--snapshot=6144",
                 "--checkpoint=1024"};
  };
  ASSERT_EQ(test::run_command(command("whole")).exit_code, 0);
  RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return fs::exists(dir / "cut" / "training-state-0000002.pt"); }));
    const auto workers = children_by_variable(pid, "RANK");
    ASSERT_EQ(workers.count("1"), 1u);
    kill(workers.at("1"), SIGKILL);
  };
  const RunResult cut = test::run_command(command("cut"), options);
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  EXPECT_THAT(read_file(dir / "cut" / "log.txt"), HasSubstr("Training from "));
  EXPECT_EQ(count_of(read_file(dir / "cut" / "log.txt"), "Training from "), 2);
  const std::string snapshot = "network-snapshot-0000006-0.050.pkl";
  EXPECT_FALSE(read_file(dir / "whole" / snapshot).empty());
  EXPECT_EQ(read_file(dir / "cut" / snapshot), read_file(dir / "whole" / snapshot));
}

// torchrun would start a suspended run again at once, so it is told that all is well.
TEST(ProcessesInterop, SuspendedUnderTorchrun) {
  const std::string python = test::find_python("torch");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  const auto run = [&](const std::string& outdir, const Words& more) {
    Words words = {python,
                   "-m",
                   "torch.distributed.run",
                   "--standalone",
                   "--no-python",
                   "--nproc-per-node=2",
                   "--max-restarts=2",
                   test::program(),
                   "train",
                   "--outdir",
                   dir / outdir,
                   "--data",
                   dir / "data",
                   "--channels=8",
                   "--channel-mult=1,2",
                   "--num-blocks=1",
                   "--attn-resolutions=4",
                   "--channels-per-head=8",
                   "--batch=64",
                   "--duration=1024",
                   "--snapshot=1024",
                   "--checkpoint=1024"};
    words.insert(words.end(), more.begin(), more.end());
    return test::run_command(words);
  };
  ASSERT_EQ(run("whole", {}).exit_code, 0);
  const RunResult suspended = run("cut", {"--suspend-after=0.001s"});
  EXPECT_EQ(suspended.exit_code, 0) << suspended.err;
  EXPECT_EQ(count_of(read_file(dir / "cut" / "log.txt"), "Suspended after"), 1);
  EXPECT_EQ(count_of(read_file(dir / "cut" / "log.txt"), "Training from "), 1);
  EXPECT_EQ(run("cut", {}).exit_code, 0);
  const std::string snapshot = "network-snapshot-0000001-0.050.pkl";
  EXPECT_FALSE(read_file(dir / "whole" / snapshot).empty());
  EXPECT_EQ(read_file(dir / "cut" / snapshot), read_file(dir / "whole" / snapshot));
}

}  // namespace edm2
