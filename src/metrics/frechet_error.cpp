#include "metrics/frechet_error.h"

#include <ATen/ATen.h>

#include <cmath>

#include "edm2/core/platform.h"
#include "edm2/core/random.h"

namespace edm2 {

FeatureStatistics statistics_without(const FeatureStatistics& all, int64_t count,
                                     const FeatureStatistics& part, int64_t part_count) {
  const auto n = static_cast<double>(count), m = static_cast<double>(part_count);
  const Tensor mu = (n * all.mu - m * part.mu) / (n - m);
  // Sums of squares around the means: that of all is that of both parts and of their distance.
  const Tensor apart = part.mu - mu;
  const Tensor squares =
      (n - 1) * all.sigma - (m - 1) * part.sigma - (n - m) * m / n * at::outer(apart, apart);
  return {mu, squares / (n - m - 1)};
}

FrechetError frechet_jackknife(const Tensor& features, const FeatureStatistics& all,
                               const FeatureStatistics& reference, double value, int64_t groups) {
  const int64_t count = features.size(0);
  TORCH_CHECK(count >= 2 * groups, "[frechet_jackknife] too few images");
  // Datasets are often sorted by class.
  const Tensor shuffled = at::tensor(NumpyRandom(0).permutation(count), at::kLong);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < groups; ++i) {
    check_interrupt();
    const int64_t begin = i * count / groups, end = (i + 1) * count / groups;
    FeatureAccumulator part(features.size(1));
    part.append(features.index_select(0, shuffled.slice(0, begin, end)));
    const FeatureStatistics rest = statistics_without(all, count, part.finish(), end - begin);
    const double without = frechet_distance(rest, reference).value;
    sum += without;
    squares += without * without;
  }
  const auto g = static_cast<double>(groups);
  const double mean = sum / g;
  return {std::sqrt((g - 1) * std::max(0.0, squares / g - mean * mean)), (g - 1) * (mean - value)};
}

}  // namespace edm2
