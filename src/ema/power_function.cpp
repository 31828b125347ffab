#include "edm2/ema/power_function.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "core/cpu_choice.h"
#include "core/parallel.h"
#include "edm2/core/error.h"
#include "ema/average_kernels.h"

namespace edm2 {
namespace {

bool is_plain(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

/// A part of a tensor and of its averages, which one thread takes.
struct Piece {
  const float* value;
  average_kernels::Averages averages;
  int64_t size;
};

void add_pieces(const Tensor& value, const average_kernels::Averages& averages,
                std::vector<Piece>& pieces) {
  constexpr int64_t size = 1 << 14;
  for (int64_t begin = 0; begin < value.numel(); begin += size) {
    Piece piece{value.const_data_ptr<float>() + begin, averages,
                std::min(size, value.numel() - begin)};
    for (int i = 0; i < averages.count; ++i) piece.averages.average[i] += begin;
    pieces.push_back(piece);
  }
}

}  // namespace

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

PowerFunctionEma::PowerFunctionEma(const StateDict& weights, std::vector<double> stds,
                                   std::set<std::string> buffers)
    : stds_(std::move(stds)), buffers_(std::move(buffers)) {
  for (size_t i = 0; i < stds_.size(); ++i) {
    StateDict copy;
    for (const auto& [name, tensor] : weights) copy.emplace_back(name, tensor.detach().clone());
    copies_.push_back(std::move(copy));
  }
}

bool PowerFunctionEma::is_averaged(const std::string& name, const Tensor& tensor) const {
  return at::isFloatingType(tensor.scalar_type()) && !buffers_.contains(name);
}

void PowerFunctionEma::update(const StateDict& weights, int64_t t_next, int64_t batch_size) {
  c10::NoGradGuard no_grad;
  if (stds_.empty()) return;
  std::vector<double> rates;  // 1 - beta
  for (size_t i = 0; i < stds_.size(); ++i) {
    TORCH_CHECK(weights.size() == copies_[i].size(), "EMA: the network has other tensors now");
    rates.push_back(1 - power_function_beta(stds_[i], t_next, batch_size));
  }
  std::vector<Piece> pieces;
  for (size_t k = 0; k < weights.size(); ++k) {
    const auto& [name, value] = weights[k];
    TORCH_CHECK(copies_.front()[k].first == name,
                "EMA: the network has its tensors in another order");
    if (!is_averaged(name, copies_.front()[k].second)) continue;
    average_kernels::Averages averages{};
    bool plain = is_plain(value) && stds_.size() <= average_kernels::max_averages;
    for (size_t i = 0; i < stds_.size() && plain; ++i) {
      const Tensor& average = copies_[i][k].second;
      plain = is_plain(average) && average.sizes() == value.sizes();
      averages.average[i] = plain ? average.mutable_data_ptr<float>() : nullptr;
      averages.lerp[i] = static_cast<float>(rates[i]);
    }
    averages.count = static_cast<int>(stds_.size());
    if (plain)
      add_pieces(value, averages, pieces);
    else
      for (size_t i = 0; i < stds_.size(); ++i) copies_[i][k].second.lerp_(value, rates[i]);
  }
  using namespace average_kernels;
  const auto update = for_this_cpu<Update>(update_portable, update_avx2, update_avx512);
  parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      update(piece.value, piece.averages, piece.size);
    }
  });
}

void PowerFunctionEma::copy_buffers(const StateDict& weights) {
  c10::NoGradGuard no_grad;
  for (auto& copy : copies_) {
    TORCH_CHECK(weights.size() == copy.size(), "EMA: the network has other tensors now");
    for (size_t k = 0; k < weights.size(); ++k)
      if (!is_averaged(copy[k].first, copy[k].second)) copy[k].second.copy_(weights[k].second);
  }
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

}  // namespace edm2
