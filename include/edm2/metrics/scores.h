/// From features and statistics to numbers.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/metrics/detector.h"
#include "edm2/metrics/feature_pass.h"
#include "edm2/metrics/metrics.h"

namespace edm2 {

/// One metric's value and how far it can be trusted.
struct Score {
  std::string metric;
  double value = 0;
  /// Standard error (fid, precision, ...), or deviation over subsets or parts of the pictures (kid,
  /// is), which is what papers state for these.
  std::optional<double> deviation = {};
  /// There would be one, but the pictures are too few to tell it, or all alike: null in JSON.
  bool deviation_unknown = false;
  /// What the limited number of pictures adds to the value on average.
  std::optional<double> bias = {};
  /// One sentence for each reason to doubt the value.
  std::vector<std::string> warnings = {};
};

/// What is computed beside the values.
struct ScoreOptions {
  /// Standard error and bias of Fréchet distances too: needs the features of the pictures, and ten
  /// times the time of the distance.
  bool error_bars = false;
  /// Where distances between features are computed.
  c10::Device device = c10::Device(c10::kCPU);
  /// For the Inception Score; may be null if that is not asked for.
  const InceptionDetector* inception = nullptr;
  /// What the scores by a detector are warned of, where it is not the customary one.
  std::map<DetectorKind, std::string> unusual = {};
};

/// Computes the metrics in their order. One whose statistics (or features) are missing in either
/// set is left out with the message "No statistics computed for X -- skipping."; before each other
/// one the message "Calculating X..." appears, and behind it `on_score` is called. Throws Error if
/// the two sets come from different detectors.
std::vector<Score> compute_scores(const std::vector<Metric>& metrics, const FeatureSet& images,
                                  const FeatureSet& reference, const ScoreOptions& options,
                                  Progress& progress,
                                  const std::function<void(const Score&)>& on_score = {});

}  // namespace edm2
