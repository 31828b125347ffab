// The most memory that this process has ever had.
#pragma once

#include <cstdint>

namespace edm2 {

/// Peak resident memory of this process alone, in bytes.
uint64_t peak_resident_memory();

}  // namespace edm2
