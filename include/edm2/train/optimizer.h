/// Adam, step by step as PyTorch computes it.
#pragma once

#include "edm2/nn/network.h"

namespace edm2 {

/// Adam (arXiv 1412.6980) over all parameters of a network. The first moment is updated by lerp as
/// in current PyTorch, which differs in the last bit from libtorch's torch::optim::Adam.
class Adam {
 public:
  explicit Adam(Precond& network);

  /// One step with the parameters' gradients; parameters without one are left alone.
  void step(Precond& network, double lr);

  double beta1 = 0.9, beta2 = 0.99, eps = 1e-8;

  struct Moments {
    int64_t step = 0;
    Tensor exp_avg, exp_avg_sq;  ///< float32, shaped like the parameter
  };
  /// In the order of Precond::named_parameters().
  std::vector<Moments> moments;
};

/// Sets all gradients to none.
void clear_gradients(Precond& network);
/// Replaces NaN and infinities in the gradients by 0, in place.
void zero_nonfinite_gradients(Precond& network);

}  // namespace edm2
