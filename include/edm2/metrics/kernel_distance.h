/// Kernel distance: KID and its kin.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Which subsets of the features are compared.
struct KernelDistanceOptions {
  int64_t subsets = 100;
  int64_t subset_size = 1000;  ///< at most as many as there are pictures
  uint32_t seed = 2020;        ///< of the draw of the subsets
  c10::Device device = c10::Device(c10::kCPU);
};

/// The distance, of subsets of that size.
struct KernelDistance {
  double value = 0;      ///< mean over the subsets
  double deviation = 0;  ///< over the subsets (population deviation)
  int64_t subset_size = 0;
};

/// Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, unbiased (Bińkowski et al.,
/// arXiv 1801.01401), over random subsets as torch-fidelity draws them. x: [N,D], y: [M,D], N, M >=
/// 2. Throws Error if D differs.
KernelDistance kernel_distance(const Tensor& x, const Tensor& y,
                               const KernelDistanceOptions& options = {});

}  // namespace edm2
