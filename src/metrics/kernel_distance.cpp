#include "edm2/metrics/kernel_distance.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"

namespace edm2 {
namespace {

/// Rows of x drawn without replacement, as numpy's RandomState.choice does it.
Tensor draw(const Tensor& x, int64_t size, NumpyRandom& random) {
  std::vector<int64_t> order = random.permutation(x.size(0));
  order.resize(static_cast<size_t>(size));
  return x.index_select(0, at::tensor(order, at::kLong));
}

Tensor kernel(const Tensor& x, const Tensor& y) {
  return (x.matmul(y.t()) / static_cast<double>(x.size(1)) + 1).pow(3);
}

/// Unbiased for two samples of one size [n,D]: the pairs of a point with itself are left out.
double squared_discrepancy(const Tensor& x, const Tensor& y) {
  const auto n = static_cast<double>(x.size(0));
  const auto between_different = [&](const Tensor& k) { return k.sum() - k.diagonal().sum(); };
  const Tensor within = between_different(kernel(x, x)) + between_different(kernel(y, y));
  return (within / (n * (n - 1)) - 2 * kernel(x, y).sum() / (n * n)).item<double>();
}

}  // namespace

KernelDistance kernel_distance(const Tensor& x, const Tensor& y,
                               const KernelDistanceOptions& options) {
  if (x.size(1) != y.size(1))
    throw Error("the two sets have " + std::to_string(x.size(1)) + " and " +
                std::to_string(y.size(1)) +
                " features an image, so they come from different detectors");
  KernelDistance result;
  result.subset_size = std::min({options.subset_size, x.size(0), y.size(0)});
  if (result.subset_size < 2)
    throw Error("the kernel distance needs at least 2 images on each side");
  NumpyRandom random(options.seed);
  const auto place = at::TensorOptions(options.device).dtype(at::kDouble);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < options.subsets; ++i) {
    check_interrupt();
    const Tensor from_x = draw(x, result.subset_size, random).to(place);
    const Tensor from_y = draw(y, result.subset_size, random).to(place);
    const double value = squared_discrepancy(from_x, from_y);
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(options.subsets);
  result.value = sum / count;
  result.deviation = std::sqrt(std::max(0.0, squares / count - result.value * result.value));
  return result;
}

}  // namespace edm2
