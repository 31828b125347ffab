#include "engine/winograd.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/parallel.h"
#include "engine/inference_kernels.h"
#include "nn/fused_layers.h"

namespace edm2 {
namespace {

constexpr int64_t tile = 4, positions = 36;

int64_t tiles(int64_t size) { return (size + tile - 1) / tile; }

/// G g G^T of every kernel, [36,in,out].
Tensor transformed(const Tensor& weight) {
  const Tensor g = at::tensor({1 / 4., 0., 0., -1 / 6., -1 / 6., -1 / 6., -1 / 6., 1 / 6., -1 / 6.,
                               1 / 24., 1 / 12., 1 / 6., 1 / 24., -1 / 12., 1 / 6., 0., 0., 1.},
                              at::kDouble)
                       .reshape({6, 3});
  const int64_t out = weight.size(0), in = weight.size(1);
  const Tensor both = at::matmul(at::matmul(g, weight.to(at::kDouble)), g.t());  // [out,in,6,6]
  return both.permute({2, 3, 1, 0}).reshape({positions, in, out}).to(at::kFloat).contiguous();
}

}  // namespace

WinogradConv::WinogradConv(const Tensor& weight) : weight_(transformed(weight)) {}

bool WinogradConv::wins(int64_t height, int64_t width) {
  return tiles(height) * tiles(width) >= 64;
}

Tensor WinogradConv::modulated_silu(const Tensor& x, const float* c) const {
  const Tensor out = at::empty({1, weight_.size(2), x.size(2), x.size(3)},
                               x.options().memory_format(at::MemoryFormat::ChannelsLast));
  run(x, out, c);
  return out;
}

void WinogradConv::add_to(const Tensor& sum, const Tensor& x) const { run(x, sum, nullptr); }

void WinogradConv::run(const Tensor& x, const Tensor& out, const float* c) const {
  const auto& kernels = inference_kernels::best();
  const int64_t in = weight_.size(1), outputs = weight_.size(2);
  const int64_t height = x.size(2), width = x.size(3), columns = tiles(width);
  // Rows of tiles that are worth reading the weights once more, and fit into the cache beside them.
  const int64_t wanted = in * outputs <= 1 << 15 ? 32 : 64;
  const int64_t rows = std::min(std::max<int64_t>(wanted / columns, 1), tiles(height));
  const int64_t parts = (tiles(height) + rows - 1) / rows;
  for_each_on_one_thread(parts, [&](int64_t part) {
    const int64_t first = part * rows, count = std::min(rows, tiles(height) - first);
    const Tensor v = at::empty({positions, count * columns, in}, at::kFloat);
    kernels.winograd_input(x.const_data_ptr<float>(), height, width, in, first, count,
                           v.mutable_data_ptr<float>());
    const Tensor m = at::bmm(v, weight_);  // [36, tiles, out]
    kernels.winograd_output(m.const_data_ptr<float>(), height, width, outputs, first, count, c,
                            out.mutable_data_ptr<float>());
  });
}

}  // namespace edm2
