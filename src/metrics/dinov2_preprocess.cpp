#include "metrics/dinov2_preprocess.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstring>

#include "edm2/core/error.h"
#include "edm2/data/resize.h"

namespace edm2 {
namespace {

/// [3,H,W] uint8 -> [3,224,224] uint8 on the CPU.
Tensor resize_like_pillow(const Tensor& pixels) {
  const Tensor hwc = pixels.cpu().permute({1, 2, 0}).contiguous();
  Image image{hwc.size(1), hwc.size(0), 3, {}};
  image.pixels.assign(hwc.const_data_ptr<uint8_t>(), hwc.const_data_ptr<uint8_t>() + hwc.numel());
  const Image resized =
      resize(image, dino_input_size, dino_input_size, {.filter = ResizeFilter::bicubic});
  Tensor result = at::empty({dino_input_size, dino_input_size, 3}, at::kByte);
  std::memcpy(result.mutable_data_ptr(), resized.pixels.data(), resized.pixels.size());
  return result.permute({2, 0, 1});
}

}  // namespace

Tensor preprocess_for_dinov2(const Tensor& pixels, DinoResize resize) {
  Tensor x;
  if (resize == DinoResize::pil) {
    std::vector<Tensor> images;
    for (const Tensor& image : pixels.unbind(0)) images.push_back(resize_like_pillow(image));
    x = at::stack(images).to(pixels.device(), at::kFloat);
  } else {
    // Neither rounded nor clamped.
    x = at::_upsample_bicubic2d_aa(pixels.to(at::kFloat), {dino_input_size, dino_input_size},
                                   /*align_corners=*/false);
  }
  const Tensor mean = at::tensor({0.485f, 0.456f, 0.406f}, x.options()).reshape({3, 1, 1});
  const Tensor deviation = at::tensor({0.229f, 0.224f, 0.225f}, x.options()).reshape({3, 1, 1});
  return (x / 255 - mean) / deviation;
}

Tensor interpolate_positions(const Tensor& positions, int64_t grid, PositionResize resize) {
  const int64_t tokens = positions.size(0), dim = positions.size(1);
  if (tokens == grid * grid) return positions;
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(tokens))));
  if (side * side != tokens)
    throw Error("the " + std::to_string(tokens) + " stored positions do not form a square");
  const double scale = (static_cast<double>(grid) + 0.1) / static_cast<double>(side);
  const Tensor stored = positions.reshape({1, side, side, dim}).permute({0, 3, 1, 2});
  const Tensor resampled =  // [1,D,grid,grid]
      resize == PositionResize::antialiased
          ? at::_upsample_bicubic2d_aa(stored, {grid, grid}, /*align_corners=*/false)
          : at::upsample_bicubic2d(stored, {grid, grid}, /*align_corners=*/false, scale, scale);
  return resampled.permute({0, 2, 3, 1}).reshape({grid * grid, dim});
}

}  // namespace edm2
