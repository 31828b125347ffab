#include "edm2/metrics/inception_score.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "edm2/core/error.h"
#include "edm2/core/random.h"

namespace edm2 {

InceptionScore inception_score(const Tensor& logits, int64_t splits, uint32_t seed) {
  const int64_t count = logits.size(0);
  if (count < splits)
    throw Error("the Inception Score needs at least " + std::to_string(splits) + " images, not " +
                std::to_string(count));
  // Datasets are often sorted by class.
  const Tensor order = at::tensor(NumpyRandom(seed).permutation(count), at::kLong);
  const Tensor shuffled = logits.cpu().to(at::kDouble).index_select(0, order);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < splits; ++i) {
    const int64_t begin = i * count / splits, end = (i + 1) * count / splits;
    const Tensor log_p = at::log_softmax(shuffled.slice(0, begin, end), 1);  // [n,classes]
    const Tensor p = log_p.exp();
    const Tensor divergence = (p * (log_p - p.mean(0, /*keepdim=*/true).log())).sum(1);
    const double score = std::exp(divergence.mean().item<double>());
    sum += score;
    squares += score * score;
  }
  const auto n = static_cast<double>(splits);
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean))};
}

}  // namespace edm2
