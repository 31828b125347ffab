// The numbers of training runs as figures show them: which there are, smoothed, thinned out, named.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "edm2/analysis/run_curves.h"

namespace edm2 {

inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// There are finite ones.
bool has_numbers(const std::vector<double>& values);
bool has_key(const RunCurves& run, const std::string& key);
bool has_noise_bins(const RunCurves& run);
/// Those with numbers.
std::vector<std::string> keys_with(const RunCurves& run, std::string_view prefix);

/// Mean over `width` lines around each one, of those that have numbers; gaps stay gaps.
std::vector<double> smoothed(const std::vector<double>& values, int64_t width);
/// Keeps the lowest and the highest point of each of many parts of a long line, so that figures
/// stay small and no spike is lost.
void thin_out(plot::Series& series);
/// Mean of the last tenth of the numbers: a single status has few images at rare noise levels.
double latest(const std::vector<double>& values);

/// Names that tell the runs apart: those of their folders, numbered where they are alike.
std::vector<std::string> legend_names(const std::vector<RunCurves>& runs);

/// How the line of a group of layers looks.
struct GroupLine {
  std::string name;
  plot::Color color;
  double width = 1.3;
  plot::Dash dash = plot::Dash::solid;
};

/// The encoder's levels in blues, the decoder's in oranges, darker for lower resolutions.
std::vector<GroupLine> group_lines(std::vector<std::string> groups);

}  // namespace edm2
