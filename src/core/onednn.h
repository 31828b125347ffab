// What libtorch's oneDNN computes on this processor when its operators are called by name.
#pragma once

#include <c10/core/ScalarType.h>

namespace edm2 {

/// Whether oneDNN's convolutions and products take this type. Those of bfloat16 refuse to work on
/// x86 processors without AVX-512 (BW, DQ, VL), where at::conv2d would take another way.
bool onednn_takes(c10::ScalarType type);

}  // namespace edm2
