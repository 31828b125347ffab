#include <gtest/gtest.h>

#include "edm2/data/dataset.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::run_edm2;

std::string pictures() { return test::data_dir() / "pictures"; }

}  // namespace

TEST(DatasetCli, ConvertsAFolder) {
  const test::TempDir dir;
  const std::string dest = dir / "out.zip";
  const auto run = run_edm2({"dataset", "convert", "--source", pictures(), "--dest=" + dest,
                             "--resolution=8x8", "--transform=center-crop", "--max-images=5"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("Wrote 5 pictures to " + dest), std::string::npos) << run.out;
  const ImageDataset dataset({.path = dest});
  EXPECT_EQ(dataset.size(), 5);
  EXPECT_EQ(dataset.image_shape(), (std::vector<int64_t>{3, 8, 8}));
}

TEST(DatasetCli, EndsWithTheRightCode) {
  const test::TempDir dir;
  const std::string dest = dir / "out.zip";
  const auto convert = [&](std::vector<std::string> extra) {
    std::vector<std::string> words = {"dataset", "convert", "--source", pictures(), "--dest", dest};
    words.insert(words.end(), extra.begin(), extra.end());
    return run_edm2(words);
  };
  const auto expect = [](const test::RunResult& run, int code, const std::string& text) {
    EXPECT_EQ(run.exit_code, code) << run.err;
    EXPECT_NE(run.err.find(text), std::string::npos) << run.err;
  };
  expect(convert({"--resolution=64"}), 1, "Error: cannot parse tuple 64");
  expect(convert({"--resolution=48x48"}), 1, "power-of-two");
  expect(convert({"--resolution=8x8", "--transform=zoom"}), 2,
         "'zoom' is not one of 'center-crop'");
  expect(convert({"--max-images=0"}), 2, "--max-images");
  expect(convert({"--dest="}), 1,
         "--dest output filename or directory must not be an empty string");
  expect(convert({"--source", dir / "nosuch"}), 1, "Missing input file or directory");
  expect(run_edm2({"dataset", "convert", "--dest", dest}), 2, "Missing option '--source'");
  expect(run_edm2({"dataset", "convert", "--source", pictures(), "--dest", dest},
                  {.environment = {{"WORLD_SIZE", "2"}}}),
         1, "Distributed execution is not supported.");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace edm2
