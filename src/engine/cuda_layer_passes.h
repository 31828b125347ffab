// Convolutions and the passes between them on CUDA, for a batch at a time. Knows no CUDA headers.
#pragma once

#include "engine/cuda_passes.h"
#include "engine/layers.h"

namespace edm2 {

/// dtype: of the activations, float16, bfloat16 or float32. `passes` must work on `device` and live
/// as long.
class CudaLayerPasses : public LayerPasses {
 public:
  CudaLayerPasses(c10::ScalarType dtype, c10::Device device, const cuda_passes::Passes& passes);

  void clip(const LayerOutput& x) const override;
  Tensor downsample(LayerOutput x) const override;
  BlockInput upsample_silu(LayerOutput x, float keep) const override;
  BlockInput pixel_norm_silu(LayerOutput x, float keep) const override;
  BlockInput cat_silu(LayerOutput x, LayerOutput skip, float cat_x, float cat_skip,
                      float keep) const override;
  Tensor attend(const Tensor& qkv, int64_t heads) const override;

  /// By cuDNN. Lives no longer than this.
  std::unique_ptr<Convolution> convolution(const ConvolutionSpec& spec) const;

 private:
  class CudaConvolution;

  /// Each pixel repeated 2x2, [N,C,2H,2W].
  Tensor spread(const Tensor& x) const;
  Tensor empty(int64_t batch, int64_t channels, int64_t height, int64_t width) const;
  template <class Pass>
  void run(cuda_passes::Passes::Run<Pass> run, const Pass& pass) const;

  c10::ScalarType dtype_;
  c10::Device device_;
  const cuda_passes::Passes& passes_;
};

}  // namespace edm2
