/// Power-function EMA of network weights (arXiv 2312.02696, Section 3 and Appendix C).
///
/// The profile with exponent g weighs the weights at time t by (g+1) t^g / T^(g+1), 0 <= t <= T;
/// its relative width `std` is what users choose. Times are image counts.
#pragma once

#include <string>
#include <vector>

#include "edm2/nn/network.h"

namespace edm2 {

/// Relative width of the profile with exponent g >= 0 (Eq. 123).
double exp_to_std(double g);
/// Exponent of the profile with relative width std, 0 < std < 0.289 (Eq. 126, Algorithm 2).
double std_to_exp(double std);
/// Decay factor for a step of t_delta images that ends at t_next images (Eq. 127).
double power_function_beta(double std, int64_t t_next, int64_t t_delta);

/// Moving averages of a network in training, one per relative width.
class PowerFunctionEma {
 public:
  /// Copies the network's current weights.
  PowerFunctionEma(Precond& network, std::vector<double> stds);

  /// After an optimizer step: t_next = images seen including this step's `batch_size`. Buffers are
  /// left.
  void update(Precond& network, int64_t t_next, int64_t batch_size);

  /// Takes the network's buffers over into every copy (before writing snapshots).
  void copy_buffers(Precond& network);

  const std::vector<double>& stds() const { return stds_; }
  /// The averaged weights for stds()[i], float32 on the network's device, buffers included.
  const StateDict& weights(size_t i) const { return copies_[i]; }
  /// Replaces widths and weights by saved ones. Throws Error if names or shapes do not match.
  void load(std::vector<double> stds, const std::vector<StateDict>& copies);

  /// "-0.050": what a snapshot's file name says of the width.
  static std::string suffix(double std);

 private:
  std::vector<double> stds_;
  std::vector<StateDict> copies_;
};

}  // namespace edm2
