// 3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3) (arXiv 1509.09308,
// Section 4.2). Rounds more coarsely than a direct convolution.
#pragma once

#include <vector>

#include "engine/cpu_convolution.h"
#include "nn/fused_layers.h"

namespace edm2 {

class WinogradConv : public CpuConvolution {
 public:
  /// weight [out,in,3,3] float32; padding 1, stride 1.
  explicit WinogradConv(const Tensor& weight);

  Tensor modulated_silu(const Tensor& x, const Modulations& c) const override;
  void add_to(const Tensor& sum, const Tensor& x) const override;

  /// Where it pays off: enough tiles for each of the 36 products.
  static bool wins(int64_t height, int64_t width);

 private:
  void run(const Tensor& x, const Tensor& out, const float* c) const;
  /// v[36,tiles,in] times the weights: 36 times [tiles,out], `columns` tiles in a row.
  std::vector<Tensor> products(const Tensor& v, int64_t columns) const;

  int64_t in_;
  Tensor weight_;                  // [36,in,out], transformed; or
  std::vector<FusedConv> packed_;  // the same as 36 convolutions of 1x1
};

}  // namespace edm2
