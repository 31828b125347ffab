#include "edm2/nn/layers.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numbers>

#include "nn/fused_layers.h"
#include "nn/fused_ops.h"

namespace edm2 {
namespace {

/// float16 and bfloat16 on the CPU, where the original does not go: some of libtorch's kernels are
/// many times slower there than an equal way round them.
bool is_reduced_on_cpu(const Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16);
}

// In inference an image must come out the same, to the last bit, whatever batch it is in.
// libtorch's matrix product rounds differently for different numbers of rows, so rows are taken one
// by one.
Tensor linear_by_row(const Tensor& x, const Tensor& w) {
  std::vector<Tensor> rows;
  for (const Tensor& row : x.unbind(0)) rows.push_back(at::mv(w, row));
  return at::stack(rows);
}

}  // namespace

Tensor normalize(const Tensor& x, at::OptionalIntArrayRef dims, double eps) {
  std::vector<int64_t> all_but_first(static_cast<size_t>(x.dim() - 1));
  for (size_t i = 0; i < all_but_first.size(); ++i) all_but_first[i] = static_cast<int64_t>(i) + 1;
  const at::IntArrayRef reduced = dims.has_value() ? *dims : at::IntArrayRef(all_but_first);

  const Tensor wide = is_reduced_on_cpu(x) ? x.to(at::kFloat) : x;
  Tensor norm = at::linalg_vector_norm(wide, 2, reduced, /*keepdim=*/true, at::kFloat);
  const double alpha =
      std::sqrt(static_cast<double>(norm.numel()) / static_cast<double>(x.numel()));
  // add(eps, norm, alpha) fuses the multiply-add; norm.mul(alpha).add(eps) would round differently.
  norm = at::add(at::scalar_tensor(eps, at::kDouble), norm, alpha);
  return x / norm.to(x.scalar_type());
}

Tensor resample(const Tensor& x, const std::vector<double>& filter, Resample mode) {
  if (mode == Resample::keep) return x;
  if (is_fused(x) && filter == std::vector<double>{1, 1}) return resample_box(x, mode);
  if (is_reduced_on_cpu(x) && filter == std::vector<double>{1, 1})
    return mode == Resample::down
               ? at::avg_pool2d(x, 2)
               : at::upsample_nearest2d(x, at::IntArrayRef{2 * x.size(2), 2 * x.size(3)});
  const auto length = static_cast<int64_t>(filter.size());
  const int64_t pad = (length - 1) / 2;
  const int64_t channels = x.size(1);
  Tensor f = at::empty({length}, at::kFloat);
  for (int64_t i = 0; i < length; ++i)
    f.data_ptr<float>()[i] = static_cast<float>(filter[static_cast<size_t>(i)]);
  f = f / f.sum();
  f = at::outer(f, f).reshape({1, 1, length, length}).to(x.options());
  if (mode == Resample::down)
    return at::conv2d(x, f.tile({channels, 1, 1, 1}), {}, 2, pad, 1, channels);
  return at::conv_transpose2d(x, (f * 4).tile({channels, 1, 1, 1}), {}, 2, pad, 0, channels);
}

Tensor mp_silu(const Tensor& x) { return at::silu(x).div(0.596); }

Tensor mp_sum(const Tensor& a, const Tensor& b, double t) {
  return at::lerp(a, b, t).div(std::sqrt((1 - t) * (1 - t) + t * t));
}

std::pair<double, double> mp_cat_weights(int64_t channels_a, int64_t channels_b, double t) {
  const auto a = static_cast<double>(channels_a), b = static_cast<double>(channels_b);
  const double c = std::sqrt((a + b) / ((1 - t) * (1 - t) + t * t));
  return {c / std::sqrt(a) * (1 - t), c / std::sqrt(b) * t};
}

Tensor mp_cat(const Tensor& a, const Tensor& b, double t) {
  const auto [weight_a, weight_b] = mp_cat_weights(a.size(1), b.size(1), t);
  return at::cat({a.mul(weight_a), b.mul(weight_b)}, 1);
}

MPFourier::MPFourier(int64_t channels, Init init) {
  if (init == Init::random) {
    freqs_ = at::randn({channels}).mul(2 * std::numbers::pi);
    phases_ = at::rand({channels}).mul(2 * std::numbers::pi);
  } else {
    freqs_ = at::empty({channels}, at::kFloat);
    phases_ = at::empty({channels}, at::kFloat);
  }
}

Tensor MPFourier::forward(const Tensor& x) const {
  Tensor y = at::ger(x.to(at::kFloat), freqs_.to(at::kFloat)) + phases_.to(at::kFloat);
  return y.cos().mul(std::numbers::sqrt2).to(x.scalar_type());
}

void MPFourier::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({prefix + ".freqs", &freqs_, true});
  out.push_back({prefix + ".phases", &phases_, true});
}

Tensor effective_weight(const Tensor& weight) {
  const auto fan_in = static_cast<double>(weight[0].numel());
  return normalize(weight.to(at::kFloat)).mul(1.0 / std::sqrt(fan_in));
}

Tensor effective_weight(const Tensor& weight, const Tensor& gain) {
  const auto fan_in = static_cast<double>(weight[0].numel());
  // The quotient keeps the gain's dtype: a float16 snapshot rounds it to float16, as the original
  // does.
  return normalize(weight.to(at::kFloat)).mul(gain.div(std::sqrt(fan_in)));
}

MPConv::MPConv(int64_t in_channels, int64_t out_channels, int64_t kernel, Init init) {
  std::vector<int64_t> shape = {out_channels, in_channels};
  if (kernel > 0) shape.insert(shape.end(), {kernel, kernel});
  weight_ = init == Init::random ? at::randn(shape) : at::empty(shape, at::kFloat);
}

Tensor MPConv::weight_for(const Tensor& x, const Tensor& gain, const ForwardContext& context) {
  if (context.folded) return weight_;
  if (is_fused(x) && weight_.scalar_type() == at::kFloat)
    return training_weight(weight_, gain, context.training, x.scalar_type());
  if (context.training) {
    c10::NoGradGuard no_grad;
    weight_.copy_(normalize(weight_));
  }
  return gain.defined() ? effective_weight(weight_, gain) : effective_weight(weight_);
}

Tensor MPConv::apply(const Tensor& x, const Tensor& weight) const {
  const Tensor w = weight.to(x.scalar_type());
  const bool keep_batches_apart = x.is_cpu() && !c10::GradMode::is_enabled();
  if (w.dim() == 2) return keep_batches_apart ? linear_by_row(x, w) : x.matmul(w.t());
  const int64_t padding = w.size(-1) / 2;
  if (keep_batches_apart) return inference_conv2d(x, w, {}, 1, {padding, padding});
  return at::conv2d(x, w, {}, 1, padding);
}

Tensor MPConv::forward(const Tensor& x, const ForwardContext& context) {
  return apply(x, weight_for(x, {}, context));
}

Tensor MPConv::forward(const Tensor& x, const Tensor& gain, const ForwardContext& context) {
  return apply(x, weight_for(x, gain, context));
}

void MPConv::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({prefix + ".weight", &weight_, false});
}

}  // namespace edm2
