#include "core/onednn.h"

#include "edm2/core/cpu.h"

namespace edm2 {

bool onednn_takes(c10::ScalarType type) {
#if defined(__x86_64__)
  if (type == c10::ScalarType::BFloat16) return highest_cpu_level() == CpuLevel::avx512;
#endif
  return type == c10::ScalarType::Float || type == c10::ScalarType::BFloat16;
}

}  // namespace edm2
