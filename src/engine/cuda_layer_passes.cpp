#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>

#include "engine/cuda_network.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using cuda_passes::ElementType;
using cuda_passes::Passes;

ElementType element_type(c10::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return ElementType::f32;
    case at::kHalf:
      return ElementType::f16;
    case at::kBFloat16:
      return ElementType::bf16;
    default:
      TORCH_CHECK(false, "[CudaLayerPasses] no activations of type ", type);
  }
}

/// The stream that libtorch's operators use.
void* current_stream(c10::Device device) {
  if (!device.is_cuda()) return nullptr;
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle();
}

class CudaLayerPasses : public LayerPasses {
 public:
  CudaLayerPasses(c10::ScalarType dtype, c10::Device device, const Passes& passes)
      : dtype_(dtype), device_(device), passes_(passes) {}

  template <class Pass>
  void run(Passes::Run<Pass> Passes::*which, const Pass& pass) const {
    (passes_.*which)(pass, element_type(dtype_), current_stream(device_));
  }

  Tensor empty(int64_t batch, int64_t channels, int64_t height, int64_t width) const {
    return at::empty({batch, channels, height, width},
                     at::TensorOptions(dtype_).device(device_).memory_format(nhwc));
  }

  void clip(const LayerOutput& x) const override {
    if (x.limit == no_limit) return;
    run(&Passes::clip,
        {x.values.mutable_data_ptr(), pixels_of(x.values), x.values.size(1), x.limit});
  }

  Tensor downsample(LayerOutput x) const override {
    const int64_t channels = x.values.size(1), width = x.values.size(3) / 2;
    const Tensor small = empty(x.values.size(0), channels, x.values.size(2) / 2, width);
    run(&Passes::sum_2x2, {x.values.const_data_ptr(), pixels_of(small), width, channels, x.limit,
                           0.25f, small.mutable_data_ptr()});
    return small;
  }

  Tensor spread(const Tensor& x) const {
    const Tensor large = empty(x.size(0), x.size(1), 2 * x.size(2), 2 * x.size(3));
    run(&Passes::spread_2x2, {x.const_data_ptr(), pixels_of(x), x.size(3), x.size(1), no_limit,
                              large.mutable_data_ptr()});
    return large;
  }

  BlockInput upsample_silu(LayerOutput x, float keep) const override {
    clip(x);  // what is stored clipped is rounded
    BlockInput out = cat_silu({x.values, no_limit}, {}, 1, 1, keep);
    out.main = spread(out.main);
    return out;
  }

  BlockInput pixel_norm_silu(LayerOutput x, float keep) const override {
    BlockInput out{at::empty_like(x.values), at::empty_like(x.values)};
    run(&Passes::pixel_norm_silu,
        {x.values.const_data_ptr(), pixels_of(x.values), x.values.size(1), x.limit, keep,
         out.main.mutable_data_ptr(), out.branch.mutable_data_ptr()});
    return out;
  }

  BlockInput cat_silu(LayerOutput x, LayerOutput skip, float cat_x, float cat_skip,
                      float keep) const override {
    const bool joins = skip.values.defined();
    const int64_t from_x = x.values.size(1), from_skip = joins ? skip.values.size(1) : 0;
    const Tensor main =
        empty(x.values.size(0), from_x + from_skip, x.values.size(2), x.values.size(3));
    BlockInput out{main, at::empty_like(main)};
    run(&Passes::cat_silu,
        {x.values.const_data_ptr(), joins ? skip.values.const_data_ptr() : nullptr, pixels_of(main),
         from_x, from_skip, x.limit, skip.limit, cat_x, cat_skip, keep, main.mutable_data_ptr(),
         out.branch.mutable_data_ptr()});
    return out;
  }

  /// Flash attention.
  Tensor attend(const Tensor& qkv, int64_t heads) const override {
    const int64_t n = qkv.size(0), pixels = qkv.size(2) * qkv.size(3),
                  depth = qkv.size(1) / (3 * heads);
    run(&Passes::normalize_qkv, {qkv.mutable_data_ptr(), n * pixels, heads, depth,
                                 static_cast<float>(1 / std::sqrt(static_cast<double>(depth)))});
    const Tensor parts = qkv.permute({0, 2, 3, 1}).reshape({n, pixels, 3, heads, depth});
    const auto part = [&](int64_t i) { return parts.select(2, i).transpose(1, 2); };
    const Tensor y = at::scaled_dot_product_attention(part(0), part(1), part(2), {}, 0,
                                                      /*is_causal=*/false, /*scale=*/1.0);
    const Tensor rows = y.transpose(1, 2).reshape({n, qkv.size(2), qkv.size(3), heads * depth});
    return rows.permute({0, 3, 1, 2});
  }

 private:
  c10::ScalarType dtype_;
  c10::Device device_;
  const Passes& passes_;
};

/// By cuDNN.
class CudaConvolution : public Convolution {
 public:
  CudaConvolution(const CudaLayerPasses& passes, const Tensor& weight, bool upsamples)
      : passes_(passes), weight_(weight.contiguous(nhwc)), upsamples_(upsamples) {}

  /// In channels-last order, whatever kernel libtorch chooses.
  Tensor operator()(const Tensor& x) const override {
    return at::conv2d(upsamples_ ? passes_.spread(x) : x, weight_, {}, 1, weight_.size(3) / 2)
        .contiguous(nhwc);
  }
  void add_to(const Tensor& sum, const Tensor& x) const override {
    const Tensor y = (*this)(x);
    passes_.run(&Passes::add,
                {sum.mutable_data_ptr(), y.const_data_ptr(), pixels_of(sum), sum.size(1)});
  }
  Tensor modulated_silu(const Tensor& x, const Modulations& c) const override {
    const Tensor y = (*this)(x);
    passes_.run(&Passes::modulated_silu, {y.mutable_data_ptr(), c.first, pixels_of(y), y.size(1),
                                          y.size(2) * y.size(3), c.stride});
    return y;
  }

 private:
  const CudaLayerPasses& passes_;
  Tensor weight_;
  bool upsamples_;
};

}  // namespace

CudaBackEnd cuda_back_end(c10::ScalarType dtype, c10::Device device, const Passes& passes) {
  auto own = std::make_unique<const CudaLayerPasses>(dtype, device, passes);
  const auto make = [=, &on = *own](const ConvolutionSpec& spec) {
    return std::make_unique<CudaConvolution>(on, spec.weight.tensor().to(device, dtype),
                                             spec.upsamples);
  };
  return {std::move(own), make};
}

}  // namespace edm2
