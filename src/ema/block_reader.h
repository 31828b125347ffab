// Networks cut into blocks of elements, and the same block read from several files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ema/open_snapshot.h"

namespace edm2 {

/// A part of a tensor.
struct TensorSpan {
  size_t tensor = 0;  ///< position in SnapshotIndex::tensors
  int64_t begin = 0, count = 0;
};

/// Consecutive parts of tensors in the order in which results are wanted.
using ElementBlock = std::vector<TensorSpan>;

/// Cuts the tensors, taken in that order, into blocks of at most max_elements.
std::vector<ElementBlock> make_blocks(const std::vector<StoredTensor>& tensors,
                                      const std::vector<size_t>& order, int64_t max_elements);

/// The elements of one block in one file. Memory is kept from block to block.
class BlockData {
 public:
  /// Reads the block's parts. Without `with_buffers`, parts of buffers are left out.
  void read(const OpenSnapshot& snapshot, const ElementBlock& block, bool with_buffers);

  /// The elements of part i of the block, as the file stores them.
  const std::byte* part(size_t i) const { return parts_[i]; }

 private:
  std::vector<std::byte> memory_;
  std::vector<const std::byte*> parts_;
};

}  // namespace edm2
