// Weighted sums of snapshots, block by block: the memory that they take depends neither on the
// number of snapshots nor on the size of the network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ema/block_reader.h"

namespace edm2 {

/// Takes results, in the thread that asked for the sums.
class SumReceiver {
 public:
  virtual ~SumReceiver() = default;
  /// The next elements of a tensor of one of the sums. Tensors come in the plan's order.
  virtual void receive(size_t output, size_t tensor, std::span<const std::byte> elements) = 0;
};

struct SumPlan {
  std::vector<size_t> order;           ///< of the tensors in the results
  std::vector<c10::ScalarType> types;  ///< of the results, by position of the tensor
  /// One row for each sum, one column for each snapshot; used as float32.
  std::vector<std::vector<double>> coefficients;
  /// Sums of parameters that are not finite are an Error: one of the snapshots holds such numbers.
  bool finite_only = false;
};

/// Throws that Error if an element is NaN or infinite.
void require_finite(std::span<const std::byte> elements, c10::ScalarType type,
                    const std::string& tensor);

/// Bytes that the blocks under way may take: of inputs, and of results.
struct SumLimits {
  uint64_t input_bytes = uint64_t{128} << 20, output_bytes = uint64_t{64} << 20;
};

/// sum_i coefficient_i * snapshot_i for every tensor that is a parameter, as the original computes
/// it: products rounded to float32 and added in the order of the snapshots, starting with 0, then
/// rounded to the type of the result. Buffers come from the last snapshot. Reading, summing and
/// `receiver` work at the same time. `on_progress` gets the fraction that is done, 0 to 1.
/// Throws Error, Interrupted, and what the receiver throws.
void sum_snapshots(std::span<const OpenSnapshot> snapshots, const SumPlan& plan,
                   SumReceiver& receiver, const std::function<void(double)>& on_progress = {},
                   const SumLimits& limits = {});

}  // namespace edm2
