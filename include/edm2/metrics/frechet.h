/// The distance behind FID and FD-DINOv2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/metrics/statistics.h"

namespace edm2 {

/// The distance, and how full the covariances were.
struct FrechetDistance {
  double value = 0;
  int64_t dim = 0;             ///< D
  int64_t rank_a = 0;          ///< of the covariances; below D, directions without any spread were
  int64_t rank_b = 0;          ///< left out
  double negative_part_a = 0;  ///< -(lowest eigenvalue) / (highest), 0 if none is negative: a
  double negative_part_b = 0;  ///< covariance has none, so more than rounding is a broken file
};

/// |mu_a - mu_b|^2 + tr(sigma_a + sigma_b - 2 (sigma_a sigma_b)^(1/2)): the squared Wasserstein-2
/// distance of two normal distributions (Heusel et al., arXiv 1706.08500, Eq. 6). Symmetric.
///
/// The trace of the square root is the sum of the square roots of the eigenvalues of
/// F^T sigma_b F, where sigma_a = F F^T, so that everything stays symmetric and real. Eigenvalues
/// of a covariance below D * 2^-52 of its highest count as zero. Throws Error if the dimensions
/// differ or a number is not finite.
FrechetDistance frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b);

/// One sentence for each thing that makes the value doubtful; `name_a` and `name_b` say what the
/// statistics are of ("the images", "the reference").
std::vector<std::string> frechet_warnings(const FrechetDistance& distance,
                                          const std::string& name_a, const std::string& name_b);

}  // namespace edm2
