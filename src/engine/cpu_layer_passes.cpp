#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "engine/activation_arena.h"
#include "engine/cpu_network.h"
#include "engine/inference_kernels.h"
#include "nn/fused_layers.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using inference_kernels::best;

Tensor empty_image(const Tensor& like, int64_t channels, int64_t height, int64_t width) {
  return ActivationArena::empty({1, channels, height, width}, like.scalar_type(), nhwc);
}

/// Of the size of x.
BlockInput empty_input(const Tensor& x, int64_t channels) {
  return {empty_image(x, channels, x.size(2), x.size(3)),
          empty_image(x, channels, x.size(2), x.size(3))};
}

class CpuLayerPasses : public LayerPasses {
 public:
  void clip(const LayerOutput& x) const override {
    if (x.limit == no_limit) return;
    const int64_t channels = x.values.size(1);
    run_kernels(best(), x.values, pixels_of(x.values), channels,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  kernels.clip(write<decltype(type)>(x.values) + begin * channels,
                               (end - begin) * channels, x.limit);
                });
  }

  Tensor downsample(LayerOutput x) const override {
    const int64_t channels = x.values.size(1), height = x.values.size(2) / 2,
                  width = x.values.size(3) / 2, row = 2 * x.values.size(3) * channels;
    const Tensor small = empty_image(x.values, channels, height, width);
    run_kernels(best(), small, height, row,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  using T = decltype(type);
                  kernels.sum_2x2(read<T>(x.values) + begin * row, end - begin, width, channels,
                                  x.limit, 0.25f, write<T>(small) + begin * row / 4);
                });
    return small;
  }

  BlockInput upsample_silu(LayerOutput x, float keep) const override {
    const int64_t channels = x.values.size(1), height = x.values.size(2), width = x.values.size(3),
                  row = width * channels;
    const Tensor small = empty_image(x.values, channels, height, width);
    const Tensor large = empty_image(x.values, channels, 2 * height, 2 * width);
    run_kernels(best(), small, height, row,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  using T = decltype(type);
                  const T* from = read<T>(x.values) + begin * row;
                  kernels.silu(from, (end - begin) * row, x.limit, 1, nullptr,
                               write<T>(small) + begin * row);
                  kernels.spread_2x2(from, end - begin, width, channels, x.limit, keep,
                                     write<T>(large) + 4 * begin * row);
                });
    return {large, small};
  }

  BlockInput pixel_norm_silu(LayerOutput x, float keep) const override {
    const int64_t channels = x.values.size(1);
    BlockInput out = empty_input(x.values, channels);
    run_kernels(best(), x.values, pixels_of(x.values), channels,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  using T = decltype(type);
                  const int64_t at = begin * channels;
                  kernels.pixel_norm_silu(read<T>(x.values) + at, end - begin, channels, x.limit,
                                          keep, write<T>(out.main) + at, write<T>(out.branch) + at);
                });
    return out;
  }

  BlockInput cat_silu(LayerOutput x, LayerOutput skip, float cat_x, float cat_skip,
                      float keep) const override {
    const bool joins = skip.values.defined();
    const int64_t from_x = x.values.size(1), from_skip = joins ? skip.values.size(1) : 0;
    const int64_t channels = from_x + from_skip;
    BlockInput out = empty_input(x.values, channels);
    run_kernels(best(), x.values, pixels_of(x.values), channels,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  using T = decltype(type);
                  T* const main = write<T>(out.main) + begin * channels;
                  T* const branch = write<T>(out.branch) + begin * channels;
                  const T* const from = read<T>(x.values) + begin * from_x;
                  if (joins)
                    kernels.cat_silu(from, read<T>(skip.values) + begin * from_skip, end - begin,
                                     from_x, from_skip, x.limit, skip.limit, cat_x, cat_skip, keep,
                                     main, branch);
                  else
                    kernels.silu(from, (end - begin) * channels, x.limit, keep, main, branch);
                });
    return out;
  }

  Tensor attend(const Tensor& qkv, int64_t heads) const override {
    const int64_t pixels = pixels_of(qkv), channels = qkv.size(1) / 3, depth = channels / heads;
    const auto k_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(depth)));
    run_kernels(best(), qkv, pixels, 3 * channels,
                [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                  kernels.normalize_qkv(write<decltype(type)>(qkv) + begin * 3 * channels,
                                        end - begin, heads, depth, k_scale);
                });
    const Tensor parts = qkv.permute({0, 2, 3, 1}).reshape({pixels, 3, heads, depth});
    const Tensor result = empty_image(qkv, channels, qkv.size(2), qkv.size(3));
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
    return result;
  }
};

}  // namespace

const LayerPasses& cpu_layer_passes() {
  static const CpuLayerPasses passes;
  return passes;
}

}  // namespace edm2
