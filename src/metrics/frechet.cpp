#include "edm2/metrics/frechet.h"

#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "metrics/covariance_factor.h"

namespace edm2 {
namespace {

/// tr((F F^T sigma)^(1/2))
double trace_sqrt_product(const Tensor& factor, const Tensor& sigma) {
  if (factor.size(1) == 0) return 0;
  const Tensor product = factor.t().matmul(sigma.matmul(factor));  // [rank,rank]
  // Small eigenvalues count: their roots add up, and there are many of them.
  const Tensor values = at::linalg_eigvalsh(0.5 * (product + product.t()));
  return values.clamp_min(0).sqrt().sum().item<double>();
}

void check(const FeatureStatistics& s) {
  TORCH_CHECK(s.mu.dim() == 1 && s.sigma.dim() == 2 && s.sigma.size(0) == s.mu.size(0) &&
                  s.sigma.size(1) == s.mu.size(0),
              "[frechet_distance] mu must be [D] and sigma [D,D]");
  if (!at::isfinite(s.mu).all().item<bool>() || !at::isfinite(s.sigma).all().item<bool>())
    throw Error("the feature statistics hold numbers that are not finite");
}

}  // namespace

FrechetDistance frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  check(a);
  check(b);
  if (a.mu.size(0) != b.mu.size(0))
    throw Error("the two statistics have " + std::to_string(a.mu.size(0)) + " and " +
                std::to_string(b.mu.size(0)) +
                " features an image, so they come from different detectors");
  const Tensor mu_a = a.mu.to(at::kDouble), mu_b = b.mu.to(at::kDouble);
  const auto symmetric = [](const Tensor& m) { return 0.5 * (m + m.t()).to(at::kDouble); };
  const Tensor sigma_a = symmetric(a.sigma), sigma_b = symmetric(b.sigma);

  const CovarianceFactor factor_a = factorize_covariance(sigma_a),
                         factor_b = factorize_covariance(sigma_b);
  // The factor of lower rank makes the smaller, better conditioned product.
  const double trace = factor_a.rank() <= factor_b.rank()
                           ? trace_sqrt_product(factor_a.matrix, sigma_b)
                           : trace_sqrt_product(factor_b.matrix, sigma_a);
  FrechetDistance result;
  result.value = (mu_a - mu_b).square().sum().item<double>() + sigma_a.trace().item<double>() +
                 sigma_b.trace().item<double>() - 2 * trace;
  result.dim = mu_a.size(0);
  result.rank_a = factor_a.rank();
  result.rank_b = factor_b.rank();
  result.negative_part_a = factor_a.negative_part;
  result.negative_part_b = factor_b.negative_part;
  return result;
}

std::vector<std::string> frechet_warnings(const FrechetDistance& distance,
                                          const std::string& name_a, const std::string& name_b) {
  constexpr double tolerated_negative_part = 1e-6;
  std::vector<std::string> warnings;
  const auto look_at = [&](const std::string& name, int64_t rank, double negative_part) {
    if (negative_part > tolerated_negative_part)
      warnings.push_back("the covariance of " + name + " has negative eigenvalues, up to " +
                         format_number("%.2g%%", 100 * negative_part) +
                         " of the largest, which no set of images gives; is the file damaged?");
    if (rank < distance.dim)
      warnings.push_back("the covariance of " + name + " has rank " + std::to_string(rank) +
                         " in " + std::to_string(distance.dim) +
                         " dimensions, so the distance says more about the number of images than "
                         "about them; use more images than dimensions");
  };
  look_at(name_a, distance.rank_a, distance.negative_part_a);
  look_at(name_b, distance.rank_b, distance.negative_part_b);
  return warnings;
}

}  // namespace edm2
