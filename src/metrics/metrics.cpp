#include "edm2/metrics/metrics.h"

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/core/words.h"

namespace edm2 {

const std::vector<Metric>& known_metrics() {
  using enum DetectorKind;
  using Kind = MetricKind;
  static const std::vector<Metric> metrics = {
      {"fid", inception, Kind::frechet},
      {"fd_dinov2", dinov2, Kind::frechet},
      {"kid", inception, Kind::kernel},
      {"kd_dinov2", dinov2, Kind::kernel},
      {"is", inception, Kind::inception_score},
      {"precision", inception, Kind::precision},
      {"recall", inception, Kind::recall},
      {"density", inception, Kind::density},
      {"coverage", inception, Kind::coverage},
      {"precision_dinov2", dinov2, Kind::precision},
      {"recall_dinov2", dinov2, Kind::recall},
      {"density_dinov2", dinov2, Kind::density},
      {"coverage_dinov2", dinov2, Kind::coverage},
  };
  return metrics;
}

std::vector<Metric> parse_metric_list(const std::string& text) {
  std::vector<Metric> metrics;
  for (const std::string& name : split(text, ',')) {
    const auto& known = known_metrics();
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const Metric& metric) { return metric.name == name; });
    if (found == known.end()) {
      std::string names;
      for (const Metric& metric : known) names += (names.empty() ? "" : ", ") + metric.name;
      throw Error("Invalid metric \"" + name + "\"; there are " + names);
    }
    metrics.push_back(*found);
  }
  return metrics;
}

std::string statistics_name(DetectorKind detector) {
  return detector == DetectorKind::inception ? "fid" : "fd_dinov2";
}

}  // namespace edm2
