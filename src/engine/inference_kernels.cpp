#include "engine/inference_kernels.h"

#include "core/cpu_choice.h"

namespace edm2::inference_kernels {

const Kernels& best() { return *for_this_cpu(&portable(), &avx2(), &avx512()); }

}  // namespace edm2::inference_kernels
