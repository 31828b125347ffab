/// Power-function EMA of network weights (arXiv 2312.02696, Section 3 and Appendix C), for the
/// networks of any trainer.
///
/// The profile with exponent g weighs the weights at time t by (g+1) t^g / T^(g+1), 0 <= t <= T;
/// its relative width `std` is what users choose. Times are image counts.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Relative width of the profile with exponent g >= 0 (Eq. 123).
double exp_to_std(double g);
/// Exponent of the profile with relative width std, 0 < std < 0.289 (Eq. 126, Algorithm 2).
double std_to_exp(double std);
/// Decay factor for a step of t_delta images that ends at t_next images (Eq. 127).
double power_function_beta(double std, int64_t t_next, int64_t t_delta);

/// Moving averages of a network in training, one per relative width.
///
///     PowerFunctionEma ema(weights, {0.05, 0.10});
///     for (...) {
///       ...                                    // a step of the optimizer on 32 samples
///       seen += 32;
///       ema.update(weights, seen, 32);
///     }
///
/// `weights` are the network's own tensors by name, in the same order at each call.
class PowerFunctionEma {
 public:
  /// Copies the tensors. Those named in `buffers`, and those that hold no floating-point numbers,
  /// are not averaged.
  PowerFunctionEma(const StateDict& weights, std::vector<double> stds,
                   std::set<std::string> buffers = {});

  /// After an optimizer step: t_next = samples seen including this step's `batch_size`. Buffers are
  /// left.
  void update(const StateDict& weights, int64_t t_next, int64_t batch_size);

  /// Takes the network's buffers over into every copy (before writing snapshots).
  void copy_buffers(const StateDict& weights);

  const std::vector<double>& stds() const { return stds_; }
  /// The averaged weights for stds()[i], of the types and on the device of the network, buffers
  /// included.
  const StateDict& weights(size_t i) const { return copies_[i]; }
  /// Replaces widths and weights by saved ones. Throws Error if names or shapes do not match.
  void load(std::vector<double> stds, const std::vector<StateDict>& copies);

 private:
  bool is_averaged(const std::string& name, const Tensor& tensor) const;

  std::vector<double> stds_;
  std::set<std::string> buffers_;
  std::vector<StateDict> copies_;
};

}  // namespace edm2
