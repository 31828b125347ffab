// A mixture of Gaussians, whose ideal denoiser is known in closed form.
#pragma once

#include <ATen/ATen.h>

#include "edm2/nn/denoiser.h"

namespace edm2::test {

/// D(x; sigma) = E[y | y + sigma n = x] for y from a mixture of isotropic Gaussians, each of one
/// class. Computes and answers in the type of x.
class GaussianMixture : public Denoiser {
 public:
  /// means: [K,C,H,W] float64; stds, weights: [K] float64; classes: [K] int64 from 0, or undefined
  /// for a mixture without classes.
  GaussianMixture(Tensor means, Tensor stds, Tensor weights, Tensor classes = {});

  /// Four components of two classes in the plane: images of 2 channels and 1x1 pixels.
  static GaussianMixture in_the_plane();
  /// The same components, without classes, and wider: a worse model of the same data, as a guide.
  static GaussianMixture wider_in_the_plane();

  /// Zero or undefined labels mean all classes.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) override;
  int64_t img_channels() const override { return means_.size(1); }
  int64_t img_resolution() const override { return means_.size(2); }
  int64_t label_dim() const override { return membership_.defined() ? membership_.size(0) : 0; }
  c10::Device device() const override { return means_.device(); }

 private:
  Tensor means_;        // [K,C,H,W]
  Tensor variances_;    // [K]
  Tensor log_weights_;  // [K]
  Tensor membership_;   // [classes, K], 1 where the component is of the class
};

/// Passes calls on and counts them.
class CountingDenoiser : public Denoiser {
 public:
  explicit CountingDenoiser(Denoiser& inner) : inner_(inner) {}
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) override {
    levels.push_back(sigma.item<double>());
    return last = inner_.denoise(x, sigma, labels);
  }
  int64_t img_channels() const override { return inner_.img_channels(); }
  int64_t img_resolution() const override { return inner_.img_resolution(); }
  int64_t label_dim() const override { return inner_.label_dim(); }
  c10::Device device() const override { return inner_.device(); }
  int64_t calls() const { return static_cast<int64_t>(levels.size()); }

  std::vector<double> levels;  ///< noise level of each call
  Tensor last;                 ///< what the last call returned

 private:
  Denoiser& inner_;
};

}  // namespace edm2::test
