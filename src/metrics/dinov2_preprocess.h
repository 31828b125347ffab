// From pixels and stored positions to what DINOv2 is trained on.
#pragma once

#include "edm2/core/tensor.h"
#include "edm2/metrics/detector.h"

namespace edm2 {

constexpr int64_t dino_input_size = 224;

/// pixels [N,3,H,W] uint8 -> [N,3,224,224] float32, normalized by ImageNet's mean and deviation.
Tensor preprocess_for_dinov2(const Tensor& pixels, DinoResize resize);

/// How positions are brought to another grid: as in the release of the weights.
enum class PositionResize {
  plain,  ///< bicubic; the scale is (grid + 0.1) / G, which shifts the sampling points a little
  antialiased  ///< bicubic with antialiasing to just that size: models with registers
};

/// Positions [G*G,D] of a square grid -> [grid*grid,D]. Throws Error if they are no square.
Tensor interpolate_positions(const Tensor& positions, int64_t grid,
                             PositionResize resize = PositionResize::plain);

}  // namespace edm2
