#include "edm2/metrics/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

constexpr int64_t block_rows = 256;

}  // namespace

FeatureAccumulator::FeatureAccumulator(int64_t feature_dim) : dim_(feature_dim) {
  TORCH_CHECK(feature_dim >= 1, "[FeatureAccumulator] feature_dim must be positive");
}

void FeatureAccumulator::append(const Tensor& features) {
  TORCH_CHECK(features.dim() == 2 && features.size(1) == dim_,
              "[FeatureAccumulator] features must be [N,", dim_, "], not ", features.sizes());
  const int64_t rows = features.size(0);
  const Tensor finite = at::isfinite(features).all(1);  // [N]
  if (!finite.all().item<bool>())
    throw Error("the features of image " +
                std::to_string(count_ + finite.logical_not().nonzero()[0][0].item<int64_t>()) +
                " are not finite numbers; is the detector's file damaged?");
  if (!sum_.defined()) {
    const auto options = features.options().dtype(at::kDouble);
    sum_ = at::zeros({dim_}, options);
    products_ = at::zeros({dim_, dim_}, options);
  }
  for (int64_t begin = 0; begin < rows;) {
    const int64_t take = std::min(rows - begin, block_rows - pending_rows_);
    // A copy, even of float64: the caller may go on to use the memory.
    pending_.push_back(features.narrow(0, begin, take).to(sum_.options(), false, /*copy=*/true));
    pending_rows_ += take;
    begin += take;
    if (pending_rows_ < block_rows) continue;
    const Tensor block = at::cat(pending_);  // [256,D]
    sum_.add_(block.sum(0));
    products_.addmm_(block.t(), block);
    pending_.clear();
    pending_rows_ = 0;
  }
  count_ += rows;
}

FeatureStatistics FeatureAccumulator::finish() const {
  if (count_ < 2)
    throw Error("statistics need at least 2 images, there " +
                std::string(count_ == 1 ? "is 1" : "are none"));
  Tensor sum = sum_, products = products_;
  if (pending_rows_ > 0) {
    const Tensor block = at::cat(pending_);
    sum = sum + block.sum(0);
    products = at::addmm(products, block.t(), block);
  }
  const auto n = static_cast<double>(count_);
  FeatureStatistics result;
  result.mu = sum / n;
  result.sigma = (products - n * at::outer(result.mu, result.mu)) / (n - 1);
  return {result.mu.cpu(), result.sigma.cpu()};
}

}  // namespace edm2
