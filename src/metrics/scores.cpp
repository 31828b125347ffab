#include "edm2/metrics/scores.h"

#include <ATen/ATen.h>

#include <map>

#include "edm2/core/platform.h"
#include "edm2/metrics/frechet.h"
#include "edm2/metrics/inception_score.h"
#include "edm2/metrics/kernel_distance.h"
#include "edm2/metrics/manifold.h"
#include "metrics/frechet_error.h"

namespace edm2 {
namespace {

/// Fewer pictures than papers use make a Fréchet distance larger.
constexpr int64_t customary_count = 50'000;
constexpr int64_t jackknife_groups = 10;

class ScoreComputer {
 public:
  ScoreComputer(const FeatureSet& images, const FeatureSet& reference, const ScoreOptions& options)
      : images_(images), reference_(reference), options_(options) {}

  /// Whether both sets hold what the metric needs.
  bool can_compute(const Metric& metric) const {
    const std::string name = statistics_name(metric.detector);
    if (metric.kind == MetricKind::frechet)
      return images_.statistics.find(name) && reference_.statistics.find(name);
    if (!images_.find_features(name).defined()) return false;
    return metric.kind == MetricKind::inception_score ? options_.inception != nullptr
                                                      : reference_.find_features(name).defined();
  }

  Score compute(const Metric& metric) {
    switch (metric.kind) {
      case MetricKind::frechet:
        return frechet(metric);
      case MetricKind::kernel:
        return kernel(metric);
      case MetricKind::inception_score: {
        const auto score = inception_score(options_.inception->class_logits(
            images_.find_features(statistics_name(metric.detector))));
        return {metric.name, score.value, score.deviation};
      }
      case MetricKind::precision:
        return share(metric, manifold(metric).precision);
      case MetricKind::recall:
        return share(metric, manifold(metric).recall);
      case MetricKind::density:
        return share(metric, manifold(metric).density);
      case MetricKind::coverage:
        return share(metric, manifold(metric).coverage);
    }
    TORCH_CHECK(false, "[compute_scores] unknown kind of metric");
  }

 private:
  Score frechet(const Metric& metric) const {
    const std::string name = statistics_name(metric.detector);
    const FeatureStatistics& images = *images_.statistics.find(name);
    const FeatureStatistics& reference = *reference_.statistics.find(name);
    const FrechetDistance distance = frechet_distance(images, reference);
    Score score{metric.name, distance.value};
    score.warnings = frechet_warnings(distance, "the images", "the reference");
    const int64_t count = images_.num_images;
    if (count > 0 && count < customary_count)
      score.warnings.push_back(metric.name + " over " + std::to_string(count) +
                               " images is larger than over " + std::to_string(customary_count) +
                               "; compare it with values over equally many only");
    const Tensor features = images_.find_features(name);
    if (options_.error_bars && features.defined()) {
      if (features.size(0) < 2 * jackknife_groups) {
        score.warnings.push_back("an error bar of " + metric.name + " needs at least " +
                                 std::to_string(2 * jackknife_groups) + " images");
        return score;
      }
      const FrechetError error =
          frechet_jackknife(features, images, reference, distance.value, jackknife_groups);
      score.deviation = error.deviation;
      score.bias = error.bias;
    }
    return score;
  }

  Score kernel(const Metric& metric) const {
    const std::string name = statistics_name(metric.detector);
    const KernelDistanceOptions options{.device = options_.device};
    const KernelDistance distance =
        kernel_distance(images_.find_features(name), reference_.find_features(name), options);
    Score score{metric.name, distance.value, distance.deviation};
    if (distance.subset_size < options.subset_size)
      score.warnings.push_back(metric.name + " is computed over subsets of " +
                               std::to_string(distance.subset_size) + " images instead of " +
                               std::to_string(options.subset_size) +
                               ", so its deviation is larger than usual");
    return score;
  }

  /// Computed once for the four metrics of a detector.
  const ManifoldScores& manifold(const Metric& metric) {
    const std::string name = statistics_name(metric.detector);
    const auto found = manifolds_.find(name);
    if (found != manifolds_.end()) return found->second;
    return manifolds_[name] =
               manifold_scores(images_.find_features(name), reference_.find_features(name),
                               {.device = options_.device});
  }
  static Score share(const Metric& metric, const ManifoldScores::Share& share) {
    return {metric.name, share.value, share.error};
  }

  const FeatureSet& images_;
  const FeatureSet& reference_;
  const ScoreOptions& options_;
  std::map<std::string, ManifoldScores> manifolds_;
};

}  // namespace

std::vector<Score> compute_scores(const std::vector<Metric>& metrics, const FeatureSet& images,
                                  const FeatureSet& reference, const ScoreOptions& options,
                                  Progress& progress,
                                  const std::function<void(const Score&)>& on_score) {
  ScoreComputer computer(images, reference, options);
  std::vector<Score> scores;
  for (const Metric& metric : metrics) {
    if (!computer.can_compute(metric)) {
      progress.message("No statistics computed for " + metric.name + " -- skipping.");
      continue;
    }
    check_interrupt();
    progress.message("Calculating " + metric.name + "...");
    scores.push_back(computer.compute(metric));
    if (on_score) on_score(scores.back());
  }
  return scores;
}

}  // namespace edm2
