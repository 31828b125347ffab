#include "edm2/metrics/scores.h"

#include "edm2/core/platform.h"
#include "edm2/metrics/frechet.h"

namespace edm2 {

std::vector<Score> compute_scores(const std::vector<Metric>& metrics, const StatisticsFile& images,
                                  const StatisticsFile& reference, Progress& progress,
                                  const std::function<void(const Score&)>& on_score) {
  std::vector<Score> scores;
  for (const Metric& metric : metrics) {
    const FeatureStatistics* a = images.find(metric.name);
    const FeatureStatistics* b = reference.find(metric.name);
    if (!a || !b) {
      progress.message("No statistics computed for " + metric.name + " -- skipping.");
      continue;
    }
    check_interrupt();
    progress.message("Calculating " + metric.name + "...");
    const FrechetDistance distance = frechet_distance(*a, *b);
    scores.push_back(
        {metric.name, distance.value, frechet_warnings(distance, "the images", "the reference")});
    if (on_score) on_score(scores.back());
  }
  return scores;
}

}  // namespace edm2
