#include "nn/fused_kernels_impl.h"

namespace edm2::fused_kernels {

const Kernels& avx2() { return all_kernels; }

}  // namespace edm2::fused_kernels
