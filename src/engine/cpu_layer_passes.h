// The passes between convolutions on the CPU, for an image at a time.
#pragma once

#include "engine/layers.h"

namespace edm2 {

/// Activations are float32 or bfloat16 and lie in the ActivationArena.
class CpuLayerPasses : public LayerPasses {
 public:
  void clip(const LayerOutput& x) const override;
  Tensor downsample(LayerOutput x) const override;
  BlockInput upsample_silu(LayerOutput x, float keep) const override;
  BlockInput pixel_norm_silu(LayerOutput x, float keep) const override;
  BlockInput cat_silu(LayerOutput x, LayerOutput skip, float cat_x, float cat_skip,
                      float keep) const override;
  Tensor attend(const Tensor& qkv, int64_t heads) const override;
};

}  // namespace edm2
