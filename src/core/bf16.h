// Numbers of 16 bits in memory, for kernels that know no torch headers.
#pragma once

#include <cstdint>

namespace edm2 {

/// bfloat16
struct Bf16 {
  uint16_t bits;
};

/// IEEE 754's binary16, torch's float16
struct Half {
  uint16_t bits;
};

}  // namespace edm2
