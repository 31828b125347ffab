// Weights of convolutions in half the memory, float16 as snapshots store them, or in a quarter.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "edm2/core/tensor.h"
#include "nn/fused_layers.h"

namespace edm2 {

/// An order in which oneDNN reads the weights [out,in,kh,kw] of a convolution, as the nested loops
/// of the elements in memory:
///
///   out / block, in / in_block, kh, kw, in % in_block, out % block
struct WeightOrder {
  int64_t block = 0, in_block = 0;
  Tensor description;  // oneDNN's
};

/// The weights of a convolution in the order in which oneDNN reads them, but as float16, with a
/// float32 factor for each output. They become float32 again for each use, in memory that
/// convolutions share and that stays in the cache: this reads half of what weights in float32 would
/// be, and takes little beside the convolution. The product of a float16 and a factor is what
/// weights in float32 would be: results have the same bits.
///
/// Or as 8 bits, in steps of 1/127 of the largest of 64 weights, which are off by about 0.5 % of
/// the weights' standard deviation.
class CompactWeights {
 public:
  enum class Storage { float16, int8 };

  /// stored[out,in,kh,kw] float16 on the CPU, in % order.in_block == 0; factors[out] float32.
  CompactWeights(const Tensor& stored, const Tensor& factors, const WeightOrder& order,
                 const ConvShape& shape, Storage storage);

  /// Numbers that the expanded weights have; a multiple of 16.
  int64_t size() const;
  /// Writes the float32 weights, with all threads.
  void expand(float* to) const;
  /// The convolution with the weights that are at `expanded` when it is called. Aligned to 64
  /// bytes.
  FusedConv reading(float* expanded) const;

 private:
  Tensor values_;           // [blocks, rows, block] float16 or int8
  Tensor factors_;          // [blocks, groups of rows, block]
  int64_t group_rows_ = 0;  // of each but the last
  Tensor description_;
  std::vector<int64_t> sizes_;
  ConvShape shape_;
};

/// Finds out the orders of weights: by having oneDNN arrange those of the first convolution of each
/// shape. Threads may use it at the same time.
class WeightPacker {
 public:
  /// As CompactWeights. Nothing where there is no oneDNN, or where its order is none of those
  /// above.
  std::optional<CompactWeights> pack(const Tensor& stored, const Tensor& factors,
                                     const ConvShape& shape, CompactWeights::Storage storage);

 private:
  std::mutex mutex_;
  std::map<std::array<int64_t, 5>, std::optional<WeightOrder>> orders_;  // of sizes and pictures
};

}  // namespace edm2
