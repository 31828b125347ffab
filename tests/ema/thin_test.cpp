#include "edm2/ema/thin.h"

#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "edm2/ema/snapshots.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

// Snapshots at `times` multiples of 1024 images, and one of the start.
void write_run(const fs::path& folder, int times) {
  for (int time = 0; time <= times; ++time)
    for (const double std : {0.05, 0.1}) {
      const SnapshotName name{"network-snapshot", kimg_from_nimg(1024 * time), std};
      save_snapshot(folder / name.file_name(), test::small_snapshot(0, 7, 8),
                    SnapshotFormat::pickle);
    }
}

ThinOptions keep(int64_t count) {
  ThinOptions options;
  options.keep = count;
  return options;
}

ThinOptions max_loss(double loss) {
  ThinOptions options;
  options.max_loss = loss;
  return options;
}

int64_t count_files(const fs::path& folder) {
  return static_cast<int64_t>(list_folder(folder).size());
}

}  // namespace

TEST(Thin, PlansWithinTheLimitsAndDeletesOnlyThen) {
  const test::TempDir dir;
  write_run(dir.path(), 6);
  const ThinPlan plan = plan_thinning(dir.path(), keep(5));
  EXPECT_EQ(plan.keep.size(), 5u);
  EXPECT_EQ(plan.remove.size(), 9u);  // two of them of the start
  EXPECT_EQ(plan.remove[0].nimg, 0);
  EXPECT_EQ(plan.largest_losses.size(), 12u);
  EXPECT_EQ(plan.largest_losses.back(), 0);
  EXPECT_GT(plan.remove_bytes, plan.keep_bytes);
  EXPECT_EQ(plan.keep.back().nimg, 6 * 1024);
  EXPECT_EQ(plan.stds.size(), 49u);
  for (size_t i = 0; i < plan.stds.size(); ++i)
    EXPECT_GE(plan.errors_after[i], 0.9 * plan.errors_before[i]);
  EXPECT_EQ(count_files(dir.path()), 14);

  carry_out(plan);
  EXPECT_EQ(count_files(dir.path()), 5);
  // What is left gives the errors that were foretold.
  Snapshots rest(dir.path());
  for (size_t i = 0; i < plan.stds.size(); i += 12)
    EXPECT_NEAR(rest.solve(plan.stds[i]).error, plan.errors_after[i], 1e-9);
}

TEST(Thin, KeepsAsFewAsALossAllows) {
  const test::TempDir dir;
  write_run(dir.path(), 6);
  for (const double loss : {1e-4, 0.01, 0.3}) {
    const ThinPlan plan = plan_thinning(dir.path(), max_loss(loss));
    EXPECT_LE(plan.largest_loss(), loss);
    if (plan.keep.size() > 1) {
      EXPECT_GT(plan.largest_losses[plan.keep.size() - 2], loss);
    }
  }
  EXPECT_EQ(plan_thinning(dir.path(), max_loss(0.0)).keep.size(), 12u);
  EXPECT_EQ(plan_thinning(dir.path(), keep(100)).keep.size(), 12u);
  EXPECT_THROW(plan_thinning(dir.path(), {}), UsageError);
  ThinOptions both = keep(1);
  both.max_loss = 0.1;
  EXPECT_THROW(plan_thinning(dir.path(), both), UsageError);
  EXPECT_THROW(plan_thinning(dir.path(), keep(0)), UsageError);
}

TEST(Thin, DeletesNothingIfWhatIsKeptIsDamaged) {
  const test::TempDir dir;
  write_run(dir.path(), 2);
  const ThinPlan plan = plan_thinning(dir.path(), keep(2));
  const std::string victim = plan.keep.front().file_name;
  fs::resize_file(dir / victim, fs::file_size(dir / victim) / 2);
  try {
    carry_out(plan);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(victim), std::string::npos);
  }
  EXPECT_EQ(count_files(dir.path()), 6);
}

TEST(Thin, PlotHasBothCurves) {
  const test::TempDir dir;
  write_run(dir.path(), 6);
  const plot::Figure figure = thinning_figure(plan_thinning(dir.path(), keep(4)));
  EXPECT_EQ(figure.axes.size(), 2u);
  plot::save_figure(dir / "thin.svg", figure);
  if (const char* folder = std::getenv("EDM2_FIGURE_DIR"))
    plot::save_figure(fs::path(folder) / "thin.png", figure);
}

}  // namespace edm2
