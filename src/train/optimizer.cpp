#include "edm2/train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "core/cpu_choice.h"
#include "core/parallel.h"
#include "train/update_kernels.h"

namespace edm2 {
namespace {

/// A parameter with what moves along with it, in pieces that threads share.
struct Piece {
  size_t parameter;
  int64_t begin, size;
};

bool is_plain(const Tensor& x) {
  return x.defined() && x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

}  // namespace

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

PowerFunctionEma start_averages(Precond& network, std::vector<double> stds) {
  std::set<std::string> buffers;
  for (const NamedTensor& entry : network.named_tensors())
    if (entry.is_buffer) buffers.insert(entry.name);
  return {network.state_dict(), std::move(stds), std::move(buffers)};
}

// Long: one pass over the memory, prepared and made with the same few lists of pointers.
void update_weights(Precond& network, Adam& optimizer, double lr, PowerFunctionEma& ema,
                    int64_t t_next, int64_t batch_size) {
  const auto tensors = network.named_tensors();  // the averages have these names and this order
  const size_t averages = ema.stds().size();
  std::vector<update_kernels::Parts> parts;
  std::vector<update_kernels::Rates> rates;
  std::vector<Piece> pieces;
  bool plain = averages <= update_kernels::max_averages;
  for (size_t k = 0, i = 0; k < tensors.size() && plain; ++k) {
    if (tensors[k].is_buffer) continue;
    const Adam::Moments& moments = optimizer.moments[i++];
    const Tensor& weight = *tensors[k].tensor;
    plain = is_plain(weight) && is_plain(weight.grad()) && is_plain(moments.exp_avg) &&
            is_plain(moments.exp_avg_sq);
    for (size_t e = 0; e < averages && plain; ++e) plain = is_plain(ema.weights(e)[k].second);
  }
  if (!plain) {
    zero_nonfinite_gradients(network);
    optimizer.step(network, lr);
    ema.update(network.state_dict(), t_next, batch_size);
    return;
  }

  for (size_t k = 0, i = 0; k < tensors.size(); ++k) {
    if (tensors[k].is_buffer) continue;
    auto& [t, m, v] = optimizer.moments[i++];
    t += 1;
    const double bias1 = 1 - std::pow(optimizer.beta1, static_cast<double>(t));
    const double bias2 = 1 - std::pow(optimizer.beta2, static_cast<double>(t));
    update_kernels::Rates r{};
    r.lerp1 = static_cast<float>(1 - optimizer.beta1);
    r.beta2 = static_cast<float>(optimizer.beta2);
    r.square = static_cast<float>(1 - optimizer.beta2);
    r.root_bias = static_cast<float>(std::sqrt(bias2));
    r.eps = static_cast<float>(optimizer.eps);
    r.step = static_cast<float>(-(lr / bias1));
    r.averages = static_cast<int>(averages);
    const Tensor& weight = *tensors[k].tensor;
    update_kernels::Parts p{};
    p.weight = static_cast<float*>(weight.mutable_data_ptr());
    p.grad = static_cast<float*>(weight.grad().mutable_data_ptr());
    p.exp_avg = static_cast<float*>(m.mutable_data_ptr());
    p.exp_avg_sq = static_cast<float*>(v.mutable_data_ptr());
    for (size_t e = 0; e < averages; ++e) {
      r.lerp[e] = static_cast<float>(1 - power_function_beta(ema.stds()[e], t_next, batch_size));
      p.average[e] = static_cast<float*>(ema.weights(e)[k].second.mutable_data_ptr());
    }
    constexpr int64_t piece = 1 << 14;
    for (int64_t begin = 0; begin < weight.numel(); begin += piece)
      pieces.push_back({parts.size(), begin, std::min(piece, weight.numel() - begin)});
    parts.push_back(p);
    rates.push_back(r);
  }

  const auto update = for_this_cpu<update_kernels::Update>(
      update_kernels::update_portable, update_kernels::update_avx2, update_kernels::update_avx512);
  parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      update_kernels::Parts p = parts[piece.parameter];
      p.weight += piece.begin;
      p.grad += piece.begin;
      p.exp_avg += piece.begin;
      p.exp_avg_sq += piece.begin;
      for (size_t e = 0; e < averages; ++e) p.average[e] += piece.begin;
      update(p, piece.size, rates[piece.parameter]);
    }
  });
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
