// What the layers of the engine know of convolutions, on either back end.
#pragma once

#include <functional>
#include <memory>

#include "engine/folded_network.h"

namespace edm2 {

/// The modulations c of a batch: those of image i begin at first + i * stride.
struct Modulations {
  Modulations(const float* c, int64_t stride_of_images = 0) : first(c), stride(stride_of_images) {}
  Modulations from(int64_t place) const { return {first + place, stride}; }

  const float* first;
  int64_t stride;  ///< 0: all images have the same
};

/// What a convolution is to compute. It keeps the size of the image (after upsampling).
struct ConvolutionSpec {
  FoldedWeight weight;     ///< [out,in,1,1] or [out,in,3,3]
  int64_t size = 0;        ///< height and width of its output
  bool upsamples = false;  ///< each pixel is repeated 2x2 before the convolution
  bool in_block = true;    ///< else its input or output is an image of few channels
  bool outweighs = false;  ///< in a block with more weights than activations of an image
};

/// A convolution that has its weights. Activations are [N,C,H,W] in channels-last order.
class Convolution {
 public:
  virtual ~Convolution() = default;
  /// conv(x).
  virtual Tensor operator()(const Tensor& x) const = 0;
  /// sum += conv(x), in place.
  virtual void add_to(const Tensor& sum, const Tensor& x) const = 0;
  /// silu(conv(x) c).
  virtual Tensor modulated_silu(const Tensor& x, const Modulations& c) const = 0;
};

using ConvolutionMaker = std::function<std::unique_ptr<Convolution>(const ConvolutionSpec&)>;

}  // namespace edm2
