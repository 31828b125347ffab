// edm2 plot as a user runs it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::read_file;
using test::run_edm2;

class PlotCli : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b"}) {
      std::filesystem::create_directories(dir / name);
      std::ofstream file(dir / name / "stats.jsonl");
      for (int i = 0; i < 9; ++i)
        file << "{\"Progress/kimg\": " << i << ", \"Timing/total_sec\": " << 60 * i
             << ", \"Timing/sec_per_kimg\": " << (i > 0 ? "5" : "NaN")
             << ", \"Loss/loss\": " << 9 - i << "}\n";
      file << "{\"Progress/kimg\": 9, \"Lo";
    }
  }
  std::string path(const std::string& name) { return (dir / name).string(); }
  test::TempDir dir;
};

}  // namespace

TEST_F(PlotCli, DrawsRuns) {
  auto run = run_edm2({"plot", path("a"), path("b"), "--out=" + path("x.png")});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(read_file(dir / "x.png").substr(1, 3), "PNG");
  EXPECT_NE(run.out.find("left out 1 line of " + path("b")), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("Saved " + path("x.png")), std::string::npos);
  run = run_edm2({"plot", path("a/stats.jsonl"), "--out=" + path("x.svg"), "--metrics=loss,speed",
                  "--x=time", "--smooth=3", "--size=8x3.5", "--log-x", "--log-y"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(read_file(dir / "x.svg").find("width=\"576"), std::string::npos);
}

TEST_F(PlotCli, BadInput) {
  const std::string out = "--out=" + path("x.png");
  expect_error(run_edm2({"plot"}), 2, "RUN");
  expect_error(run_edm2({"plot", path("a"), "--out=x.gif"}), 2, "x.gif");
  expect_error(run_edm2({"plot", path("a"), out, "--metrics=loss,fid"}), 2, "'fid'");
  expect_error(run_edm2({"plot", path("a"), out, "--x=steps"}), 2, "'steps'");
  expect_error(run_edm2({"plot", path("a"), out, "--size=8"}), 2, "'8'");
  expect_error(run_edm2({"plot", path("a"), out, "--smooth=0"}), 2, "--smooth");
  expect_error(run_edm2({"plot", path("missing"), out}), 1, "missing");
  expect_error(run_edm2({"plot", path("a"), out, "--metrics=noise"}), 1, "'noise'");
  EXPECT_FALSE(std::filesystem::exists(dir / "x.png"));
}

}  // namespace edm2
