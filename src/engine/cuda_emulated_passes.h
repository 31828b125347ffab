// The passes of edm2_cuda on the CPU, slowly: tests compute with them what a GPU would.
#pragma once

#include "engine/cuda_passes.h"

namespace edm2::cuda_passes {

const Passes& emulated();

}  // namespace edm2::cuda_passes
