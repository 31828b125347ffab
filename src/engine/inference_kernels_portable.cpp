#include "engine/inference_kernels_impl.h"

namespace edm2::inference_kernels {

const Kernels& portable() { return all_kernels; }

}  // namespace edm2::inference_kernels
