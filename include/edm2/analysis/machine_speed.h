/// How fast this machine computes, measured briefly, and what follows for a network.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <vector>

#include "edm2/analysis/operation_counts.h"

namespace edm2 {

/// What this machine does in a second, with the activations' type.
struct MachineSpeed {
  /// Measured on images of one level of the network.
  struct Level {
    int64_t resolution = 0;
    double flops_per_second = 0;  ///< 3x3 convolution
    double bytes_per_second = 0;  ///< operations on elements, read and written
  };
  std::vector<Level> levels;           ///< highest resolution first; at least one
  double weight_bytes_per_second = 0;  ///< normalising weights
};

/// Times convolutions and operations on elements of the sizes that the network has at its levels,
/// for a fraction of a second each.
MachineSpeed measure_machine(const NetworkOptions& options, int64_t batch, at::ScalarType dtype,
                             c10::Device device);

/// Convolutions and matrix products at the speed of their level, everything else at the speed of
/// memory there. A model, good to a factor of two or so.
double estimate_seconds(const std::vector<Operation>& operations, const MachineSpeed& machine);

}  // namespace edm2
