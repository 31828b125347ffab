/// The metrics by their names on the command line and in files.
#pragma once

#include <string>
#include <vector>

namespace edm2 {

/// Which network gives the features.
enum class DetectorKind { inception, dinov2 };

enum class MetricKind {
  frechet,  ///< distance of normal distributions: needs the reference's statistics
  kernel,   ///< kernel distance: this one and the next four need the reference's features
  precision,
  recall,
  density,
  coverage,
  inception_score,  ///< needs no reference
};

/// A metric: what is computed from which features.
struct Metric {
  std::string name;
  DetectorKind detector;
  MetricKind kind;

  /// Of two sets of pictures the one with the smaller value is the better one.
  bool smaller_is_better() const {
    return kind == MetricKind::frechet || kind == MetricKind::kernel;
  }
  bool needs_reference_features() const {
    return kind != MetricKind::frechet && kind != MetricKind::inception_score;
  }
};

/// fid and fd_dinov2 as in the original; kid, is, precision, recall, density, coverage on the
/// features of InceptionV3; kd_dinov2, precision_dinov2, ... on those of DINOv2.
const std::vector<Metric>& known_metrics();

/// "fid,fd_dinov2": the metrics between the commas, in their order; a name may stand twice. Throws
/// Error (`Invalid metric "x"`) for an unknown or empty one.
std::vector<Metric> parse_metric_list(const std::string& text);

/// The name under which files keep statistics and features of a detector: "fid" or "fd_dinov2".
std::string statistics_name(DetectorKind detector);

}  // namespace edm2
