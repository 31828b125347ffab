/// Two-dimensional data whose density and score are known exactly: the fractal-like mixture of
/// Gaussians of arXiv 2406.02507 (Section 3 and Appendix C).
#pragma once

#include <ATen/core/Generator.h>

#include <optional>
#include <string>

#include "edm2/core/tensor.h"

namespace edm2::toy {

/// One or both of two tree-shaped classes, "A" and "B", of 1016 Gaussians each.
class Mixture {
 public:
  /// classes: "A", "B" or "AB" (the order of the letters does not matter). The same numbers as the
  /// original's, bit for bit in float64 before they are rounded to float32. Throws UsageError for
  /// other text.
  explicit Mixture(const std::string& classes);

  const Tensor& weights() const { return weights_; }          ///< [K] float32, sum 1
  const Tensor& means() const { return means_; }              ///< [K,2] float32
  const Tensor& covariances() const { return covariances_; }  ///< [K,2,2] float32
  const Tensor& variances() const { return variances_; }      ///< [K,2] float32, ascending
  /// First of the 65536 entries of the sampling table that belong to each component, [K] int64.
  const Tensor& table_begin() const { return table_begin_; }

  /// Density and score of the data with Gaussian noise of deviation sigma added.
  struct Density {
    Tensor log_density;  ///< [N] float32, finite wherever x is
    Tensor score;        ///< [N,2] float32: its gradient by x
  };
  /// x: [N,2] float32 on the CPU; sigma: [N] or 0-dim, >= 0. Computed without underflow.
  Density density(const Tensor& x, const Tensor& sigma) const;

  /// Draws `count` noisy points [N,2] float32, sigma as above: N integers, then N x 2 normals from
  /// the generator, or from libtorch's default one, as the original on the CPU.
  Tensor sample(int64_t count, const Tensor& sigma,
                std::optional<at::Generator> generator = {}) const;

 private:
  Tensor weights_, means_, covariances_;
  Tensor variances_, axes_;  // eigenvalues [K,2] and eigenvectors [K,2,2] of the covariances
  Tensor table_begin_;
  Tensor table_;    // [65536] int64 components
  Tensor kernels_;  // [9,K'] float32: what the density kernel reads, K' = K padded
};

}  // namespace edm2::toy
