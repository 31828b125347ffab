#include "support/gaussian_mixture.h"

#include <limits>

namespace edm2::test {
namespace {

GaussianMixture plane(double widening, bool with_classes) {
  const auto f64 = at::TensorOptions().dtype(at::kDouble);
  const Tensor means =
      at::tensor({1.0, 0.5, -1.0, 0.3, 0.2, -0.9, -0.3, 1.2}, f64).reshape({4, 2, 1, 1});
  const Tensor stds = at::tensor({0.3, 0.25, 0.35, 0.2}, f64) * widening;
  const Tensor weights = at::tensor({0.3, 0.25, 0.25, 0.2}, f64);
  return GaussianMixture(means, stds, weights,
                         with_classes ? at::tensor({0, 1, 0, 1}, at::kLong) : Tensor());
}

}  // namespace

GaussianMixture::GaussianMixture(Tensor means, Tensor stds, Tensor weights, Tensor classes)
    : means_(std::move(means)), variances_(stds.square()), log_weights_(weights.log()) {
  if (classes.defined()) membership_ = at::one_hot(classes).t().to(at::kDouble);
}

GaussianMixture GaussianMixture::in_the_plane() { return plane(1, true); }
GaussianMixture GaussianMixture::wider_in_the_plane() { return plane(1.5, false); }

Tensor GaussianMixture::denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) {
  const int64_t n = x.size(0), k = means_.size(0);
  const auto type = x.scalar_type();
  const Tensor means = means_.reshape({k, -1}).to(type);  // [K, D]
  const double dimensions = static_cast<double>(means.size(1));
  const Tensor points = x.reshape({n, 1, -1});                             // [N, 1, D]
  const Tensor sigma2 = sigma.to(type).square().reshape({-1, 1});          // [N or 1, 1]
  const Tensor total = variances_.to(type) + sigma2;                       // [N or 1, K]
  Tensor logit = log_weights_.to(type) - total.log() * (dimensions / 2) -  //
                 (points - means).square().sum(2) / (total * 2);           // [N, K]
  if (labels.defined() && membership_.defined()) {
    const Tensor chosen = labels.to(type).matmul(membership_.to(type));  // [N, K]
    const Tensor excluded = chosen.eq(0).logical_and(chosen.sum(1, true).ne(0));
    logit = logit.masked_fill(excluded, -std::numeric_limits<double>::infinity());
  }
  const Tensor share = logit.softmax(1).unsqueeze(2);  // [N, K, 1]
  // Of each component: the mean of its points, given x.
  const Tensor mean =
      (points * variances_.to(type).reshape({1, k, 1}) + means * sigma2.unsqueeze(2)) /
      total.unsqueeze(2);  // [N, K, D]
  return (share * mean).sum(1).reshape(x.sizes());
}

}  // namespace edm2::test
