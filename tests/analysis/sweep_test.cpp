#include "edm2/analysis/sweep.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/sweep_figures.h"
#include "edm2/core/error.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/io/atomic_file.h"
#include "support/detector_weights.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

Metric metric(const std::string& name) { return parse_metric_list(name).front(); }

std::vector<SweepCell> bowl(const std::vector<double>& stds, const std::vector<double>& guidances) {
  std::vector<SweepCell> cells;
  for (const double std : stds)
    for (const double guidance : guidances)
      cells.push_back({std,
                       guidance,
                       {{"fid", 3 + std::pow((std - 0.1) * 30, 2) + std::pow(guidance - 1.5, 2)}}});
  return cells;
}

// Two times 1024 images, two lengths.
void write_run(const fs::path& folder) {
  fs::create_directories(folder);
  uint64_t seed = 0;
  for (int time = 1; time <= 2; ++time)
    for (const double std : {0.05, 0.1})
      save_snapshot(folder / SnapshotName{"network-snapshot", time, std}.file_name(),
                    test::small_snapshot(3, ++seed, 8), SnapshotFormat::pickle);
}

}  // namespace

TEST(SweepFigures, BestPointIsFramedAndToldInTheTitle) {
  const std::vector<double> stds = {0.05, 0.075, 0.1, 0.125, 0.15, 0.2}, guidances = {1, 1.5, 2, 3};
  auto cells = bowl(stds, guidances);
  EXPECT_EQ(best_cell(metric("fid"), cells)->std, 0.1);
  EXPECT_EQ(best_cell(metric("is"), cells), nullptr);
  cells.back().scores.clear();  // not computed yet
  const plot::Figure figure = score_figure(metric("fid"), stds, guidances, cells);
  EXPECT_NE(figure.axes.at(0).title.find("0.100, guidance 1.5"), std::string::npos);
  const auto& map = std::get<plot::HeatMap>(figure.axes[0].layers.at(0));
  EXPECT_EQ(map.highlight, (std::array<int64_t, 2>{1, 2}));
  EXPECT_EQ(map.texts.at(1 * 6 + 2), "3");
  EXPECT_TRUE(std::isnan(map.values.back()));
  const plot::Figure line = score_figure(metric("fid"), stds, {1.5}, bowl(stds, {1.5}));
  EXPECT_EQ(std::get<plot::Series>(line.axes[0].layers.at(0)).x, stds);
  if (const char* folder = std::getenv("EDM2_FIGURE_DIR")) {
    plot::save_figure(fs::path(folder) / "sweep-map.png", figure);
    plot::save_figure(fs::path(folder) / "sweep-line.png", line);
  }
}

TEST(SweepFigures, LargeInceptionScoresAreGood) {
  const std::vector<SweepCell> cells = {{0.05, 1, {{"is", 2.0}}}, {0.1, 1, {{"is", 3.0}}}};
  EXPECT_EQ(best_cell(metric("is"), cells)->std, 0.1);
}

TEST(Sweep, MeasuresWhatIsMissing) {
  const test::TempDir dir;
  write_run(dir / "run");
  test::write_small_dataset(dir / "data");
  const auto group = ProcessGroup::single();
  test::RecordingProgress progress;
  ReferenceOptions reference;
  reference.metrics = parse_metric_list("fd_dinov2");
  reference.data = (dir / "data").string();
  reference.dest = dir / "ref.pkl";
  reference.detectors.dinov2 = test::shared_dinov2_file().string();
  make_reference(reference, *group, progress);

  SweepOptions options;
  options.run = dir / "run";
  options.stds = {0.05, 0.1};
  options.outdir = dir / "out";
  options.metrics = parse_metric_list("fd_dinov2");
  options.num = 4;
  options.ref = (dir / "ref.pkl").string();
  options.detectors = reference.detectors;
  options.sampler.num_steps = 2;
  options.device = "cpu";
  const auto first = sweep(options, *group, progress);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_GT(first[0].score("fd_dinov2").value_or(0), 0);
  EXPECT_NE(first[0].score("fd_dinov2"), first[1].score("fd_dinov2"));
  EXPECT_TRUE(fs::exists(dir / "out" / "fd_dinov2.svg"));
  const std::string csv = read_text_file(dir / "out" / "sweep.csv");
  EXPECT_TRUE(csv.starts_with("std,guidance,fd_dinov2\n0.05,1.0,")) << csv;

  // The score is that of evaluate() with the network of that length.
  EvaluateOptions evaluation;
  evaluation.metrics = options.metrics;
  evaluation.network.emplace();
  evaluation.network->sampling.net = options.run.string() + "@0.1";
  evaluation.network->sampling.sampler.num_steps = 2;
  evaluation.network->num = 4;
  evaluation.ref = options.ref;
  evaluation.detectors = options.detectors;
  evaluation.device = "cpu";
  EXPECT_EQ(evaluate(evaluation, *group, progress).scores.at(0).value, first[1].score("fd_dinov2"));

  // A larger grid computes the new points only, and shows the old ones too.
  options.stds = {0.05, 0.08, 0.1};
  progress.messages.clear();
  const auto second = sweep(options, *group, progress);
  EXPECT_EQ(progress.messages.at(0), "Point 1 of 1: EMA length 0.080, guidance 1");
  ASSERT_EQ(second.size(), 3u);
  EXPECT_EQ(second[0].score("fd_dinov2"), first[0].score("fd_dinov2"));
  options.num = 5;
  EXPECT_THROW(sweep(options, *group, progress), Error);
  options.num = 4;
  options.stds = {0.0501};
  EXPECT_THROW(sweep(options, *group, progress), Error);
}

}  // namespace edm2
