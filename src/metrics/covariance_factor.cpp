#include "metrics/covariance_factor.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <optional>

namespace edm2 {
namespace {

double relative_threshold(const Tensor& sigma) {
  return static_cast<double>(sigma.size(0)) * std::numeric_limits<double>::epsilon();
}

/// Cholesky's factor: by far the cheapest one, where sigma has full rank.
std::optional<CovarianceFactor> plain_cholesky(const Tensor& sigma) {
  const auto [lower, info] = at::linalg_cholesky_ex(sigma);
  if (info.item<int>() != 0) return std::nullopt;
  const Tensor pivots = lower.diagonal().square();
  if (pivots.min().item<double>() <= relative_threshold(sigma) * pivots.max().item<double>())
    return std::nullopt;
  return CovarianceFactor{lower};
}

/// The same with the largest remaining variance first, until there is none left: for sigmas that
/// lack rank. Nothing if what is left is more than rounding, because sigma is no covariance.
std::optional<CovarianceFactor> pivoted_cholesky(const Tensor& sigma) {
  constexpr int64_t block = 64;
  const int64_t dim = sigma.size(0);
  Tensor rest = sigma.clone();  // sigma - F F^T, up to date at the begin of each block
  Tensor variances = rest.diagonal().clone();
  const double highest = variances.max().item<double>();
  if (!(highest > 0)) return std::nullopt;
  const double threshold = relative_threshold(sigma) * highest;
  const Tensor factor = at::zeros({dim, dim}, sigma.options());
  int64_t rank = 0;
  for (bool more = true; more && rank < dim;) {
    const int64_t begin = rank;
    while (rank < dim && rank - begin < block) {
      const int64_t pivot = variances.argmax().item<int64_t>();
      const double variance = variances[pivot].item<double>();
      more = variance > threshold;
      if (!more) break;
      const Tensor of_block = factor.slice(1, begin, rank);  // [D,columns so far]
      const Tensor column = factor.select(1, rank++);
      column.copy_((rest[pivot] - of_block.mv(of_block[pivot])) / std::sqrt(variance));
      variances.sub_(column.square());
      variances[pivot] = 0;
    }
    const Tensor of_block = factor.slice(1, begin, rank);
    if (rank > begin) rest.addmm_(of_block, of_block.t(), 1, -1);
  }
  constexpr double growth = 100;  // of rounding in as many steps as there is rank
  if (rest.abs().max().item<double>() > growth * threshold) return std::nullopt;
  return CovarianceFactor{factor.narrow(1, 0, rank)};
}

/// Works for every symmetric matrix, and tells of negative eigenvalues.
CovarianceFactor from_eigenvectors(const Tensor& sigma) {
  const int64_t dim = sigma.size(0);
  const auto [values, vectors] = at::linalg_eigh(sigma);  // ascending
  const double highest = values[-1].item<double>(), lowest = values[0].item<double>();
  if (highest <= 0) return {sigma.new_zeros({dim, 0}), highest < 0 ? 1.0 : 0.0};
  const int64_t rank = (values > relative_threshold(sigma) * highest).sum().item<int64_t>();
  return {vectors.narrow(1, dim - rank, rank) * values.narrow(0, dim - rank, rank).sqrt(),
          lowest < 0 ? -lowest / highest : 0.0};
}

}  // namespace

CovarianceFactor factorize_covariance(const Tensor& sigma) {
  if (auto factor = plain_cholesky(sigma)) return *factor;
  if (auto factor = pivoted_cholesky(sigma)) return *factor;
  return from_eigenvectors(sigma);
}

}  // namespace edm2
