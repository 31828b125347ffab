/// From features and statistics to numbers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/metrics/metrics.h"
#include "edm2/metrics/statistics.h"

namespace edm2 {

struct Score {
  std::string metric;
  double value = 0;
  /// One sentence for each reason to doubt the value.
  std::vector<std::string> warnings;
};

/// Computes the metrics in their order. A metric whose statistics are missing in either set is left
/// out with the message "No statistics computed for X -- skipping."; before each other one the
/// message "Calculating X..." appears, and behind it `on_score` is called. `reference_name` and
/// `images_name` stand in warnings. Throws Error if the two come from different detectors.
std::vector<Score> compute_scores(const std::vector<Metric>& metrics, const StatisticsFile& images,
                                  const StatisticsFile& reference, Progress& progress,
                                  const std::function<void(const Score&)>& on_score = {});

}  // namespace edm2
