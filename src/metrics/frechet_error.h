// How far a Fréchet distance would have come out otherwise with other pictures.
#pragma once

#include "edm2/metrics/frechet.h"

namespace edm2 {

struct FrechetError {
  double deviation = 0;  ///< standard error of the distance
  double bias = 0;       ///< what the limited number of pictures adds to it on average
};

/// Jackknife: the distance is computed anew without each of `groups` random tenths of the pictures.
/// features: [N,D] of the pictures behind `all`, N >= 2 * groups; `value` = the distance of all.
FrechetError frechet_jackknife(const Tensor& features, const FeatureStatistics& all,
                               const FeatureStatistics& reference, double value,
                               int64_t groups = 10);

/// Statistics of the pictures that are left when `part` (of `part_count` pictures) is taken out of
/// `all` (of `count`).
FeatureStatistics statistics_without(const FeatureStatistics& all, int64_t count,
                                     const FeatureStatistics& part, int64_t part_count);

}  // namespace edm2
