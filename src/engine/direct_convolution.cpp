// oneDNN's convolutions, with weights of the activations' type.
#include <ATen/ATen.h>

#include "engine/activation_arena.h"
#include "engine/cpu_convolution.h"
#include "engine/inference_kernels.h"
#include "nn/fused_layers.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using inference_kernels::best;

class DirectConvolution : public CpuConvolution {
 public:
  DirectConvolution(const Tensor& weight, int64_t size)
      : CpuConvolution(weight.size(0)),
        conv_(weight, {},
              {.pad_h = weight.size(2) / 2, .pad_w = weight.size(3) / 2, .input_size = size},
              Activation::none) {}
  void add_to(const Tensor& sum, const Tensor& x) const override { conv_.add_to(sum, x); }

 private:
  FusedConv conv_;
};

class UpsamplingConvolution : public CpuConvolution {
 public:
  UpsamplingConvolution(const Tensor& phases, int64_t small_size)
      : CpuConvolution(phases.size(0) / 4),
        conv_(phases, {}, {.pad_h = 1, .pad_w = 1, .input_size = small_size}, Activation::none) {}

  void add_to(const Tensor&, const Tensor&) const override {
    TORCH_CHECK(false, "[UpsamplingConvolution] is always modulated");
  }
  Tensor modulated_silu(const Tensor& x, const Modulations& c) const override {
    const int64_t out = out_channels_, height = x.size(2), width = x.size(3);
    const auto empty = [&](int64_t channels, int64_t rows, int64_t columns) {
      return ActivationArena::empty({1, channels, rows, columns}, x.scalar_type(), nhwc);
    };
    const Tensor phases = empty(4 * out, height + 1, width + 1);
    conv_.write_to(phases, x);
    const Tensor y = empty(out, 2 * height, 2 * width);
    const int64_t row = (width + 1) * 4 * out;
    run_kernels(
        best(), y, height, row, [&](const auto& kernels, auto type, int64_t begin, int64_t end) {
          using T = decltype(type);
          kernels.modulated_silu_of_phases(read<T>(phases) + begin * row, c.first, end - begin,
                                           width, out, write<T>(y) + begin * 4 * width * out);
        });
    return y;
  }

 private:
  FusedConv conv_;
};

}  // namespace

CpuConvolutionMaker direct_convolutions(c10::ScalarType dtype) {
  return [dtype](const ConvolutionSpec& spec) {
    TORCH_CHECK(!spec.upsamples, "[DirectConvolution] keeps the size of the image");
    return std::make_unique<DirectConvolution>(spec.weight.tensor().to(dtype), spec.size);
  };
}

CpuConvolutionMaker upsampling_convolutions(c10::ScalarType dtype) {
  return [dtype](const ConvolutionSpec& spec) -> std::unique_ptr<CpuConvolution> {
    if (!spec.upsamples) return nullptr;
    const Tensor phases = phase_weights(spec.weight.tensor()).to(dtype);
    return std::make_unique<UpsamplingConvolution>(phases, spec.size / 2);
  };
}

}  // namespace edm2
