// The tensors of a DINOv2 vision transformer by Meta's names, out of any known file.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

struct DinoWeights {
  struct Norm {
    Tensor weight, bias;  // [D]
  };
  struct Linear {
    Tensor weight, bias;  // [out,in], [out]
  };
  struct Block {
    Norm norm1, norm2;
    Linear qkv, proj, fc1, fc2;  ///< layer scales are folded into proj and fc2
  };

  Tensor class_token;  ///< [D], its position added
  Tensor registers;    ///< [R,D] (arXiv 2309.16588), without positions; undefined: none
  Tensor positions;    ///< [T,D] of a square grid of patches, as stored
  Linear patch;        ///< weight [D,3,p,p]
  std::vector<Block> blocks;
  Norm norm;
  bool gated = false;  ///< the MLP is SwiGLU (ViT-g): fc1 makes gate and value, one after the other

  /// What this network is called: "ViT-L/14", "ViT-S/14 with 4 registers", or its sizes.
  std::string name() const;
  /// Whether it is the one that FD-DINOv2 is defined by: ViT-L/14 without registers.
  bool is_customary() const;
  int64_t dim() const { return class_token.size(0); }
};

/// All float32. Throws Error naming the tensor that is missing or does not fit.
DinoWeights dinov2_weights(const StateDict& state);

}  // namespace edm2
