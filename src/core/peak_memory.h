// The most memory that this process has had.
#pragma once

#include <cstdint>

namespace edm2 {

/// Peak resident memory of this process alone since reset_own_peak_memory() (or the start, where
/// the system cannot forget), in bytes.
uint64_t peak_resident_memory();

}  // namespace edm2
