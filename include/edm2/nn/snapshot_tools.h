/// Snapshots made from snapshots, and their comparison.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <vector>

#include "edm2/nn/snapshot.h"

namespace edm2 {

/// What a change of precision does to the values.
struct RoundingReport {
  int64_t values = 0;
  int64_t rounded = 0;      ///< values that became others, those below included
  int64_t underflowed = 0;  ///< became 0
  int64_t overflowed = 0;   ///< became infinite
  /// Name of the first tensor that overflowed.
  std::string first_overflow;
};

/// Converts all tensors to float32, float16 or bfloat16, rounding to nearest.
RoundingReport change_precision(Snapshot& snapshot, at::ScalarType dtype);

/// Bakes weight normalisation, fan-in and gains into the weights, as the forward pass computes them
/// in evaluation (arXiv 2312.02696, Eq. 47): plain convolutions and matrix products with the result
/// give the same outputs. All tensors become float32; the gains become 1. Throws Error if the
/// weights are folded already.
Snapshot fold(const Snapshot& snapshot);

/// How two snapshots differ: configuration, encoder, dataset, loss, names and their order, types,
/// shapes and bits of the tensors. One sentence each, the first few; empty if they are the same.
std::vector<std::string> differences(const Snapshot& a, const Snapshot& b);

/// SHA-256 of names, types, shapes and elements of the tensors: the same for the same network in
/// any kind of file.
std::string weights_sha256(const Snapshot& snapshot);

}  // namespace edm2
