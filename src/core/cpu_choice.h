// One of the twins that a kernel has for different instruction sets.
#pragma once

#include "edm2/core/cpu.h"

namespace edm2 {

/// The one for this processor (and EDM2_CPU).
template <class Kernel>
Kernel for_this_cpu(Kernel portable, Kernel avx2, Kernel avx512) {
  switch (cpu_level()) {
    case CpuLevel::avx512:
      return avx512;
    case CpuLevel::avx2:
      return avx2;
    default:
      return portable;
  }
}

}  // namespace edm2
