#include "nn/fused_kernels.h"

#include "edm2/core/cpu.h"

namespace edm2::fused_kernels {

const Kernels& best() {
  switch (cpu_level()) {
    case CpuLevel::avx512:
      return avx512();
    case CpuLevel::avx2:
      return avx2();
    default:
      return portable();
  }
}

}  // namespace edm2::fused_kernels
