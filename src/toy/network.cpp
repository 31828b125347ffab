#include "edm2/toy/network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "edm2/core/error.h"

namespace edm2::toy {
namespace {

constexpr int64_t widest = 1 << 14, most_layers = 1 << 10;

void validate(const NetworkOptions& options) {
  if (options.num_layers < 0 || options.num_layers > most_layers)
    throw Error("the toy network's number of layers must be 0 to " + std::to_string(most_layers) +
                ", not " + std::to_string(options.num_layers));
  if (options.hidden_dim < 1 || options.hidden_dim > widest)
    throw Error("the toy network's hidden dimension must be 1 to " + std::to_string(widest) +
                ", not " + std::to_string(options.hidden_dim));
  if (!(options.sigma_data > 0) || !std::isfinite(options.sigma_data))
    throw Error("the toy network's sigma_data must be a positive number");
}

/// Shapes of the layers' weights [out,in]. Layers see x (2), the noise level and a constant.
std::vector<std::pair<int64_t, int64_t>> layer_shapes(const NetworkOptions& options) {
  std::vector<std::pair<int64_t, int64_t>> shapes = {{options.hidden_dim, 4}};
  for (int64_t i = 0; i < options.num_layers; ++i)
    shapes.emplace_back(options.hidden_dim, options.hidden_dim);
  return shapes;
}

/// Rows of w get the norm sqrt(number of columns).
Tensor normalize(const Tensor& w) {
  const Tensor norm = at::linalg_vector_norm(w, 2, at::IntArrayRef{1}, /*keepdim=*/true);
  return w / (norm / std::sqrt(static_cast<double>(w.size(1))) + 1e-4);
}

/// x: [N,in] -> [N,out], with expected magnitude preserved.
Tensor mp_linear(const Tensor& x, const Tensor& weight) {
  const Tensor w = normalize(weight) / std::sqrt(static_cast<double>(weight.size(1)));
  return at::matmul(x, w.t());
}

Tensor mp_silu(const Tensor& x) { return at::silu(x) / 0.596; }

}  // namespace

Network::Network(const NetworkOptions& options) : options_(options) {
  validate(options);
  parameters_.push_back(at::zeros({}));
  for (const auto& [out, in] : layer_shapes(options)) parameters_.push_back(at::randn({out, in}));
}

Network::Network(const NetworkOptions& options, std::vector<Tensor> parameters)
    : options_(options), parameters_(std::move(parameters)) {
  validate(options);
  const auto shapes = layer_shapes(options);
  bool fits = parameters_.size() == shapes.size() + 1 && parameters_[0].numel() == 1;
  for (size_t i = 0; fits && i < shapes.size(); ++i)
    fits = parameters_[i + 1].sizes() == at::IntArrayRef({shapes[i].first, shapes[i].second});
  if (!fits) throw Error("the toy network's weights do not have the shapes of its options");
  for (Tensor& parameter : parameters_) parameter = parameter.detach().to(at::kFloat).contiguous();
  parameters_[0] = parameters_[0].reshape({});
}

std::vector<std::string> Network::parameter_names() const {
  std::vector<std::string> names = {"gain"};
  // Activations stand between the layers and are counted, too.
  for (size_t i = 1; i < parameters_.size(); ++i)
    names.push_back("layers." + std::to_string(2 * (i - 1)) + ".weight");
  return names;
}

Network Network::clone() const {
  std::vector<Tensor> copies;
  for (const Tensor& parameter : parameters_) copies.push_back(parameter.detach().clone());
  return {options_, std::move(copies)};
}

Tensor Network::log_density(const Tensor& x, const Tensor& sigma) const {
  const double variance = options_.sigma_data * options_.sigma_data;
  const Tensor level = sigma.reshape({-1, 1});                    // [N or 1, 1]
  const Tensor scaled = x / (level.square() + variance).sqrt();   // [N,2]
  const Tensor noise = (level.log() / 4).expand({x.size(0), 1});  // [N,1]
  Tensor y = at::cat({scaled, noise, at::ones_like(noise)}, 1);   // [N,4]
  y = mp_linear(y, parameters_[1]);                               // [N,hidden]
  for (size_t i = 2; i < parameters_.size(); ++i) y = mp_linear(mp_silu(y), parameters_[i]);
  const Tensor correction = y.square().mean(1) * parameters_[0] / sigma;
  return correction - scaled.square().sum(1) / 2;
}

Tensor Network::score(const Tensor& x, const Tensor& sigma, bool differentiable) const {
  const c10::AutoGradMode record(true);
  const Tensor leaf = x.detach().requires_grad_(true);
  const Tensor total = log_density(leaf, sigma).sum();
  Tensor score = torch::autograd::grad({total}, {leaf}, {}, /*retain_graph=*/differentiable,
                                       /*create_graph=*/differentiable)[0];
  return differentiable ? score : score.detach();
}

void Network::normalize_weights() {
  const c10::NoGradGuard no_grad;
  for (size_t i = 1; i < parameters_.size(); ++i) parameters_[i].copy_(normalize(parameters_[i]));
}

}  // namespace edm2::toy
