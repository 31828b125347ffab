// One picture with many pictures.
#pragma once

#include "edm2/core/tensor.h"
#include "edm2/io/image.h"

namespace edm2 {

/// images: [N,3,H,W] uint8, N >= 1, row by row. columns 0: about square. Cells are two pixels apart
/// on white.
Image contact_sheet(const Tensor& images, int64_t columns);

/// [3,H,W] uint8 -> HWC pixels.
Image to_image(const Tensor& image);

}  // namespace edm2
