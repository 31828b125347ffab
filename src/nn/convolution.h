// Convolutions whose results do not depend on what else is computed beside them.
#pragma once

#include <ATen/core/Tensor.h>

#include "edm2/core/tensor.h"

namespace edm2 {

/// conv2d for inference: x [N,Cin,H,W], w [Cout,Cin,k,k], bias [Cout] or undefined. On the CPU an
/// image comes out the same, to the last bit, whatever batch it is in and however many threads
/// compute.
Tensor inference_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                        at::IntArrayRef padding);

}  // namespace edm2
