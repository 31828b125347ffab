// edm2 reconstruct and edm2 thin as a user runs them, and networks as RUN@LENGTH.
#include <gtest/gtest.h>

#include "edm2/ema/snapshot_name.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::run_edm2;
using test::RunResult;

// Three times 1024 images, two lengths.
struct ReconstructedRun {
  test::TempDir dir;
  fs::path folder = dir / "run";

  ReconstructedRun() {
    fs::create_directory(folder);
    uint64_t seed = 0;
    for (int time = 1; time <= 3; ++time)
      for (const double std : {0.05, 0.1})
        save_snapshot(folder / SnapshotName{"network-snapshot", time, std}.file_name(),
                      test::small_snapshot(3, ++seed), SnapshotFormat::pickle);
  }
};

}  // namespace

TEST(ReconstructCli, WritesWhatTheListNames) {
  const ReconstructedRun run;
  const RunResult result = run_edm2({"reconstruct", "--indir", run.folder, "--outdir",
                                     run.dir / "out", "--outstd=0.05,0.06,...,0.08", "--batch=3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(test::contains(result.out, "Loading 6 input pickles...\n"));
  EXPECT_TRUE(test::contains(result.out, "Reconstructing 4 output pickles in 2 batches...\n"));
  EXPECT_TRUE(test::contains(result.out, "    batch 1: "));
  for (const char* std : {"0.050", "0.060", "0.070", "0.080"})
    EXPECT_TRUE(fs::exists(run.dir / "out" / (std::string("phema-0000003-") + std + ".pkl")));
  const RunResult again = run_edm2({"reconstruct", "--indir", run.folder, "--outdir",
                                    run.dir / "out", "--outstd=0.05,0.06,...,0.08", "--skip"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(test::contains(again.out, "Nothing to do"));
}

TEST(ReconstructCli, ErrorsOfTheOriginal) {
  const ReconstructedRun run;
  const auto reconstruct = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "reconstruct");
    return run_edm2(arguments);
  };
  const std::string in = "--indir=" + run.folder.string(),
                    out = "--outdir=" + run.dir.path().string();
  expect_error(reconstruct({}), 2, "--indir");
  expect_error(reconstruct({in, out}), 2, "--outstd");
  expect_error(reconstruct({in, out, "--outstd=abc"}), 2, "--outstd");
  expect_error(reconstruct({in, out, "--outstd=0.1", "--outkimg=0"}), 2, "x>=1");
  expect_error(reconstruct({in, out, "--outstd=0.1", "--batch=0"}), 2, "x>=1");
  expect_error(reconstruct({in, out, "--outstd=0.3"}), 1, "less than 0.289");
  expect_error(reconstruct({in, out, "--outstd=0.1,...,0.2"}), 1, "at least two floats");
  expect_error(reconstruct({in, out, "--outstd=0.1", "--outkimg=7"}), 1,
               "Reconstruction time must match one of the input pickles");
  expect_error(reconstruct({in, out, "--outstd=0.1", "--inprefix=x"}), 1,
               "No valid input pickles found");
  expect_error(reconstruct({in + "x", out, "--outstd=0.1"}), 1, "Input directory does not exist");
  const auto snapshot = *fs::directory_iterator(run.folder);
  expect_error(reconstruct({"--indir=" + snapshot.path().string(), out, "--outstd=0.1"}), 1,
               "is a file; --indir takes the folder of a run");
}

TEST(ReconstructCli, ProcessesShareTheResults) {
  const ReconstructedRun run;
  const auto outputs = [&](const std::string& folder, const std::string& nproc) {
    const RunResult result =
        run_edm2({"reconstruct", "--indir", run.folder, "--outdir", run.dir / folder,
                  "--outstd=0.04,0.06,0.09", "--nproc=" + nproc});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(run.dir / folder))
      files[entry.path().filename().string()] = test::read_file(entry.path());
    return files;
  };
  const auto one = outputs("one", "1");
  EXPECT_EQ(one.size(), 3u);
  EXPECT_EQ(outputs("two", "2"), one);
}

TEST(ReconstructCli, LengthBehindARunGivesThePicturesOfTheFile) {
  const ReconstructedRun run;
  ASSERT_EQ(run_edm2({"reconstruct", "--indir", run.folder, "--outdir", run.dir / "out",
                      "--outstd=0.135", "--outkimg=2"})
                .exit_code,
            0);
  const auto pictures = [&](const std::string& net, const std::string& folder) {
    const RunResult result =
        run_edm2({"generate", "--net", net, "--outdir", run.dir / folder, "--seeds=0-2",
                  "--steps=3", "--no-metadata", "--npz", run.dir / (folder + ".npz")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::string all = test::read_file(run.dir / (folder + ".npz"));
    for (const char* seed : {"000000", "000001", "000002"})
      all += test::read_file(run.dir / folder / (std::string(seed) + ".png"));
    return all;
  };
  const std::string from_file = pictures(run.dir / "out" / "phema-0000002-0.135.pkl", "file");
  EXPECT_EQ(pictures(run.folder.string() + "@0.135,kimg=2", "run"), from_file);
  EXPECT_NE(pictures(run.folder.string() + "@0.135", "latest"), from_file);
  const auto error_of = [&](const std::string& choice) {
    return run_edm2({"generate", "--net", run.folder.string() + choice, "--outdir", run.dir / "x"});
  };
  expect_error(error_of("@0.135,kimg=5"), 1, "no snapshot of 5 kimg");
  expect_error(error_of("@0.4"), 1, "less than 0.289");
  expect_error(error_of("@soft"), 1, "@0.135");
  expect_error(error_of(""), 1, "@0.135");
  const RunResult far = run_edm2({"generate", "--net", run.folder.string() + "@0.001", "--outdir",
                                  run.dir / "far", "--seeds=0", "--steps=1"});
  EXPECT_EQ(far.exit_code, 0) << far.err;
  EXPECT_NE(far.out.find("far from that EMA length: the expected error is 1"), std::string::npos)
      << far.out;
}

TEST(ThinCli, TellsFirstAndDeletesThen) {
  const ReconstructedRun run;
  const RunResult plan = run_edm2({"thin", run.folder, "--keep=3", "--plot", run.dir / "thin.svg"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_TRUE(test::contains(plan.out, "Keep 3 snapshots")) << plan.out;
  EXPECT_TRUE(test::contains(plan.out, "Delete 3 snapshots"));
  EXPECT_TRUE(test::contains(plan.out, "nothing is deleted without --delete"));
  EXPECT_TRUE(test::contains(test::read_file(run.dir / "thin.svg"), "<svg"));
  EXPECT_EQ(list_folder(run.folder).size(), 6u);
  const RunResult done = run_edm2({"thin", run.folder, "--keep=3", "--delete"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const auto left = list_folder(run.folder);
  EXPECT_EQ(left.size(), 3u);
  for (const auto& name : left)
    EXPECT_LT(plan.out.find(name), plan.out.find("Delete 3 snapshots")) << name;
  EXPECT_EQ(run_edm2({"thin", run.folder, "--max-error=0.5"}).exit_code, 0);

  expect_error(run_edm2({"thin", run.folder}), 2, "--keep");
  expect_error(run_edm2({"thin", run.folder, "--keep=0"}), 2, "x>=1");
  expect_error(run_edm2({"thin", run.folder, "--keep=2", "--plot=a.gif"}), 2, "a.gif");
  expect_error(run_edm2({"thin", run.dir / "missing", "--keep=2"}), 1, "missing");
}

}  // namespace edm2
