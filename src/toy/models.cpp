#include "edm2/toy/models.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace edm2::toy {
namespace {

/// D(x; sigma) = x + sigma^2 score(x; sigma), the samplers' view of a model: points are images of
/// two channels and one pixel.
class ModelDenoiser final : public Denoiser {
 public:
  explicit ModelDenoiser(const Model& model) : model_(model) {}

  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor&) override {
    const Tensor points = x.to(at::kFloat).flatten(1), level = sigma.to(at::kFloat);
    const Tensor score = model_.score(points, level);
    return (points + level.square().reshape({-1, 1}) * score).reshape(x.sizes());
  }
  int64_t img_channels() const override { return 2; }
  int64_t img_resolution() const override { return 1; }
  int64_t label_dim() const override { return 0; }
  c10::Device device() const override { return at::kCPU; }

 private:
  const Model& model_;
};

}  // namespace

Tensor LearnedModel::log_density(const Tensor& x, const Tensor& sigma) const {
  const c10::NoGradGuard no_grad;
  return network_.log_density(x, sigma);
}

Tensor LearnedModel::score(const Tensor& x, const Tensor& sigma) const {
  return network_.score(x, sigma);
}

SamplerOptions default_sampler_options() {
  SamplerOptions options;
  options.sigma_max = 5;
  return options;
}

Trajectories sample_trajectories(const Model& model, const Model* guide, const Tensor& start,
                                 const SamplerOptions& sampler_options,
                                 std::optional<at::Generator> generator) {
  SamplerOptions options = sampler_options;
  if (guide == nullptr) options.guidance = 1;
  ModelDenoiser main(model), guiding(guide != nullptr ? *guide : model);
  const auto randn_like = [&](const Tensor& x) {
    return at::randn(x.sizes(), generator, x.options());
  };
  SamplerOptions exact = options;
  exact.dtype = at::kDouble;
  Trajectories result{{}, noise_levels(exact, at::kCPU)};
  std::vector<Tensor> positions = {start};
  const Tensor noise = (start / noise_levels(options, at::kCPU)[0]).reshape({-1, 2, 1, 1});
  edm_sampler(main, guiding, noise, {}, options, randn_like, [&](const SamplerStep& step) {
    positions.push_back(step.x.to(at::kFloat).flatten(1).clone());
  });
  result.positions = at::stack(positions);
  return result;
}

}  // namespace edm2::toy
