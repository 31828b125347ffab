// A kernel for group normalisation of pictures too large to be copied.
#pragma once

#include "edm2/core/tensor.h"

namespace edm2 {

/// Sums and sums of squares of each channel of x[N,C,H,W] (CPU, float32, channels-last order):
/// float64 [2,N,C]. The result does not depend on the number of threads.
Tensor channel_sums(const Tensor& x);

}  // namespace edm2
