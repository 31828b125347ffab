#include "engine/cuda_network.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/GradMode.h>

#include <numbers>
#include <utility>

#include "nn/kernel_calls.h"

namespace edm2 {

CudaNetwork::CudaNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, c10::Device device,
                         const cuda_passes::Passes& passes, WorkRecorder recorder)
    : options_(snapshot.description().network),
      dtype_(dtype),
      device_(device),
      back_end_(cuda_back_end(dtype, device, passes)),
      recorder_(std::move(recorder)) {
  const c10::NoGradGuard no_grad;
  NetworkFolder folder(std::move(snapshot));
  embedding_ = folder.embedding();
  for (Tensor FoldedEmbedding::*part :
       {&FoldedEmbedding::fourier_freqs, &FoldedEmbedding::fourier_phases, &FoldedEmbedding::noise,
        &FoldedEmbedding::label, &FoldedEmbedding::layers})
    if ((embedding_.*part).defined()) embedding_.*part = (embedding_.*part).to(device_);
  for (const LayerPlan& plan : folder.plan().layers)
    layers_.push_back(make_layer(folder.block(plan), *back_end_.passes, back_end_.convolution));
  out_conv_ = back_end_.convolution(
      {.weight = folder.out_conv(), .size = options_.img_resolution, .in_block = false});
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
  return emb.matmul(embedding_.layers.t()).add(1).contiguous();  // [rows, modulations]
}

Tensor CudaNetwork::evaluate(const Tensor& x, const Tensor& sigma, const Tensor& labels) const {
  const double sd = options_.sigma_data;
  const Tensor s = sigma.reshape({-1, 1, 1, 1});
  const Tensor variance = s.square() + sd * sd;
  const Tensor modulations = modulate(sigma.log().div(4), labels);
  const Modulations c(modulations.const_data_ptr<float>(),
                      modulations.size(0) == 1 ? 0 : modulations.stride(0));

  const Tensor scaled = x / variance.sqrt();
  const Tensor ones = at::ones({x.size(0), 1, x.size(2), x.size(3)}, x.options());
  OnTheWay batch = {{at::cat({scaled, ones}, 1).to(dtype_).contiguous(nhwc), no_limit}, {}};
  for (const auto& layer : layers_) layer->advance(batch, c);
  back_end_.passes->clip(batch.x);
  const Tensor f = (*out_conv_)(batch.x.values).to(at::kFloat).contiguous();
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
    known.work =
        recorder_([&] { known.result.copy_(evaluate(known.x, known.sigma, known.labels)); });
    if (!known.work) {
      recorder_ = {};
      recorded_.clear();
      return evaluate(x, sigma, labels);
    }
  } else {
    known.x.copy_(x);
    known.sigma.copy_(sigma);
    if (labels.defined()) known.labels.copy_(labels);
  }
  known.work();
  return known.result.clone();
}

}  // namespace edm2
