/// The course of training runs: stats.jsonl as series of numbers, and as figures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "edm2/plot/figure.h"

namespace edm2 {

/// One run's statistics. All series have one number for each status line, NaN where a line has
/// none.
struct RunCurves {
  std::string name = {};          ///< of the run's folder
  std::vector<double> kimg = {};  ///< images seen, in thousands; increasing
  std::map<std::string, std::vector<double>> values = {};  ///< by key, "Loss/loss"
  int64_t damaged_lines = 0;                               ///< left out

  /// The series of that key; all NaN if there is none.
  std::vector<double> get(const std::string& key) const;
};

/// Reads RUN/stats.jsonl, or the file itself, as the original's program or this one writes it.
/// Where a restart went back to an earlier image count the later lines count. Lines that are torn
/// or no status are left out. Throws Error if no line is left.
RunCurves read_run_curves(const std::filesystem::path& run);

/// What curves are drawn over: thousands of images, or seconds of training.
enum class RunAxis { kimg, time };

/// How curves of runs are drawn.
struct RunFigureOptions {
  std::vector<std::string> metrics = {};  ///< of run_metric_names(); empty: what the runs have
  RunAxis x = RunAxis::kimg;
  int64_t smooth = 1;            ///< lines that a point is the mean of, >= 1; 1 = as they are
  bool log_x = false;            ///< images or time
  bool log_y = false;            ///< all panels that have positive numbers only
  double width = 0, height = 0;  ///< inches; 0: by the number of panels
};

/// "loss", "noise", "noise-profile", "lr", ...: panels of a figure.
const std::vector<std::string>& run_metric_names();

/// One panel for each metric, one colour for each run. Throws UsageError for an unknown metric,
/// Error if the runs do not have a metric that was asked for.
plot::Figure run_figure(const std::vector<RunCurves>& runs, const RunFigureOptions& options);

}  // namespace edm2
