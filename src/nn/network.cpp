#include "edm2/nn/network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <functional>

#include "edm2/core/error.h"
#include "edm2/nn/state_layout.h"
#include "nn/fused_ops.h"
#include "nn/unet_plan.h"

namespace edm2 {
namespace {

/// Replaces every tensor by what `convert` makes of it; gradients are dropped, requires_grad stays.
void convert_all(const std::vector<NamedTensor>& tensors,
                 const std::function<Tensor(const Tensor&)>& convert) {
  for (const auto& entry : tensors) {
    const bool grad = entry.tensor->requires_grad();
    *entry.tensor = convert(entry.tensor->detach()).requires_grad_(grad);
  }
}

/// at::dropout(y, p, true), drawn in the original's order of elements whatever y's order is.
Tensor dropout(const Tensor& y, double p) {
  if (!is_fused(y)) return at::dropout(y, p, true);
  const Tensor mask = at::empty(y.sizes(), y.options()).bernoulli_(1 - p).div_(1 - p);
  return y * mask.contiguous(y.suggest_memory_format());
}

}  // namespace

Block::Block(const BlockPlan& plan, bool encoder, int64_t emb_channels,
             const NetworkOptions& options, Init init)
    : encoder_(encoder),
      resample_(plan.resample),
      num_heads_(plan.num_heads),
      resample_filter_(options.resample_filter),
      dropout_(options.dropout),
      concat_balance_(options.concat_balance),
      res_balance_(options.res_balance),
      attn_balance_(options.attn_balance),
      clip_act_(options.clip_act),
      emb_gain_(at::zeros({}, at::kFloat)),
      conv_res0_(encoder ? plan.out_channels : plan.in_channels, plan.out_channels, 3, init),
      emb_linear_(emb_channels, plan.out_channels, 0, init),
      conv_res1_(plan.out_channels, plan.out_channels, 3, init) {
  const int64_t out = plan.out_channels;
  if (plan.in_channels != out) conv_skip_.emplace(plan.in_channels, out, 1, init);
  if (num_heads_ > 0) {
    attn_qkv_.emplace(out, 3 * out, 1, init);
    attn_proj_.emplace(out, out, 1, init);
  }
}

Tensor Block::forward(Tensor x, const Tensor& skip, const Tensor& emb,
                      const ForwardContext& context) {
  x = resample(x, resample_filter_, resample_);                     // [N, Cin, H, W]
  if (encoder_ && conv_skip_) x = conv_skip_->forward(x, context);  // [N, Cout, H, W]

  // Residual branch, modulated by the embedding.
  Tensor y;
  if (encoder_)
    std::tie(x, y) = pixel_norm_with_silu(x);
  else if (skip.defined())
    std::tie(x, y) = mp_cat_with_silu(x, skip, concat_balance_);
  else
    std::tie(x, y) = with_silu(x);
  y = conv_res0_.forward(y, context);                                    // [N, Cout, H, W]
  const Tensor c = emb_linear_.forward(emb, emb_gain_, context).add(1);  // [N, Cout]
  y = modulated_silu(y, c);
  if (context.training && dropout_ != 0)
    y = context.dropout ? context.dropout(y, dropout_) : dropout(y, dropout_);
  y = conv_res1_.forward(y, context);

  if (!encoder_ && conv_skip_) x = conv_skip_->forward(x, context);
  if (num_heads_ == 0) return mp_sum_clip(x, y, res_balance_, clip_act_);
  x = mp_sum(x, y, res_balance_);
  return mp_sum_clip(x, attention(x, context), attn_balance_, clip_act_);
}

Tensor Block::attention(const Tensor& x, const ForwardContext& context) {
  const int64_t n = x.size(0), h = num_heads_, d = x.size(1) / h, pixels = x.size(2) * x.size(3);
  Tensor y = attn_qkv_->forward(x, context);
  if (is_fused(y)) {
    const auto [q, k, v] = split_qkv(y, h);  // each [N * h, HW, d], normalised
    const Tensor w = at::bmm(q, k.transpose(1, 2)).softmax(2);
    y = at::bmm(w, v).reshape({n, h, pixels, d}).transpose(1, 2);  // [N, HW, h, d]
    y = y.reshape({n, x.size(2), x.size(3), h * d}).permute({0, 3, 1, 2});
    return attn_proj_->forward(y, context);
  }
  y = y.reshape({n, h, d, 3, pixels});
  const auto qkv = normalize(y, at::IntArrayRef{2}).unbind(3);  // each [N, h, d, HW]
  const Tensor &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const Tensor w =
      at::einsum("nhcq,nhck->nhqk", {q, k.div(std::sqrt(static_cast<double>(d)))}).softmax(3);
  y = at::einsum("nhqk,nhck->nhcq", {w, v});
  return attn_proj_->forward(y.reshape(x.sizes()), context);
}

void Block::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({prefix + ".emb_gain", &emb_gain_, false});
  conv_res0_.collect(prefix + ".conv_res0", out);
  emb_linear_.collect(prefix + ".emb_linear", out);
  conv_res1_.collect(prefix + ".conv_res1", out);
  if (conv_skip_) conv_skip_->collect(prefix + ".conv_skip", out);
  if (attn_qkv_) attn_qkv_->collect(prefix + ".attn_qkv", out);
  if (attn_proj_) attn_proj_->collect(prefix + ".attn_proj", out);
}

UNet::UNet(const NetworkOptions& options, Init init) : UNet(options, plan_unet(options), init) {}

UNet::UNet(const NetworkOptions& options, const UNetPlan& plan, Init init)
    : label_dim_(options.label_dim),
      label_balance_(options.label_balance),
      out_gain_(at::zeros({}, at::kFloat)),
      emb_fourier_(plan.noise_channels, init),
      emb_noise_(plan.noise_channels, plan.emb_channels, 0, init),
      emb_label_(label_dim_ > 0
                     ? std::optional<MPConv>(std::in_place, label_dim_, plan.emb_channels, 0, init)
                     : std::nullopt),
      encoder_([&] {
        std::vector<EncoderLayer> layers;
        for (const auto& block : plan.encoder) {
          layers.push_back({block.name, std::nullopt, std::nullopt});
          if (block.is_conv)
            layers.back().conv.emplace(block.in_channels, block.out_channels, 3, init);
          else
            layers.back().block.emplace(block, true, plan.emb_channels, options, init);
        }
        return layers;
      }()),
      decoder_([&] {
        std::vector<DecoderLayer> layers;
        for (const auto& block : plan.decoder)
          layers.push_back({block.name, block.takes_skip,
                            Block(block, false, plan.emb_channels, options, init)});
        return layers;
      }()),
      out_conv_(plan.out_channels, options.img_channels, 3, init) {}

Tensor UNet::embed(const Tensor& noise_labels, const Tensor& labels,
                   const ForwardContext& context) {
  Tensor features = emb_fourier_.forward(noise_labels);  // [M, noise_channels]
  context.report("unet.emb_fourier", features);
  Tensor emb = emb_noise_.forward(features, context);  // [M, E]
  context.report("unet.emb_noise", emb);
  if (emb_label_) {
    const Tensor label_emb = emb_label_->forward(
        labels.mul(std::sqrt(static_cast<double>(label_dim_))), context);  // [N, E]
    context.report("unet.emb_label", label_emb);
    emb = mp_sum(emb, label_emb, label_balance_);
  }
  return mp_silu(emb);
}

Tensor UNet::forward(Tensor x, const Tensor& noise_labels, const Tensor& labels,
                     const ForwardContext& context) {
  const Tensor emb = embed(noise_labels, labels, context);

  x = at::cat({x, at::ones_like(x.narrow(1, 0, 1))}, 1);  // the constant channel
  std::vector<Tensor> skips;
  for (auto& layer : encoder_) {
    x = layer.conv ? layer.conv->forward(x, context) : layer.block->forward(x, {}, emb, context);
    context.report("unet.enc." + layer.name, x);
    skips.push_back(x);
  }
  for (auto& layer : decoder_) {
    Tensor skip;
    if (layer.takes_skip) {
      skip = skips.back();
      skips.pop_back();
    }
    x = layer.block.forward(x, skip, emb, context);
    context.report("unet.dec." + layer.name, x);
  }
  x = out_conv_.forward(x, out_gain_, context);
  context.report("unet.out_conv", x);
  context.report("unet", x);
  return x;
}

void UNet::collect(const std::string& prefix, std::vector<NamedTensor>& out) {
  out.push_back({prefix + ".out_gain", &out_gain_, false});
  emb_fourier_.collect(prefix + ".emb_fourier", out);
  emb_noise_.collect(prefix + ".emb_noise", out);
  if (emb_label_) emb_label_->collect(prefix + ".emb_label", out);
  for (auto& layer : encoder_) {
    if (layer.conv)
      layer.conv->collect(prefix + ".enc." + layer.name, out);
    else
      layer.block->collect(prefix + ".enc." + layer.name, out);
  }
  for (auto& layer : decoder_) layer.block.collect(prefix + ".dec." + layer.name, out);
  out_conv_.collect(prefix + ".out_conv", out);
}

Precond::Precond(const NetworkOptions& options, Init init)
    : options_((validate(options), options)), unet_(options_, init) {
  if (!options_.has_logvar) return;
  logvar_fourier_.emplace(options_.logvar_channels, init);
  logvar_linear_.emplace(options_.logvar_channels, 1, 0, init);
}

Precond::Precond(const Snapshot& snapshot) : Precond(snapshot.network, Init::none) {
  for (auto& [name, tensor, is_buffer] : named_tensors()) {
    Tensor stored = find_tensor(snapshot.tensors, name);
    if (!stored.defined()) throw Error("the snapshot lacks the parameter '" + name + "'");
    TORCH_CHECK(stored.sizes() == tensor->sizes(), "[Precond] shape of ", name);
    *tensor = std::move(stored);
  }
  context.folded = snapshot.folded;
}

c10::Device Precond::device() const {
  // named_tensors() hands out mutable pointers; asking for the device changes nothing.
  return const_cast<Precond*>(this)->named_tensors().front().tensor->device();
}

Precond::Output Precond::forward(const Tensor& x_in, const Tensor& sigma_in, const Tensor& labels,
                                 bool return_logvar) {
  TORCH_CHECK(!context.folded || !context.training, "[Precond] folded weights cannot be trained");
  const Tensor x = x_in.to(at::kFloat);                                 // [N, C, R, R]
  const Tensor sigma = sigma_in.to(at::kFloat).reshape({-1, 1, 1, 1});  // [N or 1, 1, 1, 1]
  Tensor class_labels;                                                  // [N or 1, K] or none
  if (options_.label_dim > 0)
    class_labels = labels.defined() ? labels.to(at::kFloat).reshape({-1, options_.label_dim})
                                    : at::zeros({1, options_.label_dim}, x.options());
  const auto dtype = activation_dtype(precision, options_.use_fp16, x.device());

  const double sd = options_.sigma_data;
  const Tensor variance = sigma.pow(2) + sd * sd;
  const Tensor c_skip = variance.reciprocal().mul(sd * sd);
  const Tensor c_out = sigma.mul(sd) / variance.sqrt();
  const Tensor c_in = variance.sqrt().reciprocal();
  const Tensor c_noise = sigma.flatten().log().div(4);

  Tensor scaled = (c_in * x).to(dtype);
  // Training and half precision on the CPU are much faster in channels-last order. Inference in
  // float32 keeps the original's order, and with it its rounding.
  if (x.is_cpu() && (dtype != at::kFloat || is_fused(scaled)))
    scaled = scaled.contiguous(at::MemoryFormat::ChannelsLast);
  const Tensor f = unet_.forward(scaled, c_noise, class_labels, context);
  Output output;
  output.denoised = c_skip * x + c_out * f.to(at::kFloat);
  if (return_logvar) {
    if (!logvar_linear_)
      throw Error("the network has no uncertainty head (logvar_*), which training needs");
    output.logvar =
        logvar_linear_->forward(logvar_fourier_->forward(c_noise), context).reshape({-1, 1, 1, 1});
  }
  context.report("", output.denoised);
  return output;
}

Tensor Precond::denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) {
  c10::NoGradGuard no_grad;
  return forward(x, sigma, labels).denoised;
}

std::vector<NamedTensor> Precond::named_tensors() {
  std::vector<NamedTensor> out;
  unet_.collect("unet", out);
  if (!logvar_linear_) return out;
  logvar_fourier_->collect("logvar_fourier", out);
  logvar_linear_->collect("logvar_linear", out);
  return out;
}

std::vector<NamedTensor> Precond::named_parameters() {
  std::vector<NamedTensor> out = named_tensors();
  std::erase_if(out, [](const NamedTensor& entry) { return entry.is_buffer; });
  return out;
}

int64_t Precond::num_parameters() {
  int64_t count = 0;
  for (const auto& entry : named_parameters()) count += entry.tensor->numel();
  return count;
}

StateDict Precond::state_dict() {
  StateDict state;
  for (const auto& entry : named_tensors()) state.emplace_back(entry.name, entry.tensor->detach());
  return state;
}

void Precond::load_state_dict(const StateDict& state) {
  c10::NoGradGuard no_grad;
  const auto own = named_tensors();
  for (const auto& entry : own) {
    const Tensor value = find_tensor(state, entry.name);
    if (!value.defined()) throw Error("the state lacks the parameter '" + entry.name + "'");
    if (value.sizes() != entry.tensor->sizes())
      throw Error("the parameter '" + entry.name + "' has another shape than the network's");
    entry.tensor->copy_(value);
  }
  if (state.size() != own.size())
    throw Error("the state holds " + std::to_string(state.size()) + " tensors, the network has " +
                std::to_string(own.size()));
}

void Precond::to(c10::Device device) {
  convert_all(named_tensors(), [&](const Tensor& tensor) { return tensor.to(device); });
}

void Precond::to(c10::ScalarType dtype) {
  convert_all(named_tensors(), [&](const Tensor& tensor) { return tensor.to(dtype); });
}

void Precond::requires_grad(bool on) {
  for (auto& entry : named_parameters()) entry.tensor->requires_grad_(on);
}

Snapshot make_snapshot(const NetworkOptions& options, const StateDict& weights) {
  Snapshot snapshot;
  snapshot.network = options;
  for (const auto& [name, tensor] : weights)
    snapshot.tensors.emplace_back(name, tensor.detach().to(at::kCPU, at::kHalf, false, true));
  return snapshot;
}

Snapshot make_snapshot(Precond& network) {
  Snapshot snapshot = make_snapshot(network.options(), network.state_dict());
  snapshot.folded = network.context.folded;
  return snapshot;
}

}  // namespace edm2
