// The convolutions of InceptionV3 by NVIDIA's names, and their weights out of any known file.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// One convolution with batch normalization and ReLU behind it.
struct InceptionConv {
  std::string name;        ///< NVIDIA's, without "layers.": "mixed_4.tower_1.conv_2"
  std::string torch_name;  ///< pytorch-fid's: "Mixed_6b.branch7x7dbl_3"
  int64_t in, out, kernel_h, kernel_w;
  int64_t stride = 1, pad_h = 0, pad_w = 0;
  int64_t input_size;  ///< height and width of its input
};

/// All 94, in the order of the network.
std::vector<InceptionConv> inception_convs();

struct InceptionWeights {
  struct Folded {
    Tensor weight;  ///< [out,in,kh,kw] float32
    Tensor bias;    ///< [out] float32
  };
  std::vector<Folded> convs;  ///< in the order of inception_convs(); batch norm is folded in
  Tensor output;              ///< [1008,2048] float32, or undefined
};

/// Throws Error naming the tensor that is missing or has another shape.
InceptionWeights inception_weights(const StateDict& state);

}  // namespace edm2
