#include "nn/fused_kernels.h"

#include "core/cpu_choice.h"

namespace edm2::fused_kernels {

const Kernels& best() { return *for_this_cpu(&portable(), &avx2(), &avx512()); }

}  // namespace edm2::fused_kernels
