// edm2 train as a user runs it.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/io/image.h"
#include "edm2/io/npz.h"
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
using test::wait_until;
using testing::HasSubstr;
using testing::Not;
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
  EXPECT_NE(run.out.find("\nProcesses:               1\n"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("\nDevice:                  CPU\nPrecision:               float32"),
            std::string::npos)
      << run.out;
  EXPECT_THAT(run.out, Not(HasSubstr("GPU")));
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
  EXPECT_NE(longer.out.find("--duration is now 2048"), std::string::npos) << longer.out;
  const auto info = nlohmann::json::parse(run_edm2({"info", dir / "run", "--json"}).out);
  EXPECT_EQ(info["images"], 2048);
  EXPECT_EQ(info["images_wanted"], 2048);
  EXPECT_TRUE(fs::exists(dir / "run" / "training-state-0000002.pt"));
}

TEST_F(TrainCli, SaysWhatAUserNeeds) {
  const RunResult run = train({"--rampup=1Mi"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::string noise = "Warning: after this run the network will draw little but noise";
  const size_t before = run.out.find(noise), after = run.out.rfind(noise);
  EXPECT_LT(before, run.out.find("Loading dataset...")) << run.out;
  EXPECT_GT(after, run.out.find("training-state-0000001.pt ... done")) << run.out;
  EXPECT_THAT(run.out, HasSubstr("edm2 generate --net=" + (dir / "run").string() + "@0.1 "));
  EXPECT_THAT(run.out, HasSubstr("\nImages to train for:     1024\n"));
  for (const char* internal : {"training.", "kwargs", "gpumem", "GPU", "Mixed"})
    EXPECT_THAT(run.out, Not(HasSubstr(internal)));
  const RunResult info = run_edm2({"info", dir / "run"});
  EXPECT_THAT(info.out, Not(HasSubstr("training.networks_edm2")));
  EXPECT_THAT(info.out, HasSubstr("training.encoders.StandardRGBEncoder")) << "nothing else tells";
}

TEST_F(TrainCli, StatusLinesFitTheRun) {
  const auto status_of = [&](Words words) {
    const RunResult run = run_edm2([&] {
      Words all = {"train", "--outdir", dir / "run", "--data", dir / "data", "-n", "--batch=64"};
      all.insert(all.end(), words.begin(), words.end());
      return all;
    }());
    const size_t at = run.out.find("\"status_nimg\": ");
    EXPECT_NE(at, std::string::npos) << run.out << run.err;
    return run.out.substr(at + 15, run.out.find_first_of(",\n", at) - at - 15);
  };
  EXPECT_EQ(status_of({}), "131072");
  EXPECT_EQ(status_of({"--duration=8Ki"}), "256");
  EXPECT_EQ(status_of({"--duration=8Ki", "--status=64"}), "64");
  EXPECT_EQ(status_of({"--duration=8Ki", "--status=0"}), "null");
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

// Signal after signal until the run is at its end, which is that of a run without any.
TEST_F(TrainCli, SignalsSuspendIt) {
  const Words words = {"--duration=3072", "--status=64"};
  ASSERT_EQ(train(words).exit_code, 0);
  fs::rename(dir / "run", dir / "whole");
  const auto lines = [&] {
    return std::ranges::count(read_file(dir / "run" / "stats.jsonl"), '\n');
  };
  int suspended = 0, last = 75;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGUSR1, SIGTERM, SIGINT}) {
    const auto before = lines();
    test::RunOptions options;
    options.meanwhile = [&](int pid) {
      if (wait_until([&] { return lines() > before + 5 || kill(pid, 0) != 0; })) kill(pid, signal);
    };
    const RunResult run = train(words, options);
    last = run.exit_code;
    if (last == 0) break;
    ASSERT_EQ(run.exit_code, 75) << run.signal << run.out << run.err;
    ++suspended;
    EXPECT_THAT(run.out, HasSubstr("Suspended by signal " + std::to_string(signal) + " ("));
    EXPECT_THAT(run.err, Not(HasSubstr("Error")));
    EXPECT_THAT(run.err, HasSubstr("The run ends after this step and saves its state"));
  }
  EXPECT_GE(suspended, 2);
  if (last == 75) {
    const RunResult rest = train(words);
    EXPECT_EQ(rest.exit_code, 0) << rest.err;
  }
  for (const char* name :
       {"network-snapshot-0000003-0.050.pkl", "network-snapshot-0000003-0.100.pkl"})
    EXPECT_EQ(read_file(dir / "run" / name), read_file(dir / "whole" / name)) << name;
  EXPECT_EQ(lines(), 3072 / 64 + 1) << "no line twice";
}

TEST_F(TrainCli, SuspendsAfterTheGivenTime) {
  const Words words = {"--duration=1024", "--checkpoint=0"};
  const RunResult run = train({"--duration=1024", "--checkpoint=0", "--suspend-after=0.001s"});
  EXPECT_EQ(run.exit_code, 75) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Suspended after 0s at 0.064 kimg; the same command goes on"));
  EXPECT_TRUE(fs::exists(dir / "run" / "training-state-0000000.pt")) << "though --checkpoint=0";
  const RunResult rest = train(words);
  EXPECT_EQ(rest.exit_code, 0) << rest.err;
  EXPECT_THAT(rest.out, HasSubstr("Training from 0 kimg to 1 kimg"));
  EXPECT_THAT(rest.out, HasSubstr("training-state-0000000.pt ... done"));
  expect_error(train({"--suspend-after=90"}), 2, "'90' is not a time such as 90s, 3h50m");
}

TEST_F(TrainCli, ASignalToOneProcessSuspendsAll) {
  test::RunOptions options;
  options.meanwhile = [&](int pid) {
    EXPECT_TRUE(wait_until([&] { return fs::exists(dir / "run" / "training-state-0000001.pt"); }));
    const auto workers = test::children_by_variable(pid, "RANK");
    ASSERT_EQ(workers.count("1"), 1u);
    kill(workers.at("1"), SIGUSR1);
  };
  const Words words = {"--nproc=2", "--duration=1Mi", "--snapshot=0"};
  const RunResult one = train(words, options);
  EXPECT_EQ(one.exit_code, 75) << one.err;
  EXPECT_THAT(one.out, HasSubstr("Suspended by signal 10 ("));
  EXPECT_EQ(one.err.find("Error"), std::string::npos) << one.err;
  // To the one that started them, and again at once, as launchers and batch systems do together.
  options.meanwhile = [&](int pid) {
    const auto size = [&] { return read_file(dir / "run" / "stats.jsonl").size(); };
    const auto before = size();
    EXPECT_TRUE(wait_until([&] { return size() > before; }));
    kill(pid, SIGTERM);
    kill(pid, SIGTERM);
  };
  const RunResult all = train(words, options);
  EXPECT_EQ(all.exit_code, 75) << all.signal << all.err;
}

TEST_F(TrainCli, SaysWhichStateItSkips) {
  ASSERT_EQ(train({"--duration=2048"}).exit_code, 0);
  const fs::path newest = dir / "run" / "training-state-0000002.pt";
  fs::resize_file(newest, 100);
  const RunResult run = train({"--duration=3072"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Skipping " + newest.string() + ", which is damaged: it has 100"));
  EXPECT_THAT(run.out, HasSubstr("training-state-0000001.pt ... done"));
  EXPECT_GT(fs::file_size(newest), 100u) << "written again on the way";
  for (const char* name :
       {"training-state-0000001.pt", "training-state-0000002.pt", "training-state-0000003.pt"})
    fs::resize_file(dir / "run" / name, 0);
  expect_error(train({"--duration=4096"}), 1, "no training state in '");
}

// With a real file system of a few hundred kB, where this may be made.
TEST_F(TrainCli, FullDisk) {
  fs::create_directories(dir / "mnt");
  const std::string mount = "mount -t tmpfs -o size=1400k none '" + (dir / "mnt").string() + "'";
  if (test::run_command({"unshare", "-m", "sh", "-c", mount}).exit_code != 0)
    GTEST_SKIP() << "file systems cannot be mounted here";
  const std::string run = (dir / "mnt" / "run").string();
  const auto words = [&](const std::string& more) {
    std::string line = "'" + test::program().string() + "' train --outdir='" + run + "' --data='" +
                       (dir / "data").string() +
                       "' --preset=edm2-img64-xs --channels=8 --channel-mult=1,2 --num-blocks=1 "
                       "--attn-resolutions=4 --channels-per-head=8 --batch=256 --duration=6144 "
                       "--status=1024 --snapshot=0 --checkpoint=1024 ";
    return line + more;
  };
  const std::string script = mount + " && { " + words("") + "; echo \"first $?\"; " +
                             words("--on-save-error=stop") + "; echo \"second $?\"; cd '" + run +
                             "' && ls -a; sha256sum --strict -c checksums.sha256 && mount -o " +
                             "remount,size=50m '" + (dir / "mnt").string() + "' && " + words("") +
                             "; echo \"third $?\"; sha256sum --strict -c checksums.sha256; }";
  const RunResult all = test::run_command({"unshare", "-m", "sh", "-c", script});
  EXPECT_THAT(all.out, HasSubstr("Warning: cannot write "));
  EXPECT_THAT(all.out, HasSubstr("No space left on device; the last good training state is "));
  EXPECT_THAT(all.out, HasSubstr("first 1\n"));
  EXPECT_THAT(all.out, HasSubstr("second 1\n"));
  EXPECT_THAT(all.out, HasSubstr("third 0\n"));
  EXPECT_THAT(all.out, Not(HasSubstr("FAILED")));
  EXPECT_THAT(all.err, HasSubstr("Error: the run has come to its end, but cannot write "));
  EXPECT_THAT(all.out, HasSubstr("training-state-0000006.pt: OK"));
}

TEST_F(TrainCli, WrongUsage) {
  expect_error(train({"--duration=1.5Mi"}), 2, "'--duration'");
  expect_error(train({"--keep-checkpoints=0"}), 2, "'--keep-checkpoints'");
  expect_error(train({"--on-save-error=maybe"}), 2, "'maybe' is not one of 'continue', 'stop'");
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
    if (i == 2) png.replace(png.find("IDAT") + 4, 8, 8, '\xff');  // behind a good header
  });
  const RunResult cut = train({"--data", dir / "cut.zip"});
  expect_error(cut, 1, "img00000002.png");
  EXPECT_THAT(cut.err, HasSubstr("' stops at 0 kimg, and goes on from its newest training state"));
  EXPECT_THAT(read_file(dir / "run" / "log.txt"), HasSubstr("\nError: "));
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

TEST_F(TrainCli, GradientsThatAreNotFinite) {
  const Words words = {"--cond=false", "--status=64", "--snapshot=0"};
  fs::remove(dir / "data" / "dataset.json");
  fs::remove(dir / "data" / "img000.npy");
  for (int i = 0; i < 10; ++i) {  // float32, one of them with a hole
    Tensor image = at::full({3, 8, 8}, 20.0 * i);
    if (i == 4) image[0][0][0] = NAN;
    std::ofstream(dir / "data" / ("img00" + std::to_string(i) + ".npy"), std::ios::binary)
        << npy_bytes(image);
  }
  Words stop = words, never = words;
  stop.push_back("--on-nonfinite=stop");
  never.push_back("--on-nonfinite=never");
  expect_error(train(stop), 1, "gradients are not finite");
  expect_error(train(never), 2, "'never'");
  const RunResult run =
      train({"--cond=false", "--duration=128", "--status=64", "--snapshot=0", "--checkpoint=0",
             "--sample-every=128", "--sample-count=2", "--sample-steps=1"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("they count as 0"), std::string::npos) << run.out;
  EXPECT_TRUE(fs::exists(dir / "run" / "samples" / "samples-0000000-0.050.png"));
}

}  // namespace edm2
