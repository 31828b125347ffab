// The most memory that work has taken.
#pragma once

#include <c10/core/Device.h>

namespace edm2 {

/// Bytes: of a CUDA device what libtorch allocated on it; else the resident memory of this process
/// alone. The most of it since reset_peak_memory(), or the start, where the system cannot forget.
double peak_memory(const c10::Device& device);
/// Also gives back memory that is free.
void reset_peak_memory(const c10::Device& device);

}  // namespace edm2
