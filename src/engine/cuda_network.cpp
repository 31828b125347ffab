#include "engine/cuda_network.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "engine/activations.h"

namespace edm2 {
namespace {

cuda_passes::ElementType element_type(c10::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return cuda_passes::ElementType::f32;
    case at::kHalf:
      return cuda_passes::ElementType::f16;
    case at::kBFloat16:
      return cuda_passes::ElementType::bf16;
    default:
      TORCH_CHECK(false, "[CudaNetwork] no activations of type ", type);
  }
}

/// The stream that libtorch's operators use.
void* current_stream(c10::Device device) {
  if (!device.is_cuda()) return nullptr;
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

/// In channels-last order, whatever kernel libtorch chooses.
Tensor convolve(const Tensor& x, const Tensor& w) {
  return at::conv2d(x, w, {}, 1, w.size(3) / 2).contiguous(nhwc);
}

}  // namespace

template <class Pass>
void CudaNetwork::run(cuda_passes::Passes::Run<Pass> run, const Pass& pass) const {
  run(pass, element_type(dtype_), current_stream(device_));
}

CudaNetwork::CudaNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, c10::Device device,
                         const cuda_passes::Passes& passes, std::unique_ptr<WorkRecorder> recorder)
    : options_(snapshot.description().network),
      dtype_(dtype),
      device_(device),
      passes_(passes),
      limit_(options_.clip_act ? static_cast<float>(*options_.clip_act) : no_limit),
      recorder_(std::move(recorder)) {
  const c10::NoGradGuard no_grad;
  NetworkFolder folder(std::move(snapshot));
  embedding_ = folder.embedding();
  for (Tensor FoldedEmbedding::*part :
       {&FoldedEmbedding::fourier_freqs, &FoldedEmbedding::fourier_phases, &FoldedEmbedding::noise,
        &FoldedEmbedding::label})
    if ((embedding_.*part).defined()) embedding_.*part = (embedding_.*part).to(device_);
  for (const BlockPlan& plan : folder.plan().encoder)
    layers_.push_back(make_layer(folder.block(plan, /*encoder=*/true)));
  for (const BlockPlan& plan : folder.plan().decoder)
    layers_.push_back(make_layer(folder.block(plan, /*encoder=*/false)));
  out_conv_ = weight(folder.out_conv());
  embeddings_ = at::cat(std::exchange(collected_, {})).to(device_);
}

Tensor CudaNetwork::weight(const FoldedWeight& folded) const {
  return folded.defined() ? folded.tensor().to(device_, dtype_).contiguous(nhwc) : Tensor();
}

CudaNetwork::Layer CudaNetwork::make_layer(const FoldedBlock& block) {
  Layer layer;
  layer.plan = block.plan;
  layer.encoder = block.encoder;
  layer.conv = weight(block.conv);
  layer.res0 = weight(block.res0);
  layer.res1 = weight(block.res1);
  layer.skip = weight(block.skip);
  layer.qkv = weight(block.qkv);
  layer.proj = weight(block.proj);
  layer.keep = static_cast<float>(block.keep);
  layer.cat_x = static_cast<float>(block.cat_x);
  layer.cat_skip = static_cast<float>(block.cat_skip);
  if (!block.embedding.defined()) return layer;
  layer.modulation = modulations_;
  modulations_ += block.embedding.size(0);
  collected_.push_back(block.embedding);
  return layer;
}

Tensor CudaNetwork::empty(int64_t batch, int64_t channels, int64_t height, int64_t width) const {
  return at::empty({batch, channels, height, width},
                   at::TensorOptions(dtype_).device(device_).memory_format(nhwc));
}

Tensor CudaNetwork::modulate(const Tensor& c_noise, const Tensor& labels) const {
  const Tensor fourier =
      (c_noise.unsqueeze(1) * embedding_.fourier_freqs + embedding_.fourier_phases)
          .cos()
          .mul(std::numbers::sqrt2);                  // [rows or 1, F]
  Tensor emb = fourier.matmul(embedding_.noise.t());  // [rows or 1, E]
  if (embedding_.label.defined())
    emb = emb.mul(embedding_.weight_noise) + labels.matmul(embedding_.label.t());  // [rows, E]
  emb = at::silu(emb).div(0.596);
  return emb.matmul(embeddings_.t()).add(1).contiguous();  // [rows, modulations_]
}

void CudaNetwork::clip(const LayerOutput& x) const {
  if (x.limit == no_limit) return;
  run(passes_.clip, {x.values.mutable_data_ptr(), pixels_of(x.values), x.values.size(1), x.limit});
}

/// x += y.
void CudaNetwork::add(const Tensor& x, const Tensor& y) const {
  run(passes_.add, {x.mutable_data_ptr(), y.const_data_ptr(), pixels_of(x), x.size(1)});
}

/// Clipped, and half or twice as large.
Tensor CudaNetwork::resampled(const Layer& layer, const LayerOutput& x) const {
  const int64_t n = x.values.size(0), channels = x.values.size(1), height = x.values.size(2),
                width = x.values.size(3);
  if (layer.plan.resample == Resample::down) {
    const Tensor small = empty(n, channels, height / 2, width / 2);
    run(passes_.sum_2x2, {x.values.const_data_ptr(), pixels_of(small), width / 2, channels, x.limit,
                          0.25f, small.mutable_data_ptr()});
    return small;
  }
  const Tensor large = empty(n, channels, 2 * height, 2 * width);
  run(passes_.spread_2x2, {x.values.const_data_ptr(), pixels_of(x.values), width, channels, x.limit,
                           large.mutable_data_ptr()});
  return large;
}

LayerOutput CudaNetwork::run(const Layer& layer, LayerOutput x, LayerOutput skip,
                             const Tensor& modulations) const {
  if (layer.conv.defined()) return {convolve(x.values, layer.conv), no_limit};
  if (layer.plan.resample != Resample::keep) x = {resampled(layer, x), no_limit};
  if (layer.encoder && layer.skip.defined()) {
    clip(x);
    x = {convolve(x.values, layer.skip), no_limit};
  }

  // What comes in: keep x, or what the decoder's skip takes; silu(x).
  const bool joins = skip.values.defined();
  const int64_t from_skip = joins ? skip.values.size(1) : 0;
  const int64_t n = x.values.size(0), channels = x.values.size(1) + from_skip;
  const Tensor kept = empty(n, channels, x.values.size(2), x.values.size(3));
  const Tensor activated = at::empty_like(kept);
  const int64_t pixels = pixels_of(kept);
  if (layer.encoder)
    run(passes_.pixel_norm_silu, {x.values.const_data_ptr(), pixels, channels, x.limit, layer.keep,
                                  kept.mutable_data_ptr(), activated.mutable_data_ptr()});
  else
    run(passes_.cat_silu,
        {x.values.const_data_ptr(), joins ? skip.values.const_data_ptr() : nullptr, pixels,
         x.values.size(1), from_skip, x.limit, skip.limit, joins ? layer.cat_x : 1, layer.cat_skip,
         layer.skip.defined() ? 1 : layer.keep,  // the convolution has it in its weights
         kept.mutable_data_ptr(), activated.mutable_data_ptr()});

  // The residual branch.
  const Tensor y = convolve(activated, layer.res0);
  run(passes_.modulated_silu,
      {y.mutable_data_ptr(), modulations.const_data_ptr<float>() + layer.modulation, pixels,
       y.size(1), y.size(2) * y.size(3), modulations.size(0) == 1 ? 0 : modulations.stride(0)});
  const Tensor result = !layer.encoder && layer.skip.defined() ? convolve(kept, layer.skip) : kept;
  add(result, convolve(y, layer.res1));
  if (layer.qkv.defined()) attend(layer, result);
  return {result, limit_};
}

/// x += proj(softmax(q k^T) v), for x[N,C,H,W] in place.
void CudaNetwork::attend(const Layer& layer, const Tensor& x) const {
  const int64_t n = x.size(0), heads = layer.plan.num_heads, depth = x.size(1) / heads;
  const int64_t pixels = x.size(2) * x.size(3);
  const Tensor qkv = convolve(x, layer.qkv);  // [N, 3 * heads * depth, H, W]
  run(passes_.normalize_qkv, {qkv.mutable_data_ptr(), n * pixels, heads, depth,
                              static_cast<float>(1 / std::sqrt(static_cast<double>(depth)))});
  const Tensor parts = qkv.permute({0, 2, 3, 1}).reshape({n, pixels, 3, heads, depth});
  const auto part = [&](int64_t i) { return parts.select(2, i).transpose(1, 2); };
  const Tensor y = at::scaled_dot_product_attention(part(0), part(1), part(2), {}, 0,
                                                    /*is_causal=*/false, /*scale=*/1.0);
  const Tensor rows = y.transpose(1, 2).reshape({n, x.size(2), x.size(3), heads * depth});
  add(x, convolve(rows.permute({0, 3, 1, 2}), layer.proj));
}

Tensor CudaNetwork::evaluate(const Tensor& x, const Tensor& sigma, const Tensor& labels) const {
  const double sd = options_.sigma_data;
  const Tensor s = sigma.reshape({-1, 1, 1, 1});
  const Tensor variance = s.square() + sd * sd;
  const Tensor modulations = modulate(sigma.log().div(4), labels);

  const Tensor scaled = x / variance.sqrt();
  const Tensor ones = at::ones({x.size(0), 1, x.size(2), x.size(3)}, x.options());
  OnTheWay batch = {{at::cat({scaled, ones}, 1).to(dtype_).contiguous(nhwc), no_limit}, {}};
  for (const Layer& layer : layers_)
    step(layer, batch, [&](const Layer& l, LayerOutput input, LayerOutput skip) {
      return run(l, std::move(input), std::move(skip), modulations);
    });
  clip(batch.x);
  const Tensor f = convolve(batch.x.values, out_conv_).to(at::kFloat).contiguous();
  return x * (sd * sd / variance) + f * (s * sd / variance.sqrt());
}

Tensor CudaNetwork::denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) {
  const c10::NoGradGuard no_grad;
  const c10::DeviceGuard on_device(device_);  // kernels are launched on the device that is current
  if (!recorder_) return evaluate(x, sigma, labels);
  const std::array<int64_t, 3> shape = {x.size(0), sigma.numel(),
                                        labels.defined() ? labels.size(0) : 0};
  constexpr size_t most = 4;  // each has memory of its own
  if (recorded_.size() >= most && !recorded_.contains(shape)) recorded_.clear();
  RecordedEvaluation& known = recorded_[shape];
  if (!std::exchange(known.seen, true)) return evaluate(x, sigma, labels);  // libraries get ready
  if (!known.work) {
    const auto copy = [](const Tensor& t) { return t.defined() ? t.clone() : t; };
    known.x = copy(x);
    known.sigma = copy(sigma);
    known.labels = copy(labels);
    known.result = at::empty_like(x);
    known.work = recorder_->record(
        [&] { known.result.copy_(evaluate(known.x, known.sigma, known.labels)); });
    if (!known.work) {
      recorder_.reset();
      recorded_.clear();
      return evaluate(x, sigma, labels);
    }
  } else {
    known.x.copy_(x);
    known.sigma.copy_(sigma);
    if (labels.defined()) known.labels.copy_(labels);
  }
  known.work->replay();
  return known.result.clone();
}

}  // namespace edm2
