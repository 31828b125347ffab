#include "edm2/metrics/scores.h"

#include <ATen/ATen.h>

#include <algorithm>
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
constexpr int64_t inception_parts = 10;

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
      case MetricKind::inception_score:
        return inception(metric);
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
    const Tensor images = images_.find_features(name), reference = reference_.find_features(name);
    const KernelDistance distance = kernel_distance(images, reference, options);
    const int64_t size = distance.subset_size, fewest = std::min(images.size(0), reference.size(0));
    const std::string side = images.size(0) <= reference.size(0) ? "images" : "reference";
    Score score{metric.name, distance.value};
    if (fewest == size) {
      score.deviation_unknown = true;
      score.warnings.push_back(
          metric.name + " has no error bar: each of its subsets holds all " + std::to_string(size) +
          " pictures of the " + side +
          (size < options.subset_size
               ? " (they would have " + std::to_string(options.subset_size) + ")"
               : ""));
      return score;
    }
    score.deviation = distance.deviation;
    if (fewest < 2 * size)
      score.warnings.push_back("the error bar of " + metric.name +
                               " is too small: its subsets of " + std::to_string(size) +
                               " of the " + std::to_string(fewest) + " pictures of the " + side +
                               " are mostly the same ones");
    return score;
  }

  Score inception(const Metric& metric) const {
    const Tensor features = images_.find_features(statistics_name(metric.detector));
    const InceptionScore value =
        inception_score(options_.inception->class_logits(features), inception_parts);
    Score score{metric.name, value.value};
    const int64_t count = features.size(0), smallest_part = count / inception_parts;
    if (smallest_part < 2)
      score.deviation_unknown = true;  // the score of a part with one picture is always 1
    else
      score.deviation = value.deviation;
    if (count < customary_count)
      score.warnings.push_back(
          metric.name + " over " + std::to_string(count) + " images is smaller than over " +
          std::to_string(customary_count) + ", because each of its ten parts has but " +
          std::to_string(smallest_part) +
          (count % inception_parts == 0 ? "" : " or " + std::to_string(smallest_part + 1)) +
          "; compare it with values over equally many only");
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
    Score score{metric.name, share.value};
    if (share.error > 0) {
      score.deviation = share.error;
    } else {
      score.deviation_unknown = true;
      score.warnings.push_back(
          metric.name +
          " has no error bar: all pictures count alike, which tells nothing of "
          "how often others would");
    }
    return score;
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
    Score score = computer.compute(metric);
    if (const auto found = options.unusual.find(metric.detector); found != options.unusual.end())
      score.warnings.push_back(found->second);
    scores.push_back(std::move(score));
    if (on_score) on_score(scores.back());
  }
  return scores;
}

}  // namespace edm2
