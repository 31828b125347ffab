// Elements as files store them, to float and back.
#pragma once

#include <c10/core/ScalarType.h>

#include "edm2/core/cpu.h"
#include "ema/weighted_sum_kernels.h"

namespace edm2::weighted_sum {

/// Those of the instruction set.
Kernels kernels_for(CpuLevel level);

/// `count` floating-point numbers of type `dtype`, at any address, to float.
void to_float(const Kernels& kernels, c10::ScalarType dtype, const void* in, float* out,
              size_t count);

/// Rounds to the nearest number of type `dtype`; `out` may be any address.
void from_float(const Kernels& kernels, c10::ScalarType dtype, const float* in, void* out,
                size_t count);

/// From one type to another; the same type: any type, copied as it is.
void convert(const Kernels& kernels, c10::ScalarType from, const void* in, c10::ScalarType to,
             void* out, size_t count);

}  // namespace edm2::weighted_sum
