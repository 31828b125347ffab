// Square roots of covariances.
#pragma once

#include "edm2/core/tensor.h"

namespace edm2 {

/// sigma = F F^T; directions without spread are left out.
struct CovarianceFactor {
  Tensor matrix;             ///< F [D,rank]
  double negative_part = 0;  ///< -(lowest eigenvalue) / (highest), 0 if none is negative
  int64_t rank() const { return matrix.size(1); }
};

/// sigma: [D,D] float64, symmetric and finite. What lies below D * 2^-52 of its highest eigenvalue
/// counts as zero.
CovarianceFactor factorize_covariance(const Tensor& sigma);

}  // namespace edm2
