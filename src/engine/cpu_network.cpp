#include "engine/cpu_network.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/parallel.h"
#include "engine/activations.h"
#include "engine/inference_kernels.h"

namespace edm2 {
namespace {

/// Calls body(kernels, T{}) with the kernels for activations of this type.
template <class Body>
void for_type(c10::ScalarType type, const Body& body) {
  if (type == at::kBFloat16)
    body(inference_kernels::best().bf16, Bf16{});
  else
    body(inference_kernels::best().f32, float{});
}

template <class T>
const T* read(const Tensor& x) {
  return static_cast<const T*>(x.const_data_ptr());
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

/// Splits [0, count) items of `item_size` elements over the threads.
template <class Body>
void share(int64_t count, int64_t item_size, const Body& body) {
  constexpr int64_t elements = 16384;  // what is worth a thread
  parallel_for(0, count, std::max<int64_t>(elements / std::max<int64_t>(item_size, 1), 1), body);
}

float silu_of(float x) { return x / (1 + std::exp(-x)); }

}  // namespace

void CpuNetwork::expand(const Layer& layer) {
  for (const CompactConv& conv : layer.compact) conv.weights.expand(conv.expanded);
}

Tensor CpuNetwork::empty(int64_t channels, int64_t height, int64_t width) const {
  return ActivationArena::empty({1, channels, height, width}, dtype_, nhwc);
}

/// conv(x) with that many channels, of the height and width of x.
Tensor CpuNetwork::convolve(const FusedConv& conv, const Tensor& x, int64_t channels) const {
  const Tensor y = empty(channels, x.size(2), x.size(3));
  conv.write_to(y, x);
  return y;
}

// ---- the embedding ----

Tensor CpuNetwork::modulate(const Tensor& c_noise, const Tensor& labels, int64_t rows) const {
  const int64_t features = embedding_.noise.size(1), width = embedding_.noise.size(0);
  const auto& linear = inference_kernels::best().linear;
  const auto times = [&](const Tensor& x, const Tensor& w) {
    const int64_t inputs = w.size(1), outputs = w.size(0);
    const Tensor y = at::empty({rows, outputs}, at::kFloat);
    share(outputs, rows * inputs, [&](int64_t begin, int64_t end) {
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
  return times(emb, embeddings_).add_(1);  // [rows, modulations_]
}

// ---- one layer ----

LayerOutput CpuNetwork::run(const Layer& layer, LayerOutput input, LayerOutput skip,
                            const float* modulations) const {
  if (layer.conv) return {convolve(*layer.conv, input.values, layer.plan.out_channels), no_limit};
  const int64_t out = layer.plan.out_channels;
  const float* c = modulations + layer.modulation;
  Tensor x = std::move(input.values);
  float limit = input.limit;
  Tensor kept, activated;  // keep x, or what the decoder's skip takes; silu(x)
  Tensor result;
  for_type(dtype_, [&](const auto& kernels, auto type) {
    using T = decltype(type);
    const int64_t height = x.size(2), width = x.size(3);
    const auto clip = [&] {
      if (limit == no_limit) return;
      share(pixels_of(x), x.size(1), [&](int64_t begin, int64_t end) {
        kernels.clip(write<T>(x) + begin * x.size(1), (end - begin) * x.size(1), limit);
      });
      limit = no_limit;
    };

    // What comes in.
    if (layer.plan.resample == Resample::down) {
      const int64_t channels = x.size(1), row = 2 * width * channels;
      const Tensor small = empty(channels, height / 2, width / 2);
      share(height / 2, row, [&](int64_t begin, int64_t end) {
        kernels.sum_2x2(read<T>(x) + begin * row, end - begin, width / 2, channels, limit, 0.25f,
                        write<T>(small) + begin * row / 4);
      });
      x = small;
      limit = no_limit;
    }
    if (layer.phases) {
      const int64_t channels = x.size(1), row = width * channels;
      activated = empty(channels, height, width);
      kept = empty(channels, 2 * height, 2 * width);
      share(height, row, [&](int64_t begin, int64_t end) {
        const T* from = read<T>(x) + begin * row;
        kernels.silu(from, (end - begin) * row, limit, 1, nullptr,
                     write<T>(activated) + begin * row);
        kernels.spread_2x2(from, end - begin, width, channels, limit, layer.keep,
                           write<T>(kept) + 4 * begin * row);
      });
    } else if (layer.encoder) {
      if (layer.skip) {
        clip();
        x = convolve(*layer.skip, x, out);
        limit = no_limit;
      }
      const int64_t channels = x.size(1);
      kept = empty(channels, x.size(2), x.size(3));
      activated = empty(channels, kept.size(2), kept.size(3));
      share(pixels_of(x), channels, [&](int64_t begin, int64_t end) {
        const int64_t at = begin * channels;
        kernels.pixel_norm_silu(read<T>(x) + at, end - begin, channels, limit, layer.keep,
                                write<T>(kept) + at, write<T>(activated) + at);
      });
    } else {
      const float keep = layer.skip ? 1 : layer.keep;  // the convolution has it in its weights
      const bool joins = skip.values.defined();
      const int64_t from_x = x.size(1), from_skip = joins ? skip.values.size(1) : 0;
      const int64_t channels = from_x + from_skip;
      kept = empty(channels, height, width);
      activated = empty(channels, kept.size(2), kept.size(3));
      share(pixels_of(x), channels, [&](int64_t begin, int64_t end) {
        T* const kept_at = write<T>(kept) + begin * channels;
        T* const activated_at = write<T>(activated) + begin * channels;
        if (joins)
          kernels.cat_silu(read<T>(x) + begin * from_x, read<T>(skip.values) + begin * from_skip,
                           end - begin, from_x, from_skip, limit, skip.limit, layer.cat_x,
                           layer.cat_skip, keep, kept_at, activated_at);
        else
          kernels.silu(read<T>(x) + begin * channels, (end - begin) * channels, limit, keep,
                       kept_at, activated_at);
      });
    }

    x = skip.values = Tensor();

    // The residual branch.
    Tensor y;
    if (layer.fast_res0) {
      y = layer.fast_res0->modulated_silu(activated, c);
    } else if (layer.phases) {
      y = empty(4 * out, height + 1, width + 1);
      layer.res0->write_to(y, activated);
      activated = empty(out, 2 * height, 2 * width);
      const int64_t row = (width + 1) * 4 * out;
      share(height, row, [&](int64_t begin, int64_t end) {
        kernels.modulated_silu_of_phases(read<T>(y) + begin * row, c, end - begin, width, out,
                                         write<T>(activated) + begin * 4 * width * out);
      });
      y = activated;
    } else {
      y = convolve(*layer.res0, activated, out);
      activated = Tensor();
      share(pixels_of(y), out, [&](int64_t begin, int64_t end) {
        T* const at = write<T>(y) + begin * out;
        kernels.modulated_silu(at, c, end - begin, out, at);
      });
    }
    result = layer.skip && !layer.encoder ? convolve(*layer.skip, kept, out) : kept;
    if (layer.fast_res1)
      layer.fast_res1->add_to(result, y);
    else
      layer.res1->add_to(result, y);
  });
  if (layer.qkv) attend(layer, result);
  return {result, limit_};
}

/// x += proj(softmax(q k^T) v), for x[1,C,H,W] in place.
void CpuNetwork::attend(const Layer& layer, const Tensor& x) const {
  const int64_t heads = layer.plan.num_heads, channels = x.size(1), depth = channels / heads;
  const int64_t pixels = pixels_of(x);
  const Tensor qkv = convolve(*layer.qkv, x, 3 * channels);  // [1, 3 * heads * depth, H, W]
  const auto k_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(depth)));
  for_type(dtype_, [&](const auto& kernels, auto type) {
    using T = decltype(type);
    share(pixels, 3 * channels, [&](int64_t begin, int64_t end) {
      kernels.normalize_qkv(write<T>(qkv) + begin * 3 * channels, end - begin, heads, depth,
                            k_scale);
    });
  });
  const Tensor parts = qkv.permute({0, 2, 3, 1}).reshape({pixels, 3, heads, depth});
  const Tensor result = empty(channels, x.size(2), x.size(3));
  const Tensor rows = result.permute({0, 2, 3, 1}).view({pixels, heads, depth});
  // Some rows of one head at a time, so that their scores stay in the cache.
  constexpr int64_t block = 256;
  const int64_t blocks = (pixels + block - 1) / block;
  for_each_on_one_thread(heads * blocks, [&](int64_t i) {
    const int64_t h = i / blocks, first = i % blocks * block,
                  count = std::min(block, pixels - first);
    const Tensor q = parts.select(1, 0).select(1, h).narrow(0, first, count),
                 k = parts.select(1, 1).select(1, h), v = parts.select(1, 2).select(1, h);
    rows.select(1, h).narrow(0, first, count).copy_(at::mm(at::mm(q, k.t()).softmax(1), v));
  });
  layer.proj->add_to(x, result);
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
  const Tensor& values = last.values;
  if (last.limit != no_limit)
    for_type(dtype_, [&](const auto& kernels, auto type) {
      share(pixels_of(values), values.size(1), [&](int64_t begin, int64_t end) {
        kernels.clip(write<decltype(type)>(values) + begin * values.size(1),
                     (end - begin) * values.size(1), last.limit);
      });
    });
  const int64_t channels = options_.img_channels, pixels = pixels_of(values);
  const Tensor f = convolve(*out_conv_, values, channels).to(at::kFloat);  // [1, C, R, R]
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
    expand(layers_[begin]);
    while (end < layers_.size() && layers_[begin].compact.empty() && layers_[end].compact.empty())
      ++end;
    const auto go_on = [&](int64_t i) {
      const Condition& condition = conditions[static_cast<size_t>(i)];
      OnTheWay& state = images[static_cast<size_t>(i)];
      if (begin == 0) state.x = {scaled_input(x + i * image, condition.c_in), no_limit};
      for (size_t k = begin; k < end; ++k)
        step(layers_[k], state, [&](const Layer& layer, LayerOutput input, LayerOutput skip) {
          return run(layer, std::move(input), std::move(skip), condition.modulations);
        });
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
                                    row_of[static_cast<size_t>(i)] * modulations_});
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
