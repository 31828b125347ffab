#include "engine/folded_network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/parallel.h"
#include "edm2/core/error.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/layers.h"
#include "nn/fused_kernels.h"

namespace edm2 {
namespace {

constexpr double silu_scale = 1 / 0.596;

/// The two weights of mp_sum.
std::pair<double, double> mp_sum_weights(double t) {
  const double norm = std::sqrt((1 - t) * (1 - t) + t * t);
  return {(1 - t) / norm, t / norm};
}

/// As the snapshot's tensors have it.
std::string layer_name(const LayerPlan& plan) {
  return (plan.encodes() ? "unet.enc." : "unet.dec.") + plan.name;
}

/// Calls body(first, last) for ranges of the rows of w, each worth a thread.
template <class Body>
void for_rows(const Tensor& w, const Body& body) {
  parallel_for(0, w.size(0), std::max<int64_t>(8192 / w[0].numel(), 1), body);
}

}  // namespace

Tensor FoldedWeight::row_factors() const {
  if (normalized) return at::full({stored.size(0)}, factor, at::kFloat);
  const bool half = stored.scalar_type() == at::kHalf;
  const Tensor rows = (half ? stored : stored.to(at::kFloat)).contiguous();
  const Tensor factors = at::empty({rows.size(0)}, at::kFloat);
  const int64_t size = rows[0].numel();
  for_rows(rows, [&](int64_t begin, int64_t end) {
    const auto& kernels = fused_kernels::best();
    float* to = factors.mutable_data_ptr<float>() + begin;
    if (half)
      kernels.row_factors_of_half(static_cast<const Half*>(rows.const_data_ptr()) + begin * size,
                                  end - begin, size, factor, to);
    else
      kernels.row_factors(rows.const_data_ptr<float>() + begin * size, end - begin, size, factor,
                          to);
  });
  return factors;
}

Tensor FoldedWeight::tensor() const {
  const Tensor from = stored.to(at::kFloat).contiguous();
  const auto order =
      from.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  if (normalized) return from.mul(factor).contiguous(order);
  const Tensor to = at::empty(from.sizes(), at::TensorOptions(at::kFloat).memory_format(order));
  const int64_t row = from[0].numel(), in_channels = from.size(1);
  // Written to only where rows are to be normalised in place.
  auto* rows = const_cast<float*>(from.const_data_ptr<float>());
  auto* out = to.mutable_data_ptr<float>();
  for_rows(from, [&](int64_t begin, int64_t end) {
    fused_kernels::best().f32.effective_weight(rows + begin * row, end - begin, in_channels,
                                               row / in_channels,
                                               /*force=*/false, factor, out + begin * row);
  });
  return to;
}

NetworkFolder::NetworkFolder(StoredSnapshot snapshot)
    : snapshot_(std::move(snapshot)), plan_(plan_network(snapshot_.description().network)) {}

Tensor NetworkFolder::take(const std::string& name) {
  Tensor tensor = snapshot_.take(name);
  if (!all_finite(tensor)) throw NotFiniteError(name);
  return tensor;
}

/// What the layer multiplies with, times factor.
FoldedWeight NetworkFolder::weight(const std::string& layer, double factor, const Tensor& gain) {
  FoldedWeight result{take(layer + ".weight"), snapshot_.description().folded};
  if (!snapshot_.description().folded) {
    const double root = std::sqrt(static_cast<double>(result.stored[0].numel()));
    // The quotient keeps the gain's type: a float16 snapshot rounds it to float16, as the original.
    factor *= gain.defined() ? gain.div(root).item<double>() : 1 / root;
  }
  result.factor = static_cast<float>(factor);
  return result;
}

FoldedEmbedding NetworkFolder::embedding() {
  const c10::NoGradGuard no_grad;
  const NetworkOptions& options = snapshot_.description().network;
  FoldedEmbedding result;
  result.fourier_freqs = take("unet.emb_fourier.freqs").to(at::kFloat);
  result.fourier_phases = take("unet.emb_fourier.phases").to(at::kFloat);
  result.noise = weight("unet.emb_noise").tensor();
  if (options.label_dim > 0) {
    const auto [noise, label] = mp_sum_weights(options.label_balance);
    result.weight_noise = noise;
    result.label =
        weight("unet.emb_label", std::sqrt(static_cast<double>(options.label_dim)) * label)
            .tensor();
  }
  result.layers = at::empty({plan_.modulations, plan_.emb_channels}, at::kFloat);
  for (const LayerPlan& plan : plan_.layers) {
    if (plan.is_conv) continue;
    const std::string name = layer_name(plan);
    result.layers.narrow(0, plan.modulation, plan.out_channels)
        .copy_(weight(name + ".emb_linear", 1, take(name + ".emb_gain")).tensor());
  }
  return result;
}

FoldedBlock NetworkFolder::block(const LayerPlan& plan) {
  const c10::NoGradGuard no_grad;
  const NetworkOptions& options = snapshot_.description().network;
  const std::string name = layer_name(plan);
  FoldedBlock block;
  block.plan = plan;
  if (plan.is_conv) {
    block.conv = weight(name);
    return block;
  }
  const auto [keep, add] = mp_sum_weights(options.res_balance);
  const auto [keep_x, add_attention] =
      plan.num_heads > 0 ? mp_sum_weights(options.attn_balance) : std::pair(1.0, 0.0);
  block.keep = keep * keep_x;
  block.res0 = weight(name + ".conv_res0", silu_scale);
  block.res1 = weight(name + ".conv_res1", silu_scale * add * keep_x);
  if (plan.in_channels != plan.out_channels)
    block.skip = weight(name + ".conv_skip", plan.encodes() ? 1 : block.keep);
  if (plan.takes_skip)
    std::tie(block.cat_x, block.cat_skip) = mp_cat_weights(
        plan.in_channels - plan.skip_channels, plan.skip_channels, options.concat_balance);
  if (plan.num_heads > 0) {
    // [heads, depth, 3] -> [3, heads, depth]
    const int64_t channels = plan.out_channels, heads = plan.num_heads;
    block.qkv = weight(name + ".attn_qkv", 1 / keep_x);
    block.qkv.stored = block.qkv.stored.reshape({heads, channels / heads, 3, channels, 1, 1})
                           .permute({2, 0, 1, 3, 4, 5})
                           .reshape({3 * channels, channels, 1, 1});
    block.proj = weight(name + ".attn_proj", add_attention);
  }
  return block;
}

FoldedWeight NetworkFolder::out_conv() {
  const c10::NoGradGuard no_grad;
  return weight("unet.out_conv", 1, take("unet.out_gain"));
}

bool can_fold(const NetworkOptions& options) {
  return std::abs(1 - options.attn_balance) > 1e-3 && options.resample_filter.size() == 2 &&
         options.resample_filter[0] == options.resample_filter[1];
}

Tensor phase_weights(const Tensor& w) {
  // Rows 2 i - 1, 2 i, 2 i + 1 of the large image are rows i - 1, i, i of the small one, for phase
  // 0; rows 2 i, 2 i + 1, 2 i + 2 are i, i, i + 1, for phase 1.
  const auto fold = [](const Tensor& x, int64_t dim, int64_t phase) {
    const Tensor a = x.narrow(dim, 0, 1), b = x.narrow(dim, 1, 1), c = x.narrow(dim, 2, 1);
    return phase == 0 ? at::cat({a, b + c}, dim) : at::cat({a + b, c}, dim);
  };
  std::vector<Tensor> phases;
  for (int64_t py = 0; py < 2; ++py)
    for (int64_t px = 0; px < 2; ++px) phases.push_back(fold(fold(w, 2, py), 3, px));
  return at::cat(phases);
}

}  // namespace edm2
