#include "engine/winograd.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/parallel.h"
#include "edm2/core/cpu.h"
#include "engine/inference_kernels.h"

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

std::unique_ptr<CpuConvolution> make_winograd_convolution(const ConvolutionSpec& spec) {
  const bool is_3x3 = spec.weight.stored.size(3) == 3 && !spec.upsamples;
  if (!spec.in_block || !is_3x3 || !WinogradConv::wins(spec.size, spec.size)) return nullptr;
  return std::make_unique<WinogradConv>(spec.weight.tensor());
}

WinogradConv::WinogradConv(const Tensor& weight)
    : CpuConvolution(weight.size(0)), in_(weight.size(1)), weight_(transformed(weight)) {
  // libtorch's matrix products use AVX-512 on some processors only, oneDNN's convolutions wherever
  // it is. Not by cpu_level(): with all sets of instructions the results are the same.
  if (highest_cpu_level() < CpuLevel::avx512) return;
  const int64_t side = 8;  // about the tiles that come at a time, as an image
  for (const Tensor& position : weight_.unbind(0))
    packed_.emplace_back(position.t().reshape({out_channels_, in_, 1, 1}), Tensor(),
                         ConvShape{.stride = 1, .input_size = side}, Activation::none);
  weight_ = Tensor();
}

std::vector<Tensor> WinogradConv::products(const Tensor& v, int64_t columns) const {
  if (weight_.defined()) return at::bmm(v, weight_).unbind(0);
  std::vector<Tensor> result;
  for (int64_t p = 0; p < positions; ++p) {
    const Tensor image = v[p].view({1, -1, columns, in_}).permute({0, 3, 1, 2});
    result.push_back(packed_[static_cast<size_t>(p)](image));  // [1, out, rows, columns]
  }
  return result;
}

bool WinogradConv::wins(int64_t height, int64_t width) {
  return tiles(height) * tiles(width) >= 64;
}

Tensor WinogradConv::modulated_silu(const Tensor& x, const Modulations& c) const {
  const Tensor out = at::empty({1, out_channels_, x.size(2), x.size(3)},
                               x.options().memory_format(at::MemoryFormat::ChannelsLast));
  run(x, out, c.first);
  return out;
}

void WinogradConv::add_to(const Tensor& sum, const Tensor& x) const { run(x, sum, nullptr); }

void WinogradConv::run(const Tensor& x, const Tensor& out, const float* c) const {
  const auto& kernels = inference_kernels::best();
  const int64_t height = x.size(2), width = x.size(3), columns = tiles(width);
  // Tiles that are worth reading the weights once more (and, of few channels, calling oneDNN 36
  // times), and fit into the cache beside them.
  const int64_t few_channels = packed_.empty() ? 32 : 128;
  const int64_t wanted = in_ * out_channels_ <= 1 << 15 ? few_channels : 64;
  const int64_t rows = std::min(std::max<int64_t>(wanted / columns, 1), tiles(height));
  const int64_t parts = (tiles(height) + rows - 1) / rows;
  for_each_on_one_thread(parts, [&](int64_t part) {
    const int64_t first = part * rows, count = std::min(rows, tiles(height) - first);
    const Tensor v = at::empty({positions, count * columns, in_}, at::kFloat);
    kernels.winograd_input(x.const_data_ptr<float>(), height, width, in_, first, count,
                           v.mutable_data_ptr<float>());
    const std::vector<Tensor> m = products(v, columns);
    const float* parts_of_m[positions];
    for (size_t p = 0; p < positions; ++p) {
      parts_of_m[p] = m[p].const_data_ptr<float>();
    }
    kernels.winograd_output(parts_of_m, height, width, out_channels_, first, count, c,
                            out.mutable_data_ptr<float>());
  });
}

}  // namespace edm2
