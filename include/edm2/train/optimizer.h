/// Adam, step by step as PyTorch computes it.
#pragma once

#include "edm2/ema/power_function.h"
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

  /// Running averages of a parameter's gradient and of its square.
  struct Moments {
    int64_t step = 0;
    Tensor exp_avg, exp_avg_sq;  ///< float32, shaped like the parameter
  };
  /// In the order of Precond::named_parameters().
  std::vector<Moments> moments;
};

/// Averages that start from the network's weights as they are now.
PowerFunctionEma start_averages(Precond& network, std::vector<double> stds);

/// A step of Adam and then of the moving averages, as Adam::step and PowerFunctionEma::update do
/// them one after the other, with NaN and infinities in the gradients taken as 0 (and set to 0).
/// On the CPU this is one pass over the parameters and all that belongs to them, with the same
/// rounding as those.
void update_weights(Precond& network, Adam& optimizer, double lr, PowerFunctionEma& ema,
                    int64_t t_next, int64_t batch_size);

/// Sets all gradients to none.
void clear_gradients(Precond& network);
/// Replaces NaN and infinities in the gradients by 0, in place.
void zero_nonfinite_gradients(Precond& network);

}  // namespace edm2
