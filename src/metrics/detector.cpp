#include "edm2/metrics/detector.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "edm2/core/error.h"
#include "nn/fused_layers.h"

namespace edm2 {
namespace {

constexpr int64_t cuda_piece = 32;

}  // namespace

Detector::Detector(const DetectorOptions& options) : options_(options) {}

c10::ScalarType Detector::dtype() const {
  return activation_dtype(options_.precision, /*use_fp16=*/false, options_.device);
}

std::string Detector::precision_name() const { return edm2::precision_name(dtype()); }

Tensor Detector::features(const Tensor& pixels) const {
  const c10::NoGradGuard no_grad;
  TORCH_CHECK(pixels.dim() == 4 && pixels.scalar_type() == at::kByte,
              "[Detector] pixels must be [N,3,H,W] uint8");
  if (pixels.size(1) != 3)
    throw Error("the pictures have " + std::to_string(pixels.size(1)) +
                " channels, expected 3 channels (RGB)");
  const int64_t count = pixels.size(0);
  const Tensor input = pixels.to(options_.device, /*non_blocking=*/true);
  Tensor result =
      at::empty({count, feature_dim()}, at::TensorOptions(options_.device).dtype(at::kFloat));
  if (options_.device.is_cpu()) {
    for_each_on_one_thread(
        count, [&](int64_t i) { result.narrow(0, i, 1).copy_(forward(input.narrow(0, i, 1))); });
    return result;
  }
  for (int64_t begin = 0; begin < count; begin += cuda_piece) {
    const int64_t size = std::min(cuda_piece, count - begin);
    Tensor piece = input.narrow(0, begin, size);
    if (size < cuda_piece)
      piece = at::constant_pad_nd(piece, {0, 0, 0, 0, 0, 0, 0, cuda_piece - size});
    result.narrow(0, begin, size).copy_(forward(piece).narrow(0, 0, size));
  }
  return result;
}

}  // namespace edm2
