// examples/posthoc_ema.cpp: a classifier, trained elsewhere than in this project's trainer.
#include <gtest/gtest.h>

#include <sstream>

#include "edm2/ema/snapshot_name.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {

TEST(PostHocExample, LongAveragesOfAClassifierBeatItsLastWeights) {
  const test::TempDir dir;
  const auto example =
      test::run_command({test::program().parent_path() / "example_posthoc_ema", dir / "run"});
  ASSERT_EQ(example.exit_code, 0) << example.err;
  // EMA length, expected error in percent, test loss.
  double last_weights = 0, best = 1e9;
  int lengths = 0;
  std::istringstream lines(example.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, second, percent;
    double loss = 0;
    if (line.find("none") != std::string::npos && words >> first >> loss) last_weights = loss;
    if (line.find('%') == std::string::npos) continue;
    ASSERT_TRUE(words >> first >> second >> percent >> loss) << line;
    best = std::min(best, loss);
    ++lengths;
  }
  EXPECT_EQ(lengths, 7) << example.out;
  EXPECT_GT(last_weights, 0);
  EXPECT_LT(best, 0.95 * last_weights) << example.out;

  // What it stored are state dicts that the program takes as well.
  const auto run = test::run_edm2({"reconstruct", "--indir", dir / "run", "--outdir", dir / "out",
                                   "--outstd=0.15", "--outprefix=classifier"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(list_folder(dir / "out").size(), 1u);
}

}  // namespace edm2
