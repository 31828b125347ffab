// A bfloat16 number in memory, for kernels that know no torch headers.
#pragma once

#include <cstdint>

namespace edm2 {

struct Bf16 {
  uint16_t bits;
};

}  // namespace edm2
