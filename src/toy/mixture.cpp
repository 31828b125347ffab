#include "edm2/toy/mixture.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/parallel.h"
#include "edm2/core/cpu.h"
#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "toy/mixture_kernels.h"

namespace edm2::toy {
namespace {

using Vector = std::array<double, 2>;

constexpr Vector origin = {0.0030, 0.0325}, scale = {1.3136, 1.3844};
constexpr int deepest = 7;               // levels of branches
constexpr int gaussians_per_branch = 8;  // beads on a branch
constexpr double first_bead = 0.07, last_bead = 0.93;
constexpr int64_t table_size = 1 << 16;

struct Component {
  double weight;
  Vector mean;
  std::array<double, 4> covariance;  // row by row
};

// Grows one class: a branch is a row of Gaussians and ends in two smaller branches.
class Tree {
 public:
  explicit Tree(NumpyRandom& random) : random_(random) {}

  void grow(double angle, int depth = 0, Vector from = origin) {
    if (depth >= deepest) return;
    const Vector direction = {std::cos(angle), std::sin(angle)};
    const double shrink = std::pow(0.8, depth);
    const double length = 0.292 * shrink * (random_.normal() * 0.2 + 1);
    const double thickness = 0.2 * shrink / length;
    const Vector size = {scale[0] * length * 0.06, scale[1] * length * 0.06};
    for (int i = 0; i < gaussians_per_branch; ++i) {
      const double t = first_bead + (last_bead - first_bead) * i / (gaussians_per_branch - 1);
      add_bead(from, direction, length * t, thickness, size, length * std::pow(0.5, depth));
    }
    const Vector end = {from[0] + direction[0] * length, from[1] + direction[1] * length};
    for (const double sign : {1.0, -1.0}) {
      const double turn = std::pow(0.7, depth) * (random_.normal() * 0.2 + 1);
      grow(angle + sign * turn, depth + 1, end);
    }
  }

  std::vector<Component> components;

 private:
  void add_bead(Vector from, Vector direction, double distance, double thickness, Vector size,
                double weight) {
    Component bead{weight, {}, {}};
    for (size_t i = 0; i < 2; ++i) {
      bead.mean[i] = (from[i] + direction[i] * distance) * scale[i];
      for (size_t j = 0; j < 2; ++j) {
        const double along = direction[i] * direction[j];
        const double across = (i == j ? 1.0 : 0.0) - along;
        bead.covariance[2 * i + j] = (along + across * thickness * thickness) * size[i] * size[j];
      }
    }
    components.push_back(bead);
  }

  NumpyRandom& random_;
};

// Both classes come from one stream of random numbers, so A is grown even if only B is wanted.
std::vector<Component> grow_classes(const std::string& classes) {
  const auto wanted = [&](char letter) { return classes.find(letter) != std::string::npos; };
  if (classes.empty() || classes.find_first_not_of("AB") != std::string::npos)
    throw UsageError("'" + classes + "' is not one of A, B, AB.");
  NumpyRandom random(2);
  std::vector<Component> result;
  for (const auto& [letter, angle] : {std::pair{'A', 0.25}, {'B', 1.25}}) {
    Tree tree(random);
    tree.grow(std::numbers::pi * angle);
    if (wanted(letter)) result.insert(result.end(), tree.components.begin(), tree.components.end());
  }
  return result;
}

mixture_kernels::Density choose_kernel() {
#if defined(__x86_64__)
  if (cpu_level() >= CpuLevel::avx2) return mixture_kernels::density_avx2;
#endif
  return mixture_kernels::density_portable;
}

Tensor one_each(const Tensor& sigma, int64_t count) {
  return sigma.to(at::kFloat).expand({count}).contiguous();
}

}  // namespace

Mixture::Mixture(const std::string& classes) {
  const std::vector<Component> components = grow_classes(classes);
  const auto count = static_cast<int64_t>(components.size());
  const auto float64 = at::TensorOptions().dtype(at::kDouble);
  Tensor weights = at::empty({count}, float64), means = at::empty({count, 2}, float64),
         covariances = at::empty({count, 2, 2}, float64);
  for (int64_t k = 0; k < count; ++k) {
    const Component& component = components[static_cast<size_t>(k)];
    weights.data_ptr<double>()[k] = component.weight;
    std::copy_n(component.mean.data(), 2, means.data_ptr<double>() + 2 * k);
    std::copy_n(component.covariance.data(), 4, covariances.data_ptr<double>() + 4 * k);
  }
  weights_ = (weights / weights.sum()).to(at::kFloat);
  means_ = means.to(at::kFloat);
  covariances_ = covariances.to(at::kFloat);
  std::tie(variances_, axes_) = at::linalg_eigh(covariances_);

  const Tensor ends = (weights_.cumsum(0) * table_size + 0.5).to(at::kLong);  // truncates
  table_begin_ = at::cat({at::zeros({1}, at::kLong), ends.slice(0, 0, -1)});
  table_ = at::zeros({table_size}, at::kLong);
  for (int64_t k = 0; k < count; ++k) {
    const int64_t begin = table_begin_[k].item<int64_t>();
    const int64_t end = std::min(ends[k].item<int64_t>(), table_size);
    if (begin < end) table_.slice(0, begin, end).fill_(k);
  }

  const int64_t padding =
      (mixture_kernels::lanes - count % mixture_kernels::lanes) % mixture_kernels::lanes;
  const auto padded = [&](const Tensor& row) {
    return at::cat({row, row.slice(0, 0, 1).expand({padding})});
  };
  const Tensor flat = axes_.contiguous();  // [K, component, axis]
  kernels_ =
      at::stack({at::cat({weights_ / (2 * std::numbers::pi), at::zeros({padding})}),
                 padded(means_.select(1, 0)), padded(means_.select(1, 1)),
                 padded(variances_.select(1, 0)), padded(variances_.select(1, 1)),
                 padded(flat.select(1, 0).select(1, 0)), padded(flat.select(1, 1).select(1, 0)),
                 padded(flat.select(1, 0).select(1, 1)), padded(flat.select(1, 1).select(1, 1))})
          .contiguous();
}

Mixture::Density Mixture::density(const Tensor& x, const Tensor& sigma) const {
  const int64_t count = x.size(0);
  const Tensor points = x.detach().to(at::kFloat).contiguous(), sigmas = one_each(sigma, count);
  Density result{at::empty({count}), at::empty({count, 2})};
  const mixture_kernels::Density kernel = choose_kernel();
  const int64_t components = kernels_.size(1);
  parallel_for(0, count, 32, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(4 * components));
    const auto row = [&](int64_t i) { return kernels_.const_data_ptr<float>() + i * components; };
    kernel({components, row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7), row(8),
            scratch.data()},
           points.const_data_ptr<float>() + 2 * begin, sigmas.const_data_ptr<float>() + begin,
           end - begin, result.log_density.data_ptr<float>() + begin,
           result.score.data_ptr<float>() + 2 * begin);
  });
  return result;
}

Tensor Mixture::sample(int64_t count, const Tensor& sigma,
                       std::optional<at::Generator> generator) const {
  const Tensor chosen = table_.index({at::randint(table_size, {count}, generator, at::kLong)});
  const Tensor variances =
      variances_.index({chosen}) + one_each(sigma, count).square().unsqueeze(1);  // [N,2]
  const Tensor normal = at::randn({count, 2}, generator, at::TensorOptions(at::kFloat));
  const Tensor axes = axes_.index({chosen});                         // [N,2,2]
  Tensor y = at::matmul(axes.transpose(1, 2), normal.unsqueeze(2));  // [N,2,1]
  y = at::matmul(axes, y * variances.sqrt().unsqueeze(2));
  return y.squeeze(2) + means_.index({chosen});
}

}  // namespace edm2::toy
