#include "edm2/train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace edm2 {

Adam::Adam(Precond& network) {
  for (const auto& parameter : network.named_parameters())
    moments.push_back({0, at::zeros_like(parameter.tensor->detach()),
                       at::zeros_like(parameter.tensor->detach())});
}

void Adam::step(Precond& network, double lr) {
  c10::NoGradGuard no_grad;
  const auto parameters = network.named_parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    Tensor& parameter = *parameters[i].tensor;
    const Tensor& grad = parameter.grad();
    if (!grad.defined()) continue;
    auto& [t, m, v] = moments[i];
    t += 1;
    const double bias1 = 1 - std::pow(beta1, static_cast<double>(t));
    const double bias2 = 1 - std::pow(beta2, static_cast<double>(t));
    m.lerp_(grad, 1 - beta1);
    v.mul_(beta2).addcmul_(grad, grad, 1 - beta2);
    const Tensor denominator = v.sqrt().div(std::sqrt(bias2)).add_(eps);
    parameter.addcdiv_(m, denominator, -(lr / bias1));
  }
}

void clear_gradients(Precond& network) {
  for (auto& parameter : network.named_parameters()) parameter.tensor->mutable_grad() = Tensor();
}

void zero_nonfinite_gradients(Precond& network) {
  c10::NoGradGuard no_grad;
  for (auto& parameter : network.named_parameters())
    if (Tensor& grad = parameter.tensor->mutable_grad(); grad.defined())
      at::nan_to_num_out(grad, grad, 0.0, 0.0, 0.0);
}

}  // namespace edm2
