#include "edm2/ema/power_function.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <cstdio>

#include "edm2/core/error.h"

namespace edm2 {

double exp_to_std(double g) { return std::sqrt((g + 1) / ((g + 2) * (g + 2)) / (g + 3)); }

double std_to_exp(double std) {
  // Largest root of x^3 + 7x^2 + (16-s)x + (12-s), s = std^-2. From x = 1/std the cubic is convex
  // down to the root, so that Newton's method descends monotonically until rounding stops it.
  const double s = 1 / (std * std);
  double x = 1 / std;
  for (int i = 0; i < 60; ++i) {
    const double value = ((x + 7) * x + (16 - s)) * x + (12 - s);
    const double slope = (3 * x + 14) * x + (16 - s);
    const double next = x - value / slope;
    if (!(next < x)) break;
    x = next;
  }
  return x;
}

double power_function_beta(double std, int64_t t_next, int64_t t_delta) {
  return std::pow(1 - static_cast<double>(t_delta) / static_cast<double>(t_next),
                  std_to_exp(std) + 1);
}

PowerFunctionEma::PowerFunctionEma(Precond& network, std::vector<double> stds)
    : stds_(std::move(stds)) {
  for (size_t i = 0; i < stds_.size(); ++i) {
    StateDict copy;
    for (const auto& [name, tensor] : network.state_dict()) copy.emplace_back(name, tensor.clone());
    copies_.push_back(std::move(copy));
  }
}

void PowerFunctionEma::update(Precond& network, int64_t t_next, int64_t batch_size) {
  c10::NoGradGuard no_grad;
  const auto live = network.named_tensors();
  for (size_t i = 0; i < stds_.size(); ++i) {
    const double beta = power_function_beta(stds_[i], t_next, batch_size);
    for (size_t k = 0; k < live.size(); ++k)
      if (!live[k].is_buffer) copies_[i][k].second.lerp_(*live[k].tensor, 1 - beta);
  }
}

void PowerFunctionEma::copy_buffers(Precond& network) {
  c10::NoGradGuard no_grad;
  const auto live = network.named_tensors();
  for (auto& copy : copies_)
    for (size_t k = 0; k < live.size(); ++k)
      if (live[k].is_buffer) copy[k].second.copy_(*live[k].tensor);
}

void PowerFunctionEma::load(std::vector<double> stds, const std::vector<StateDict>& copies) {
  if (stds.size() != copies.size())
    throw Error("the saved EMA state holds " + std::to_string(stds.size()) + " widths but " +
                std::to_string(copies.size()) + " sets of weights");
  std::vector<StateDict> loaded;
  for (const auto& saved : copies) {
    StateDict copy;
    for (const auto& [name, own] : copies_.front()) {
      const Tensor value = find_tensor(saved, name);
      if (!value.defined() || value.sizes() != own.sizes())
        throw Error("the saved EMA state lacks '" + name + "' or holds it in another shape");
      copy.emplace_back(name, value.to(own.options(), /*non_blocking=*/false, /*copy=*/true));
    }
    loaded.push_back(std::move(copy));
  }
  stds_ = std::move(stds);
  copies_ = std::move(loaded);
}

std::string PowerFunctionEma::suffix(double std) {
  char text[32];
  std::snprintf(text, sizeof text, "-%.3f", std);
  return text;
}

}  // namespace edm2
