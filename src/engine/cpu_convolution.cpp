#include "engine/cpu_convolution.h"

#include "engine/activation_arena.h"
#include "engine/inference_kernels.h"
#include "nn/kernel_calls.h"

namespace edm2 {

std::vector<CpuConvolutionMaker> cpu_convolutions(c10::ScalarType dtype, EngineKind kind) {
  std::vector<CpuConvolutionMaker> makers = {upsampling_convolutions(dtype)};
  if (dtype == at::kFloat) {
    if (kind == EngineKind::fast) makers.emplace_back(make_winograd_convolution);
    makers.push_back(compact_convolutions(kind == EngineKind::int8));
  }
  makers.push_back(direct_convolutions(dtype));
  return makers;
}

Tensor CpuConvolution::operator()(const Tensor& x) const {
  const Tensor y =
      ActivationArena::empty({1, out_channels_, x.size(2), x.size(3)}, x.scalar_type(), nhwc);
  y.zero_();
  add_to(y, x);
  return y;
}

Tensor CpuConvolution::modulated_silu(const Tensor& x, const Modulations& c) const {
  const Tensor y = (*this)(x);
  run_kernels(inference_kernels::best(), y, pixels_of(y), out_channels_,
              [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
                auto* const at = write<decltype(type)>(y) + begin * out_channels_;
                kernels.modulated_silu(at, c.first, end - begin, out_channels_, at);
              });
  return y;
}

}  // namespace edm2
