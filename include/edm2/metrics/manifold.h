/// Precision, recall, density and coverage: which pictures lie among those of the other set.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "edm2/core/tensor.h"

namespace edm2 {

/// How large the balls around pictures are.
struct ManifoldOptions {
  int64_t neighbors = 3;          ///< k of precision and recall
  int64_t density_neighbors = 5;  ///< k of density and coverage
  c10::Device device = c10::Device(c10::kCPU);
};

/// The four scores; see manifold_scores().
struct ManifoldScores {
  /// A mean over pictures.
  struct Share {
    double value = 0;
    double error = 0;  ///< standard error of the mean over pictures, the balls being given
  };
  Share precision;  ///< generated pictures within the ball of any real one
  Share recall;     ///< real pictures within the ball of any generated one
  Share density;    ///< balls of real pictures that a generated one lies in, over k
  Share coverage;   ///< real pictures whose ball holds a generated one
};

/// A picture's ball reaches to its k-th nearest neighbour in its own set, and its border belongs to
/// it. Precision and recall as in arXiv 1904.06991, density and coverage as in arXiv 2002.09797.
/// generated: [N,D], real: [M,D], both with more than k rows. Computed in float64, in blocks, so
/// that memory does not grow with N * M. Throws Error if there are too few or D differs.
ManifoldScores manifold_scores(const Tensor& generated, const Tensor& real,
                               const ManifoldOptions& options = {});

}  // namespace edm2
