#include "nn/channel_sums.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/parallel.h"

namespace edm2 {
namespace {

// Adds `pixels` rows of `channels` values to the two rows of sums.
void add_pixels(const float* x, int64_t pixels, int64_t channels, double* sums, double* squares) {
  for (int64_t p = 0; p < pixels; ++p, x += channels)
    for (int64_t c = 0; c < channels; ++c) {
      const double value = x[c];
      sums[c] += value;
      squares[c] += value * value;
    }
}

}  // namespace

Tensor channel_sums(const Tensor& x) {
  TORCH_CHECK(x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 &&
                  x.is_contiguous(at::MemoryFormat::ChannelsLast),
              "[channel_sums] float32 on the CPU in channels-last order");
  const int64_t n = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
  // Blocks of fixed size, summed up in order.
  constexpr int64_t block = 4096;
  const int64_t blocks = (pixels + block - 1) / block;
  const Tensor partial = at::zeros({2, n, blocks, channels}, at::kDouble);
  const auto* data = x.const_data_ptr<float>();
  auto* sums = partial.mutable_data_ptr<double>();
  auto* squares = sums + n * blocks * channels;
  parallel_for(0, n * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % blocks * block, count = std::min(block, pixels - first);
      add_pixels(data + (i / blocks * pixels + first) * channels, count, channels,
                 sums + i * channels, squares + i * channels);
    }
  });
  return partial.sum(2);
}

}  // namespace edm2
