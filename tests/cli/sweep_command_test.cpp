// edm2 sweep as a user runs it.
#include <gtest/gtest.h>

#include "edm2/ema/snapshot_name.h"
#include "edm2/io/image.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::run_edm2;
using test::RunResult;

struct SweptRun {
  test::TempDir dir;
  fs::path folder = dir / "run", out = dir / "out";

  SweptRun() {
    fs::create_directory(folder);
    uint64_t seed = 0;
    for (int time = 1; time <= 2; ++time)
      for (const double std : {0.05, 0.1})
        save_snapshot(folder / SnapshotName{"network-snapshot", time, std}.file_name(),
                      test::small_snapshot(3, ++seed, 8), SnapshotFormat::pickle);
  }

  RunResult sweep(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"sweep",      folder.string(), "--outdir",
                                          out.string(), "--steps=2",     "--seeds=0-3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_edm2(arguments);
  }
};

std::vector<uint8_t> pixels(const fs::path& path) {
  const std::string bytes = test::read_file(path);
  return decode_image(std::as_bytes(std::span(bytes)), path.string()).pixels;
}

}  // namespace

TEST(SweepCli, DrawsAGridAndGoesOn) {
  const SweptRun run;
  const RunResult first =
      run.sweep({"--stds=0.05,0.1", "--guidances=1,2", "--gnet", run.folder, "--metric=none"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  for (const char* name : {"0.050-1.png", "0.050-2.png", "0.100-1.png", "0.100-2.png",
                           "overview.png", "sweep.json", "sweep.csv"})
    EXPECT_TRUE(fs::exists(run.out / name)) << name;
  EXPECT_EQ(test::read_file(run.out / "sweep.csv"),
            "std,guidance\n0.05,1.0\n0.05,2.0\n0.1,1.0\n0.1,2.0\n");
  // The sheet is what generate draws; the folder as guide means the same length.
  ASSERT_EQ(run_edm2({"generate", "--net", run.folder.string() + "@0.05", "--steps=2",
                      "--seeds=0-3", "--grid", run.dir / "sheet.png"})
                .exit_code,
            0);
  EXPECT_EQ(pixels(run.out / "0.050-1.png"), pixels(run.dir / "sheet.png"));
  // Guidance by the network itself changes next to nothing.
  EXPECT_FALSE(test::read_file(run.out / "0.050-2.png").empty());

  // Only what is missing is drawn.
  fs::remove(run.out / "0.100-1.png");
  const auto kept = fs::last_write_time(run.out / "0.050-1.png");
  const RunResult second =
      run.sweep({"--stds=0.05,0.1,0.15", "--guidances=1,2", "--gnet", run.folder});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_NE(second.out.find("Point 3 of 3"), std::string::npos) << second.out;
  EXPECT_EQ(fs::last_write_time(run.out / "0.050-1.png"), kept);
  EXPECT_TRUE(fs::exists(run.out / "0.150-2.png"));
  const RunResult other =
      run_edm2({"sweep", run.folder, "--outdir", run.out, "--steps=3", "--seeds=0-3", "--stds=0.05",
                "--guidances=1,2", "--gnet", run.folder});
  expect_error(other, 1, "steps: 2 there, 3 now");
}

TEST(SweepCli, WrongUseIsTold) {
  const SweptRun run;
  expect_error(run.sweep({}), 2, "--stds");
  expect_error(run.sweep({"--stds=0.1", "--guidances=2"}), 1, "Please specify --gnet");
  expect_error(run.sweep({"--stds=0.1", "--guidances=1,1.0"}), 2, "twice");
  expect_error(run.sweep({"--stds=0.1001,0.1002"}), 2, "twice");
  expect_error(run.sweep({"--stds=0.1", "--metric=fid"}), 2, "--ref");
  expect_error(run.sweep({"--stds=0.1", "--metric=fidd"}), 1, "fidd");
  expect_error(run.sweep({"--stds=0.1", "--kimg=9"}), 1, "9 kimg");
  expect_error(run_edm2({"sweep", run.dir / "missing", "--outdir", run.out, "--stds=0.1"}), 1,
               "missing");
  EXPECT_FALSE(fs::exists(run.out));
}

}  // namespace edm2
