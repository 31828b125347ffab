#include "edm2/core/cpu.h"

#include <cstdlib>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

CpuLevel choose_level() {
  const char* wish = std::getenv("EDM2_CPU");
  const CpuLevel highest = highest_cpu_level();
  if (wish == nullptr || *wish == '\0') return highest;
  for (const CpuLevel level : {CpuLevel::portable, CpuLevel::avx2, CpuLevel::avx512})
    if (cpu_level_name(level) == wish) {
      if (level > highest)
        throw Error("EDM2_CPU=" + std::string(wish) + ": this processor has no more than " +
                    cpu_level_name(highest));
      return level;
    }
  throw Error("EDM2_CPU='" + std::string(wish) + "' is not one of 'portable', 'avx2', 'avx512'");
}

}  // namespace

CpuLevel highest_cpu_level() {
#if defined(__x86_64__) && defined(__GNUC__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx2) return avx512 ? CpuLevel::avx512 : CpuLevel::avx2;
#endif
  return CpuLevel::portable;
}

CpuLevel cpu_level() {
  static const CpuLevel level = choose_level();
  return level;
}

std::string cpu_level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::avx512:
      return "avx512";
    case CpuLevel::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

}  // namespace edm2
