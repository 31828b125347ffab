/// The Inception Score.
#pragma once

#include <cstdint>

#include "edm2/core/tensor.h"

namespace edm2 {

/// The score and how much its parts differ.
struct InceptionScore {
  double value = 0;      ///< mean over the parts
  double deviation = 0;  ///< over the parts (population deviation)
};

/// exp of the mean Kullback-Leibler divergence between the class probabilities of a picture and
/// those of all pictures (Salimans et al., arXiv 1606.03498), over `splits` parts of the shuffled
/// pictures as torch-fidelity makes them. logits: [N,classes], N >= splits. Throws Error.
InceptionScore inception_score(const Tensor& logits, int64_t splits = 10, uint32_t seed = 2020);

}  // namespace edm2
