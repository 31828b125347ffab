// The results of a sweep as pictures.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "edm2/analysis/sweep.h"
#include "edm2/plot/figure.h"

namespace edm2 {

/// A heat map over lengths and guidances, or a line where only one of them varies. Cells: lengths
/// first.
plot::Figure score_figure(const Metric& metric, const std::vector<double>& stds,
                          const std::vector<double>& guidances,
                          const std::vector<SweepCell>& cells);

/// All sheets in one picture.
plot::Figure overview_figure(
    const std::vector<double>& stds, const std::vector<double>& guidances,
    const std::function<std::filesystem::path(double std, double guidance)>& sheet);

}  // namespace edm2
