/// Scores over EMA length, guidance or anything else that was varied: tables in CSV files, and
/// figures of them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/metrics/metrics.h"
#include "edm2/plot/figure.h"

namespace edm2 {

/// Numbers by row and column; a row is one point of a sweep.
struct ScoreTable {
  std::string name;  ///< for the legend, where there are several
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;  ///< NaN where there is no number

  /// Index of a column; none if there is no such one.
  std::optional<size_t> find(const std::string& column) const;
};

/// Reads a CSV file as `edm2 sweep` writes it: a line of names ("std,guidance,fid"), then lines of
/// numbers, empty where there is none. Columns that are called as metrics hold scores, the others
/// what was varied. Throws Error naming file and line.
ScoreTable load_score_table(const std::filesystem::path& path);

/// Which scores are drawn over what.
struct ScorePlotOptions {
  std::vector<Metric> metrics = {};   ///< one graph each; empty: all that the first table has
  std::optional<std::string> x = {};  ///< column along the axis; none: the one with the most values
  bool log_scale = false;             ///< of the scores
  std::string title = {};
};

/// A line for each table and each setting of the other varied columns, with its best point marked
/// and told in the legend. Throws Error if a metric or column is missing, UsageError if there is
/// nothing to plot.
plot::Figure score_plot(const std::vector<ScoreTable>& tables, const ScorePlotOptions& options);

}  // namespace edm2
