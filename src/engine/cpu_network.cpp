#include "engine/cpu_network.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/page_tensor.h"
#include "edm2/core/platform.h"
#include "engine/inference_kernels.h"
#include "nn/fused_layers.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

float silu_of(float x) { return x / (1 + std::exp(-x)); }

std::unique_ptr<CpuConvolution> first_made(const std::vector<CpuConvolutionMaker>& makers,
                                           const ConvolutionSpec& spec) {
  for (const CpuConvolutionMaker& make : makers)
    if (auto convolution = make(spec)) return convolution;
  TORCH_CHECK(false, "[CpuNetwork] no way to compute a convolution");
}

}  // namespace

// ---- from a snapshot to layers ----

CpuNetwork::CpuNetwork(StoredSnapshot snapshot, c10::ScalarType dtype,
                       const std::vector<CpuConvolutionMaker>& makers)
    : options_(snapshot.description().network), dtype_(dtype) {
  const c10::NoGradGuard no_grad;
  NetworkFolder folder(std::move(snapshot));
  embedding_ = folder.embedding();
  const std::vector<LayerPlan>& plans = folder.plan().layers;
  layers_.resize(plans.size());
  // Weights are packed by one thread, as they will be used, so threads take whole layers.
  std::atomic<size_t> next = 0;
  for_each_on_one_thread(std::max<int64_t>(at::get_num_threads(), 1), [&](int64_t) {
    for (size_t i = next++; i < layers_.size(); i = next++) {
      const auto make = [&](const ConvolutionSpec& spec) {
        auto convolution = first_made(makers, spec);
        if (convolution->expanded_size() > 0) layers_[i].expanding.push_back(convolution.get());
        return convolution;
      };
      layers_[i].layer = make_layer(folder.block(plans[i]), cpu_layer_passes(), make);
    }
  });
  out_conv_ = first_made(
      makers, {.weight = folder.out_conv(), .size = options_.img_resolution, .in_block = false});
  TORCH_CHECK(out_conv_->expanded_size() == 0, "[CpuNetwork] the last convolution stays ready");
  share_expanded_memory();
  release_freed_memory();  // of the stored weights
}

/// Gives the convolutions of each layer their places in memory that all layers share.
void CpuNetwork::share_expanded_memory() {
  int64_t most = 0;
  for (const NetworkLayer& layer : layers_) {
    int64_t size = 0;
    for (const CpuConvolution* convolution : layer.expanding) size += convolution->expanded_size();
    most = std::max(most, size);
  }
  if (most == 0) return;
  expanded_ = tensor_in_huge_pages(most, at::kFloat);
  for (const NetworkLayer& layer : layers_) {
    auto* place = expanded_.mutable_data_ptr<float>();
    for (CpuConvolution* convolution : layer.expanding) {
      convolution->expand_at(place);
      place += convolution->expanded_size();
    }
  }
}

// ---- the embedding ----

Tensor CpuNetwork::modulate(const Tensor& c_noise, const Tensor& labels, int64_t rows) const {
  const int64_t features = embedding_.noise.size(1), width = embedding_.noise.size(0);
  const auto& linear = inference_kernels::best().linear;
  const auto times = [&](const Tensor& x, const Tensor& w) {
    const int64_t inputs = w.size(1), outputs = w.size(0);
    const Tensor y = at::empty({rows, outputs}, at::kFloat);
    share<inference_kernels::Kernels>(outputs, rows * inputs, [&](int64_t begin, int64_t end) {
      linear(x.const_data_ptr<float>(), w.const_data_ptr<float>() + begin * inputs, rows,
             end - begin, inputs, outputs, y.mutable_data_ptr<float>() + begin);
    });
    return y;
  };
  const Tensor fourier = at::empty({rows, features}, at::kFloat);
  const auto* freqs = embedding_.fourier_freqs.const_data_ptr<float>();
  const auto* phases = embedding_.fourier_phases.const_data_ptr<float>();
  for (int64_t r = 0; r < rows; ++r) {
    const float noise = c_noise.const_data_ptr<float>()[r];
    for (int64_t i = 0; i < features; ++i)
      fourier.mutable_data_ptr<float>()[r * features + i] =
          std::cos(noise * freqs[i] + phases[i]) * std::numbers::sqrt2_v<float>;
  }
  const Tensor emb = times(fourier, embedding_.noise);  // [rows, E]
  const Tensor label_emb = embedding_.label.defined() ? times(labels, embedding_.label) : Tensor();
  auto* e = emb.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows * width; ++i) {
    if (label_emb.defined())
      e[i] =
          e[i] * static_cast<float>(embedding_.weight_noise) + label_emb.const_data_ptr<float>()[i];
    e[i] = silu_of(e[i]) / 0.596f;
  }
  return times(emb, embedding_.layers).add_(1);  // [rows, modulations]
}

// ---- the network ----

/// c_in x and the constant channel, [1,C+1,R,R].
Tensor CpuNetwork::scaled_input(const float* x, float c_in) const {
  const int64_t channels = options_.img_channels, size = options_.img_resolution;
  const Tensor scaled = ActivationArena::empty({1, channels + 1, size, size}, at::kFloat, nhwc);
  auto* to = scaled.mutable_data_ptr<float>();
  for (int64_t pixel = 0; pixel < size * size; ++pixel) {
    for (int64_t c = 0; c < channels; ++c) *to++ = c_in * x[c * size * size + pixel];
    *to++ = 1;
  }
  return scaled.to(dtype_);
}

/// D of an image, from what came out of the last layer.
void CpuNetwork::finish(const LayerOutput& last, const Condition& condition, const float* x,
                        float* out) const {
  cpu_layer_passes().clip(last);
  const int64_t channels = options_.img_channels, pixels = pixels_of(last.values);
  const Tensor f = (*out_conv_)(last.values).to(at::kFloat);  // [1, C, R, R]
  const auto* from = f.const_data_ptr<float>();
  for (int64_t pixel = 0; pixel < pixels; ++pixel)
    for (int64_t i = pixel; i < channels * pixels; i += pixels)
      out[i] = condition.c_skip * x[i] + condition.c_out * *from++;
}

void CpuNetwork::denoise_together(std::span<const Condition> conditions, const float* x,
                                  float* out) const {
  const auto n = static_cast<int64_t>(conditions.size());
  const int64_t image = options_.img_channels * options_.img_resolution * options_.img_resolution;
  const int64_t threads = std::max<int64_t>(at::get_num_threads(), 1);
  const int64_t shared_out = n >= threads && threads > 1 ? n / threads * threads : 0;
  std::vector<OnTheWay> images(conditions.size());
  for (size_t begin = 0, end; begin < layers_.size(); begin = end) {
    // An image goes by itself through as many layers as it can.
    end = begin + 1;
    for (const CpuConvolution* convolution : layers_[begin].expanding) convolution->expand();
    while (end < layers_.size() && layers_[begin].expanding.empty() &&
           layers_[end].expanding.empty())
      ++end;
    const auto go_on = [&](int64_t i) {
      const Condition& condition = conditions[static_cast<size_t>(i)];
      OnTheWay& state = images[static_cast<size_t>(i)];
      if (begin == 0) state.x = {scaled_input(x + i * image, condition.c_in), no_limit};
      for (size_t k = begin; k < end; ++k) layers_[k].layer->advance(state, condition.modulations);
      if (end < layers_.size()) return;
      finish(state.x, condition, x + i * image, out + i * image);
      state = {};
    };
    // With other threads beside it, what a thread allocates depends on their number.
    const auto key = [begin](int64_t beside) { return static_cast<int64_t>(begin) << 32 | beside; };
    if (shared_out > 0)
      for_each_on_one_thread(shared_out, [&](int64_t i) { arena_.run(key(1), [&] { go_on(i); }); });
    for (int64_t i = shared_out; i < n; ++i) arena_.run(key(threads), [&] { go_on(i); });
  }
}

CpuNetwork::Conditions CpuNetwork::conditions_of(int64_t n, const Tensor& sigmas,
                                                 const Tensor& labels) const {
  const auto label_row = [&](int64_t i) -> const float* {
    return labels.defined()
               ? labels.const_data_ptr<float>() + (labels.size(0) == 1 ? 0 : i) * labels.size(1)
               : nullptr;
  };
  const auto sigma_of = [&](int64_t i) {
    return sigmas.const_data_ptr<float>()[sigmas.numel() == 1 ? 0 : i];
  };

  // Modulations are computed once for each pair of noise level and label.
  std::vector<int64_t> first, row_of(static_cast<size_t>(n));
  const auto alike = [&](int64_t a, int64_t b) {
    return std::memcmp(label_row(a), label_row(b),
                       static_cast<size_t>(labels.size(1)) * sizeof(float)) == 0;
  };
  for (int64_t i = 0; i < n; ++i) {
    const auto known = std::find_if(first.begin(), first.end(), [&](int64_t j) {
      return sigma_of(i) == sigma_of(j) && (!labels.defined() || alike(i, j));
    });
    row_of[static_cast<size_t>(i)] = known - first.begin();
    if (known == first.end()) first.push_back(i);
  }
  const auto rows = static_cast<int64_t>(first.size());
  const Tensor c_noise = at::empty({rows}, at::kFloat);
  const Tensor row_labels =
      labels.defined() ? at::empty({rows, labels.size(1)}, at::kFloat) : Tensor();
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = first[static_cast<size_t>(r)];
    c_noise.mutable_data_ptr<float>()[r] = std::log(sigma_of(i)) / 4;
    if (labels.defined())
      std::memcpy(row_labels.mutable_data_ptr<float>() + r * labels.size(1), label_row(i),
                  static_cast<size_t>(labels.size(1)) * sizeof(float));
  }

  Conditions result{modulate(c_noise, row_labels, rows), {}};
  for (int64_t i = 0; i < n; ++i) {
    const float s = sigma_of(i), sd = static_cast<float>(options_.sigma_data);
    const float variance = s * s + sd * sd, root = std::sqrt(variance);
    result.of_images.push_back({1 / root, sd * sd / variance, s * sd / root,
                                result.modulations.const_data_ptr<float>() +
                                    row_of[static_cast<size_t>(i)] * result.modulations.size(1)});
  }
  return result;
}

Tensor CpuNetwork::denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) const {
  const c10::NoGradGuard no_grad;
  const int64_t n = x.size(0), image = x[0].numel();
  const Tensor images = x.contiguous(), result = at::empty_like(images);
  const Conditions conditions = conditions_of(n, sigma.contiguous(), labels);

  // Expanding weights should cost little beside the images that they serve, and the skips of these
  // images should not fill the memory.
  const int64_t threads = std::max<int64_t>(at::get_num_threads(), 1);
  const int64_t together = expanded_.defined() ? (3 + threads) / threads * threads : n;
  std::unique_lock<std::mutex> lock(expanded_in_use_, std::defer_lock);
  if (expanded_.defined()) lock.lock();
  for (int64_t begin = 0; begin < n; begin += together) {
    const auto some = std::span(conditions.of_images)
                          .subspan(static_cast<size_t>(begin),
                                   static_cast<size_t>(std::min(together, n - begin)));
    denoise_together(some, images.const_data_ptr<float>() + begin * image,
                     result.mutable_data_ptr<float>() + begin * image);
  }
  return result;
}

}  // namespace edm2
