#include "edm2/analysis/run_curves.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "edm2/core/error.h"
#include "support/paths.h"
#include "train/noise_bins.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

class RunCurvesTest : public testing::Test {
 protected:
  fs::path write(const std::string& run, const std::string& text) {
    fs::create_directories(dir_ / run);
    std::ofstream(dir_ / run / "stats.jsonl") << text;
    return dir_ / run;
  }
  /// A run with all that this program writes, or what the original writes.
  RunCurves curves(const std::string& name, bool ours = true) {
    RunCurves run{.name = name};
    const std::vector<std::string> keys = {
        "Loss/loss",       "Loss/learning_rate", "Timing/sec_per_kimg", "Timing/total_sec",
        "GradNorm/total",  "GradNorm/enc.8x8",   "WeightNorm/total",    "Nonfinite/steps",
        noise_bin_name(5), noise_bin_name(6),    "Resources/cpu_mem_gb"};
    for (int i = 0; i < 30; ++i) {
      run.kimg.push_back(i);
      for (const auto& key : keys)
        if (ours || key.starts_with("Loss/l") || key.starts_with("Timing"))
          run.values[key].push_back(1.0 + i);
    }
    return run;
  }
  std::vector<std::string> titles(const plot::Figure& figure) {
    std::vector<std::string> all;
    for (const auto& axes : figure.axes) all.push_back(axes.title);
    return all;
  }

  test::TempDir dir_;
};

using RunFigureTest = RunCurvesTest;

}  // namespace

TEST_F(RunCurvesTest, ReadsWhatTheOriginalWrites) {
  const auto run = write(
      "a",
      "{\"Progress/kimg\": 0.000, \"Timing/sec_per_kimg\": NaN, \"timestamp\": 5.0}\n"
      "{\"Progress/kimg\": 2.048, \"Timing/sec_per_kimg\": 3.5, \"timestamp\": 6.0, \"Loss/loss\": "
      "-Infinity}\n");
  for (const fs::path& path : {run, run / "stats.jsonl", run / ""}) {
    const RunCurves curves = read_run_curves(path);
    EXPECT_EQ(curves.name, "a");
    EXPECT_EQ(curves.kimg, (std::vector<double>{0, 2.048}));
    EXPECT_TRUE(std::isnan(curves.get("Timing/sec_per_kimg")[0]));
    EXPECT_EQ(curves.get("Timing/sec_per_kimg")[1], 3.5);
    EXPECT_EQ(curves.get("nothing").size(), 2u);
    EXPECT_EQ(curves.damaged_lines, 0);
  }
}

TEST_F(RunCurvesTest, LaterLinesCountAfterARestart) {
  const RunCurves curves = read_run_curves(
      write("a",
            "{\"Progress/kimg\": 0, \"Loss/loss\": 9}\n{\"Progress/kimg\": 1, \"Loss/loss\": 8}\n"
            "{\"Progress/kimg\": 2, \"Loss/loss\": 7}\n{\"Progress/kimg\": 3, \"Loss/loss\": 6}\n"
            "{\"Progress/kimg\": 2, \"Loss/loss\": 5, \"Extra\": 1}\n"
            "{\"Progress/kimg\": 4, \"Loss/loss\": 4}\n"));
  EXPECT_EQ(curves.kimg, (std::vector<double>{0, 1, 2, 4}));
  EXPECT_EQ(curves.get("Loss/loss"), (std::vector<double>{9, 8, 5, 4}));
  EXPECT_TRUE(std::isnan(curves.get("Extra")[1]));
  EXPECT_EQ(curves.get("Extra")[2], 1);
}

TEST_F(RunCurvesTest, LeavesOutTornAndForeignLines) {
  const RunCurves curves = read_run_curves(
      write("a",
            "{\"Progress/kimg\": 1, \"Loss/loss\": 8, \"note \\\"NaN\": 3}\n\n[1, 2]\n"
            "{\"Progress/ki{\"Progress/kimg\": 2}\n{\"Loss/loss\": 8}\n{\"Progress/kimg\": \"x\"}\n"
            "{\"Progress/kimg\": 3, \"Loss/loss\": 7}\n{\"Progress/kimg\": 4, \"Lo"));
  EXPECT_EQ(curves.kimg, (std::vector<double>{1, 3}));
  EXPECT_EQ(curves.damaged_lines, 5);
  EXPECT_EQ(curves.get("note \"NaN")[0], 3);
  EXPECT_THROW(read_run_curves(write("b", "")), Error);
  EXPECT_THROW(read_run_curves(write("c", std::string(1 << 20, '['))), Error);
  EXPECT_THROW(read_run_curves(dir_ / "missing"), Error);
}

TEST_F(RunCurvesTest, SaysWhatAnotherFileIs) {
  const std::pair<const char*, const char*> files[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "'git lfs pull'"},
      {"<!DOCTYPE html><html></html>", "web page"},
      {"\x1f\x8b\x08", "gzip"},
      {"no lines of that kind\n", "holds no status lines; is it the stats.jsonl of a run?"}};
  for (const auto& [text, expected] : files) {
    try {
      read_run_curves(write("run", text));
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

TEST_F(RunFigureTest, HasAPanelForEachMetricThatThereIs) {
  EXPECT_EQ(titles(run_figure({curves("a")}, {})),
            (std::vector<std::string>{"Loss", "Loss by noise level",
                                      "Latest loss against noise level", "Learning rate",
                                      "Gradient norm", "Weight norm", "Speed", "Memory"}));
  EXPECT_EQ(titles(run_figure({curves("a", false)}, {})),
            (std::vector<std::string>{"Loss", "Learning rate", "Speed"}));
  EXPECT_EQ(titles(run_figure({curves("a")}, {.metrics = {"sec-per-kimg", "nonfinite"}})),
            (std::vector<std::string>{"Time for 1000 images",
                                      "Steps with gradients that are not finite"}));
  EXPECT_THROW(run_figure({curves("a")}, {.metrics = {"fid"}}), UsageError);
  EXPECT_THROW(run_figure({curves("a", false)}, {.metrics = {"noise"}}), Error);
  EXPECT_THROW(run_figure({RunCurves{.name = "a", .kimg = {1}}}, {}), Error);
  // Every metric can be drawn alone, of one run and of several.
  for (const auto& name : run_metric_names())
    for (const bool several : {false, true}) {
      const auto runs = several ? std::vector{curves("a"), curves("b")} : std::vector{curves("a")};
      EXPECT_FALSE(plot::render_svg(run_figure(runs, {.metrics = {name}})).empty());
    }
}

TEST_F(RunFigureTest, ShowsTheNumbersAsTheyAre) {
  const auto figure = run_figure({curves("a"), curves("a")}, {.metrics = {"speed", "loss"}});
  ASSERT_EQ(figure.axes[0].layers.size(), 2u);
  const auto& speed = std::get<plot::Series>(figure.axes[0].layers[0]);
  EXPECT_EQ(speed.x[3], 3);
  EXPECT_EQ(speed.y[3], 1000.0 / 4);
  EXPECT_EQ(speed.label, "a");
  EXPECT_EQ(std::get<plot::Series>(figure.axes[0].layers[1]).label, "a (2)");
  EXPECT_EQ(figure.axes[0].x.label, "Training images (thousands)");
  const auto by_time = run_figure({curves("a")}, {.metrics = {"loss"}, .x = RunAxis::time});
  EXPECT_EQ(by_time.axes[0].x.label, "Training time (seconds)");
}

TEST_F(RunFigureTest, SmoothsOverLinesAndKeepsGapsAndSpikes) {
  RunCurves run{.name = "a"};
  for (int i = 0; i < 7; ++i) {
    run.kimg.push_back(i);
    run.values["Loss/loss"].push_back(i == 3 ? NAN : i * i);
  }
  auto figure = run_figure({run}, {.metrics = {"loss"}, .smooth = 3});
  ASSERT_EQ(figure.axes[0].layers.size(), 2u);  // single lines behind the means
  const auto& means = std::get<plot::Series>(figure.axes[0].layers[1]).y;
  EXPECT_EQ(means[0], 0);
  EXPECT_DOUBLE_EQ(means[1], 5.0 / 3);
  EXPECT_DOUBLE_EQ(means[2], 2.5);  // 1 and 4
  EXPECT_TRUE(std::isnan(means[3]));
  // Long lines are thinned out, but their extremes stay.
  RunCurves all{.name = "b"};
  for (int i = 0; i < 50'000; ++i) {
    all.kimg.push_back(i);
    all.values["Loss/loss"].push_back(i == 31'234 ? 50 : std::sin(i));
  }
  figure = run_figure({all}, {.metrics = {"loss"}});
  const auto& y = std::get<plot::Series>(figure.axes[0].layers[0]).y;
  EXPECT_LE(y.size(), 2000u);
  EXPECT_EQ(*std::max_element(y.begin(), y.end()), 50);
}

TEST_F(RunFigureTest, LogarithmicWhereNumbersArePositive) {
  RunCurves run = curves("a");
  run.values["Loss/loss"][4] = -1;
  const auto figure = run_figure({run}, {.metrics = {"loss", "lr"}, .log_x = true, .log_y = true});
  EXPECT_EQ(figure.axes[0].y.scale, plot::Scale::linear);
  EXPECT_EQ(figure.axes[1].y.scale, plot::Scale::log);
  EXPECT_EQ(figure.axes[1].x.scale, plot::Scale::log);
}

}  // namespace edm2
