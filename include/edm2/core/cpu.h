/// Which instruction sets our own kernels may use.
#pragma once

#include <string>

namespace edm2 {

/// In order of size; each includes those before it.
enum class CpuLevel {
  portable,  ///< what every processor of the architecture has
  avx2,      ///< AVX2, FMA, F16C
  avx512,    ///< AVX-512 F, BW, DQ, VL
};

/// What the processor has, or less if the environment variable EDM2_CPU (portable, avx2 or avx512)
/// says so. Read once. Throws Error if EDM2_CPU is another word, or more than the processor has.
CpuLevel cpu_level();

/// The highest level of this processor, whatever EDM2_CPU says.
CpuLevel highest_cpu_level();

/// "portable", "avx2" or "avx512", as EDM2_CPU has it.
std::string cpu_level_name(CpuLevel level);

}  // namespace edm2
