/// The exact mixture and trained networks behind one interface, and sampling from them.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <optional>

#include "edm2/diffusion/sampler.h"
#include "edm2/toy/mixture.h"
#include "edm2/toy/network.h"

namespace edm2::toy {

/// Something with a density in the plane at every noise level.
class Model {
 public:
  virtual ~Model() = default;
  /// x: [N,2] float32; sigma: [N] or 0-dim. [N], up to a constant.
  virtual Tensor log_density(const Tensor& x, const Tensor& sigma) const = 0;
  /// Its gradient by x, [N,2].
  virtual Tensor score(const Tensor& x, const Tensor& sigma) const = 0;
};

/// The data themselves.
class ExactModel final : public Model {
 public:
  explicit ExactModel(Mixture mixture) : mixture_(std::move(mixture)) {}
  Tensor log_density(const Tensor& x, const Tensor& sigma) const override {
    return mixture_.density(x, sigma).log_density;
  }
  Tensor score(const Tensor& x, const Tensor& sigma) const override {
    return mixture_.density(x, sigma).score;
  }

 private:
  Mixture mixture_;
};

/// A trained network.
class LearnedModel final : public Model {
 public:
  explicit LearnedModel(Network network) : network_(std::move(network)) {}
  Tensor log_density(const Tensor& x, const Tensor& sigma) const override;
  Tensor score(const Tensor& x, const Tensor& sigma) const override;

 private:
  Network network_;
};

/// The original's settings: 32 Heun steps from noise level 5.
SamplerOptions default_sampler_options();

/// Points on their way from noise to data.
struct Trajectories {
  Tensor positions;  ///< [steps + 1, N, 2] float32: the first are the starting points
  Tensor sigmas;     ///< [steps + 1] float64: their noise levels; the last is 0
};

/// start: [N,2] noisy points of level options.sigma_max. options.guidance is the weight from the
/// guide's score to the model's (arXiv 2406.02507, Eq. 3); `guide` may be null, then there is no
/// guidance. Churn draws from `generator` or libtorch's default one. Throws UsageError as
/// edm_sampler() does.
Trajectories sample_trajectories(const Model& model, const Model* guide, const Tensor& start,
                                 const SamplerOptions& options,
                                 std::optional<at::Generator> generator = {});

}  // namespace edm2::toy
